"""docs/inputs/ocpp.md is true: its program charges, its rules can be used."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.access.key_text import parse_key
from fleetmeter.cli import main
from fleetmeter.connections import websocket
from fleetmeter.inputs.mapping.charge_points import ChargePointRule
from fleetmeter.inputs.mapping.load import parse_file
from fleetmeter.inputs.ocpp import charge_point
from fleetmeter.readings.ocpp import STORED
from fleetmeter.settings import Settings
from tests.conftest import Service, on_migrated
from tests.support.processes import fleetmeter
from tests.support.repository import ROOT

PAGE = (ROOT / "docs/inputs/ocpp.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.either
def test_the_program_is_a_charger(service: Service, client: httpx.Client) -> None:
    (program,) = blocks("python")
    url = service.base_url.removeprefix("http://")
    assert "ws://127.0.0.1:3000/ocpp" in program
    exec(program.replace("127.0.0.1:3000", url), {})  # noqa: S102 - it is the page's
    found = client.get("/v1/meters/CP-7-1").json()
    assert (found["kwhConsumedAcTotal"], found["powerKw"]) == (1206, 7.2)
    (transaction,) = client.get("/v1/transactions?stationId=CP-7").json()["items"]
    assert (transaction["open"], transaction["token"]) == (True, "04A2B3C4")


@pytest.mark.either
def test_the_key_that_is_shown_can_be_made(database_url: str, tmp_path: Path) -> None:
    command = shlex.split(blocks("sh")[0])
    done = fleetmeter(tmp_path, *command[1:], **on_migrated(database_url))
    assert done.returncode == 0, done.stderr
    assert parse_key(done.stdout.split()[-1]) is not None
    assert len(done.stdout.split()[-1]) == 40


def test_the_rules_can_be_used_and_every_key_is_explained(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    assert len(parse_file(text, "shown").chargePoints) == 2
    for key in ChargePointRule.__struct_fields__:
        assert key in text
    path = tmp_path / "depot.toml"
    path.write_text(text)
    command = shlex.split(blocks("sh")[-1].replace("depot.toml", str(path)))
    done = CliRunner().invoke(main, command[1:])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("meterId OLD-1-1, kwhConsumedAcTotal 12.5, timestamp ")


def test_limits_and_measurands_are_those_of_the_program() -> None:
    for measurand in STORED:
        *_, last = measurand.rsplit(".", 1)
        assert measurand in PAGE or f"`.{last}`" in PAGE, measurand
    assert f"every `FLEETMETER_OCPP_SAMPLE_S` seconds ({Settings().ocpp_sample_s})" in PAGE
    assert f"a ping after {websocket.PING_S:g} s" in PAGE
    assert f"{websocket.SILENCE_S / 60:g} minutes" in PAGE
    assert f"tried for {charge_point.PATIENCE_S:g} s" in PAGE
    assert websocket.MAX_MESSAGE_BYTES == 1 << 20
