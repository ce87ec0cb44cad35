"""docs/inputs/client.md is true: its program stores what it says, now or after the next start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fleetmeter.client import Client
from tests.conftest import Service
from tests.support.repository import ROOT

PAGE = (ROOT / "docs/inputs/client.md").read_text()


def run(url: str, folder: Path) -> str:
    """Run the program of the page; what it says."""
    program = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    (folder / "gateway.py").write_text(program.replace("http://127.0.0.1:3000", url))
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "gateway.py"], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.either
def test_the_first_readings_are_stored(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    assert not run(service.base_url, tmp_path)
    assert client.get("/v1/meters/MTR-1").json()["kwhConsumedAcTotal"] == 1204.5
    vehicle = client.get("/v1/vehicles/EV-1").json()
    assert (vehicle["kwhDeliveredDcTotal"], vehicle["soc"]) == (871.25, 72)


@pytest.mark.slow
def test_without_the_service_it_says_so_and_keeps_them(tmp_path: Path) -> None:
    assert "not sent yet: no answer" in run("http://127.0.0.1:1", tmp_path)
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_the_options_are_those_that_are_shown() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert Client.__init__.__kwdefaults__ is not None
    assert shown == list(Client.__init__.__kwdefaults__)
