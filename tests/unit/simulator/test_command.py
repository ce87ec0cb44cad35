"""The command line of `fleetmeter simulate`."""

from typing import Any

import pytest
from click.testing import CliRunner

from fleetmeter_simulator import cli, run


@pytest.mark.parametrize(("port", "expected"), [("8080", "8080"), ("", "3000"), (None, "3000")])
def test_the_service_is_looked_for_at_the_port_of_the_settings(
    port: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(run, "simulate", seen.append)
    done = CliRunner().invoke(cli.command, env={"FLEETMETER_PORT": port})
    assert done.exit_code == 0, done.output
    assert seen[0].url == f"http://127.0.0.1:{expected}"
