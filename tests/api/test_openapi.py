"""No request that the OpenAPI document allows, nor one that it forbids, is a 5xx."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import Service


def test_schemathesis_finds_no_server_error(service: Service, tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"{service.base_url}/openapi.json",
            *("--checks", "not_a_server_error"),
            *("--mode", "all", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "15", "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
