"""The page's modules are served as two, which do what the modules do."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleetmeter.http.shared.web_files import FOLDER, web_files
from fleetmeter.http.shared.web_modules import FIRST, LATER, joined

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

MODULES = {
    "app.js": "import { one as uno } from './lib/one.js';\n"
    "import later from './vendor/later.js';\n"
    "const hidden = 'of app';\n"
    "export const view = () => import('./views/view.js');\n"
    "export const found = [uno(), hidden, later];\n",
    "lib/one.js": "export { two } from './two.js';\n"
    "const hidden = 'of one';\n"
    "export async function slow() { return hidden; }\n"
    "export const one = () => hidden;\n",
    "lib/two.js": "export class Two {}\nexport const two = new Two();\n",
    "vendor/later.js": "export default 'of vendor';\n",
    "views/view.js": "import { slow, two } from '../lib/one.js';\n"
    "import { Two } from '../lib/two.js';\n"
    "export const View = async () => [await slow(), two instanceof Two];\n",
}


def run(folder: Path, script: str) -> Any:
    """The JSON that a script prints beside the modules in a folder."""
    (folder / "package.json").write_text('{"type": "module"}')
    for name, module in {**MODULES, **joined(MODULES)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(module)
    (folder / "script.js").write_text(script)
    command = ["node", "script.js"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_joined_modules_do_what_they_do_apart(tmp_path: Path) -> None:
    apart = "import { found, view } from './app.js';"
    together = f"import * as all from './{FIRST}'; const {{ found, view }} = all.$3;"
    ask = "console.log(JSON.stringify([found, await (await view()).View()]))"
    expected = [["of one", "of app", "of vendor"], ["of one", True]]
    assert run(tmp_path, apart + ask) == expected
    assert run(tmp_path, together + ask) == expected


@needs_node
def test_the_page_s_two_modules_are_valid_javascript(tmp_path: Path) -> None:
    for name in (FIRST, LATER):
        module = tmp_path / Path(name).with_suffix(".mjs").name
        module.write_bytes(web_files().assets[name].content)
        command = ["node", "--check", str(module)]
        assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_every_module_of_the_page_is_in_one_of_the_two() -> None:
    both = b"".join(web_files().assets[name].content for name in (FIRST, LATER)).decode()
    for folder in ("lib", "parts", "views"):
        for path in (FOLDER / folder).rglob("*.js"):
            if not path.name.endswith(".classic.js"):
                last = path.read_text(encoding="utf-8").rstrip().splitlines()[-1].strip()
                assert last.removeprefix("export ").partition("import(")[0] in both, path


def test_modules_that_import_each_other_are_refused() -> None:
    circle = {
        "app.js": "import { a } from './a.js';\n",
        "a.js": "import { b } from './b.js';\nexport const a = 1;\n",
        "b.js": "import { a } from './a.js';\nexport const b = 1;\n",
    }
    with pytest.raises(ValueError, match="import each other"):
        joined(circle)


@pytest.mark.parametrize("line", ["export default 1;", "export let a = 1;", "import './a.js';"])
def test_what_cannot_be_joined_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="cannot be joined"):
        joined({"app.js": f"{line}\n"})
