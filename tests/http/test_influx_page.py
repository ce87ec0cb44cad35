"""docs/inputs/ is true: its mappings can be used, and its commands print what they show."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.cli import main
from fleetmeter.inputs.mapping.load import parse
from tests.conftest import on_migrated, running_service
from tests.support.repository import ROOT

INPUTS = ROOT / "docs/inputs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (INPUTS / page).read_text(), re.DOTALL)


def test_every_mapping_shown_can_be_used() -> None:
    shown = [*blocks("mapping.md", "toml"), blocks("influxdb.md", "toml")[0]]
    assert all(parse(text, "shown") for text in shown)


def test_the_trial_of_a_mapping_prints_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "depot.toml"
    path.write_text(blocks("mapping.md", "toml")[0])
    (command,) = blocks("mapping.md", "sh")
    words = shlex.split(command.replace("depot.toml", str(path)))
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, done.output
    text = (INPUTS / "mapping.md").read_text()
    (shown,) = re.findall(r"```\n(line 1.*?)```", text, re.DOTALL)
    assert done.output == shown


@pytest.mark.either
def test_the_first_lines_are_stored(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "depot.toml").write_text(blocks("influxdb.md", "toml")[0])
    command = shlex.split(blocks("influxdb.md", "sh")[1])
    environ = on_migrated(database_url) | {"FLEETMETER_MAPPING": "depot.toml"}
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url) as client,
    ):
        url = command[command.index("-i") + 1].replace("http://127.0.0.1:3000", service.base_url)
        assert client.post(url, content=command[-1].encode()).status_code == 204
        found = client.get("/v1/meters/north%2F3").json()
        assert (found["kwhConsumedAcTotal"], found["powerKw"]) == (1.5, 7.25)
