"""docs/inputs/ is true: its mappings can be used, and its commands print what they show."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.cli import main
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.mapping.load import parse
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.readings.decode import Item
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.slices import at_once
from tests.conftest import on_migrated, running_service
from tests.support.repository import ROOT

INPUTS = ROOT / "docs/inputs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (INPUTS / page).read_text(), re.DOTALL)


def test_every_mapping_shown_can_be_used() -> None:
    shown = [*blocks("mapping.md", "toml"), *blocks("influxdb.md", "toml")]
    mappings = [text for text in shown if "[[rules]]" in text]
    assert len(mappings) == 3
    assert all(parse(text, "shown") for text in mappings)


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


LINES_OF_PROGRAMS = """
chargeTotalImport,loadpoint=Carport,vehicle=blue\\ e-Golf value=1234.5 {s}
chargePower,loadpoint=Carport,vehicle=blue\\ e-Golf value=11000 {s}
chargePower,loadpoint=Garage value=0 {s}
kWh,domain=sensor,entity_id=garage_wallbox_energy device_class_str="energy",friendly_name_str="Wallbox, energy",value=88.25 {s}
data _meta0/Version="2026.11",evcs0/ActivePower=11040i,evcs0/ActiveProductionEnergy=5000i,sum/GridActivePower=-20i {s}
"""  # noqa: E501 - a line each
"""What evcc, Home Assistant and OpenEMS write, by their sources."""


def test_a_line_that_is_not_utf8_is_told_in_a_trial(tmp_path: Path) -> None:
    path = tmp_path / "depot.toml"
    path.write_text(blocks("mapping.md", "toml")[0])
    lines = b"wallbox,site=north,charger=1 energy=1\nwallbox,site=north,charger=\xe4 energy=1"
    done = CliRunner().invoke(main, ["mapping", "test", str(path)], input=lines)
    assert "line 1: meterId north/1" in done.output
    assert "line 2: the line is not UTF-8 text" in done.output


def test_what_programs_of_homes_write_is_read_by_the_mapping_shown_for_them() -> None:
    mapping = Mapping(parse(blocks("influxdb.md", "toml")[3], "shown"))
    known = KnownHeads()
    found: Sequence[Item] = []
    for at in (1_790_000_000, 1_790_000_060):  # first parsed, then known
        decoder = LineDecoder(mapping, known, 1_000_000_000, 1000)
        at_once(decoder.feed(LINES_OF_PROGRAMS.replace("{s}", str(at)).encode()))
        found = at_once(decoder.finish())
        assert all(isinstance(each, Telemetry) for each in found)
    assert [
        (each.meter_id, each.kwh_consumed_ac_total, each.power_kw)
        for each in found
        if isinstance(each, Telemetry)
    ] == [
        ("Carport", 1234.5, None),
        ("Carport", None, 11),
        ("Garage", None, 0),
        ("garage", 88.25, None),
        ("evcs0", 5, None),
    ]


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
