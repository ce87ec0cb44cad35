"""The page's modules: they fit together, and people read them in their language."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.http.shared.web_files import FOLDER
from fleetmeter.http.shared.web_modules import static_imports

MODULES = sorted(
    path
    for path in FOLDER.rglob("*.js")
    if path.parent.name != "vendor" and not path.name.endswith(".classic.js")
)
_KEY = re.compile(r"^  '([^']+)':", re.MULTILINE)
_USED = re.compile(r"\bt\(\s*'([^']+)'|\bt\(\s*`([^`]+)`|text: '([a-zA-Z]+\.[\w.]+)'")
_SPOKEN = re.compile(r"""\b(?:title|label|placeholder|aria-label|alt|detail|help)="([^"]+)\"""")


def named(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def texts(language: str) -> list[str]:
    """The keys of a language, in order."""
    return _KEY.findall(read(FOLDER / f"texts/{language}.js"))


def templates(source: str) -> list[str]:
    """What stands in html`…` templates, without the expressions in them."""
    found = []
    for start in re.finditer(r"html`", source):
        position, depth, text = start.end(), 0, ""
        while position < len(source):
            character = source[position]
            if depth == 0 and character == "`":
                break
            if source.startswith("${", position):
                depth += 1
                position += 2
                continue
            if depth and character in "{}":
                depth += 1 if character == "{" else -1
                text += " " if depth == 0 else ""
            elif depth == 0:
                text += character
            position += 1
        found.append(text)
    return found


def test_imports_are_relative_and_lead_to_files() -> None:
    found = [(path, target) for path in MODULES for target in static_imports(read(path))]
    assert len(found) > 100
    for path, target in found:
        assert target.startswith("."), f"{named(path)}: browsers find no {target}"
        assert (path.parent / target).resolve().is_file(), f"{named(path)}: {target}"


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    """Texts may be."""
    lengths = {named(path): len(read(path).splitlines()) for path in MODULES}
    assert not {
        name: length
        for name, length in lengths.items()
        if length > 300 and not name.startswith("texts/")
    }


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_every_module_is_valid_javascript() -> None:
    script = (
        "const { SourceTextModule } = require('vm'), { readFileSync } = require('fs');"
        "for (const identifier of process.argv.slice(1))"
        "  new SourceTextModule(readFileSync(identifier, 'utf8'), { identifier });"
    )
    command = [
        "node",
        "--no-warnings",
        "--experimental-vm-modules",
        "-e",
        script,
        *map(str, MODULES),
    ]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_texts_are_loaded_early_in_the_languages_that_can_be_chosen() -> None:
    chosen = re.search(r"LANGUAGES = {(.*)}", read(FOLDER / "lib/texts.js"))
    early = re.search(r"\[('.*)\]\.includes", read(FOLDER / "lib/before_paint.classic.js"))
    assert chosen
    assert early
    languages = re.findall(r"(\w+): '", chosen[1])
    assert languages == re.findall(r"'(\w+)'", early[1])
    assert [path.stem for path in sorted((FOLDER / "texts").iterdir())] == sorted(languages)


def test_languages_have_the_same_texts() -> None:
    english = texts("en")
    assert english == texts("de")
    assert len(english) == len(set(english)), "a key stands twice"


def test_every_text_that_is_used_exists() -> None:
    keys = set(texts("en"))
    for path in MODULES:
        for plain, pattern, in_route in _USED.findall(read(path)):
            if pattern:
                possible = re.compile(re.sub(r"\\\$\\\{.*?\\\}", ".+", re.escape(pattern)))
                assert any(map(possible.fullmatch, keys)), f"{named(path)}: {pattern}"
            else:
                assert (plain or in_route) in keys, f"{named(path)}: {plain or in_route}"


def test_every_kind_of_anomaly_has_a_name_and_a_sentence_of_known_figures() -> None:
    keys = set(texts("en"))
    sentences = re.findall(
        r"'summary\.(\w+)': '(.*)',$", read(FOLDER / "texts/de.js"), re.MULTILINE
    )
    assert {kind for kind, _ in sentences} == set(RULES)
    assert {f"kind.{kind}" for kind, _ in sentences} <= keys
    for kind, sentence in sentences:
        figures = set(re.findall(r"\{(\w+)\}", sentence)) - {"id", "since"}
        assert {f"fact.{name}" for name in figures} <= keys, kind


def test_every_rule_and_threshold_is_explained() -> None:
    keys = set(texts("en"))
    explained = set()
    for kind, rule in RULES.items():
        explained.add(f"about.{kind}")
        for name in rule.thresholds.__struct_encode_fields__:
            own = f"meaning.{kind}.{name}"
            explained.add(own if own in keys else f"meaning.{name}")
    assert explained == {key for key in keys if key.startswith(("about.", "meaning."))}


def test_problems_that_have_a_text_are_those_of_the_service() -> None:
    source = "".join(map(read, FOLDER.parent.rglob("*.py")))
    known = {word.replace("_", "-") for word in re.findall(r"\"([a-z_-]+)\"", source)}
    known |= {"unknown-vehicle", "unknown-meter"}
    kinds = {key.partition(".")[2] for key in texts("en") if key.startswith("problem.")}
    assert len(kinds) > 20
    assert kinds <= known


def test_no_view_has_text_of_its_own() -> None:
    for path in MODULES:
        for template in templates(read(path)):
            shown = re.sub(r"<[^>]*>", " ", template, flags=re.DOTALL)
            assert not re.search(r"[A-Za-z]{2}", shown), f"{named(path)}: {shown.strip()}"
            assert not _SPOKEN.findall(template), f"{named(path)}: {_SPOKEN.findall(template)}"


def test_text_in_a_template_would_be_found() -> None:
    (template,) = templates("const x = html`<b title=${t('a')}>${f({ a: 1 })} Hello</b>`")
    assert re.sub(r"<[^>]*>", " ", template).split() == ["Hello"]


def test_nothing_is_loaded_from_elsewhere_nor_evaluated() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in (".js", ".css", ".html") and path.parent.name != "vendor":
            source = path.read_text(encoding="utf-8")
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source), path
            assert not re.search(r"\beval\(|new Function\(|innerHTML|\son\w+=\"", source), path
