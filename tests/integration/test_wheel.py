"""What users install: a wheel in an empty environment can migrate and serve."""

import subprocess
import sys
import venv
from pathlib import Path

import httpx

from tests.conftest import hours_ago, meter_reading, post, running_service

ROOT = Path(__file__).parents[2]


def test_a_wheel_in_an_empty_environment_can_migrate_and_serve(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT], check=True)
    (wheel,) = (tmp_path / "dist").glob("fleetmeter-*.whl")
    venv.create(tmp_path / "venv")
    subprocess.run([*pip, "--python", tmp_path / "venv", "install", wheel], check=True)
    fleetmeter = tmp_path / "venv/bin/fleetmeter"

    migrated = subprocess.run(
        [fleetmeter, "migrate"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "applied 0001_tables.sql" in migrated.stdout
    with (
        running_service(tmp_path, {}, command=[str(fleetmeter)]) as service,
        httpx.Client(base_url=service.base_url) as client,
    ):
        post(client, meter_reading("M-1", hours_ago(1)))
        assert client.get("/v1/meters/M-1").json()["kwhConsumedAc"] == 1.5
        assert client.get("/docs").status_code == 200
        assert client.get("/assets/swagger-ui/swagger-ui.css").status_code == 200
