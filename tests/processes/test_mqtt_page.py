"""docs/inputs/mqtt.md is true: its mappings can be used, and its commands do what it says."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.cli import main
from fleetmeter.inputs.mapping.load import parse_file, preset
from fleetmeter.inputs.mapping.presets import PRESETS
from fleetmeter.settings import Settings
from tests.conftest import eventually, on_migrated, running_service
from tests.support.mosquitto import broker
from tests.support.repository import ROOT

PAGE = (ROOT / "docs/inputs/mqtt.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_mapping_shown_can_be_used() -> None:
    assert all(parse_file(text, "shown").rules for text in blocks("toml"))
    for keys in re.findall(r"`((?:readings|lineProtocol|presets) = .*?)`", PAGE):
        assert parse_file(f"{keys}\n{blocks('toml')[0]}", "shown")


def test_the_trial_of_a_message_prints_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "depot.toml").write_text(blocks("toml")[0])
    (shown,) = re.findall(r"```\n(meterId.*?)```", PAGE, re.DOTALL)
    words = shlex.split(blocks("sh")[-1].replace("depot.toml", f"{tmp_path}/depot.toml"))
    done = CliRunner().invoke(main, words[1:])
    assert (done.exit_code, done.output) == (0, shown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--payload", "{}"], "not taken (no_field): depot/{site}/{charger}/state\n"),
        (["--payload", "{"], "the message is neither JSON nor a text"),
        (["--payload", '{"power": 1}', "--retained"], "not taken (retained)"),
        (["--payload", '[{"power": 1}, {"power": 1, "time": "x"}]'], "not every reading of the"),
    ],
)
def test_the_trial_of_a_message_that_is_none_fails(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    path = tmp_path / "depot.toml"
    path.write_text(blocks("toml")[0])
    topic = ["--topic", "depot/north/3/state"]
    done = CliRunner().invoke(main, ["mapping", "test", str(path), *topic, *arguments])
    assert done.exit_code == 1
    assert said in done.output


def test_a_preset_is_printed_to_be_copied() -> None:
    for name in PRESETS:
        done = CliRunner().invoke(main, ["mapping", "preset", name])
        assert parse_file(done.output, name).rules == preset(name)


def test_presets_and_settings_are_all_there() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.split("## Presets")[1], re.MULTILINE)[
        : len(PRESETS)
    ] == list(PRESETS)
    names = {f"FLEETMETER_{name.upper()}" for name in Settings.__struct_fields__ if "mqtt" in name}
    assert names <= set(re.findall(r"FLEETMETER_\w+", PAGE))


@pytest.mark.either
def test_the_first_message_is_stored(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "depot.toml").write_text(blocks("toml")[0])
    with broker(tmp_path) as running:
        first, publishing = (
            shlex.split(each.replace("1883", str(running.port))) for each in blocks("sh")[:2]
        )
        environ = dict(each.split("=", 1) for each in first if "=" in each)
        with (
            running_service(tmp_path, on_migrated(database_url) | environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(lambda: client.get("/v1/inputs").json()["mqtt"]["connected"])
            subprocess.run(publishing, check=True)
            answer = eventually(
                lambda: (a := client.get("/v1/meters/north%2F3")).status_code == 200 and a
            )
            found = answer.json()
            assert (found["kwhConsumedAcTotal"], found["powerKw"]) == (1.5, 7.25)
