"""The wheel, installed in an environment of its own, can migrate and serve."""

import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from tests.conftest import hours_ago, meter_reading, post, running_service
from tests.support import processes
from tests.support.repository import ROOT

_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def test_a_wheel_has_all_that_it_needs_to_migrate_and_serve(tmp_path: Path) -> None:
    """Its dependencies are those of this environment."""
    packages = tmp_path / "packages"
    ZipFile(wheel(tmp_path)).extractall(packages)
    migrates_and_serves(
        tmp_path, sys.executable, "-m", "fleetmeter", environ={"PYTHONPATH": str(packages)}
    )


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_brings_what_it_depends_on(tmp_path: Path) -> None:
    empty = tmp_path / "venv"
    venv.create(empty)
    subprocess.run([*_PIP, "--python", empty, "install", wheel(tmp_path)], check=True)
    migrates_and_serves(tmp_path, str(empty / "bin/fleetmeter"))


def wheel(folder: Path) -> Path:
    """Build a wheel; return its path."""
    # with the build tools of this environment: to fetch others takes longer than all that follows
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", f"{folder}/dist"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (path,) = (folder / "dist").glob("fleetmeter-*.whl")
    return path


def migrates_and_serves(
    folder: Path, *fleetmeter: str, environ: Mapping[str, str] | None = None
) -> None:
    migrated = subprocess.run(
        [*fleetmeter, "migrate"],
        cwd=folder,
        env=processes.environment(environ or {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "applied 0001_baseline.sql" in migrated.stdout
    with (
        running_service(folder, dict(environ or {}), command=fleetmeter) as service,
        httpx.Client(base_url=service.base_url, timeout=60) as client,
    ):
        post(client, meter_reading("M-1", hours_ago(1)))
        assert client.get("/v1/meters/M-1").json()["kwhConsumedAc"] == 1.5
        assert client.get("/docs").status_code == 200
        assert client.get("/assets/swagger-ui/swagger-ui.css").status_code == 200
        page = client.get("/", headers={"Accept": "text/html"}).text
        for path in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page):
            assert client.get(path).status_code == 200, path
