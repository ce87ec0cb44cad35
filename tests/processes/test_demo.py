"""`fleetmeter demo`: its history is what the API would have stored, and it continues."""

import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetmeter_simulator.demo.filling import Filling
from fleetmeter_simulator.demo.readings import QUARTER
from fleetmeter_simulator.demo.simulation import Scope, Simulation, midnight_before, write_history
from tests.conftest import (
    Db,
    Server,
    eventually,
    free_port,
    migrated_database,
    on_migrated,
    running_service,
    settled,
)
from tests.support.processes import Forked, fleetmeter

SCOPE = Scope(days=1, share=0.03)


def answers(base_url: str, simulation: Simulation) -> dict[str, Any]:
    """Live state, history and energy, as the API tells them."""
    vehicle, meter = simulation.fleet.vehicles[0], simulation.fleet.meters[0]
    window: dict[str, Any] = {
        "from": (simulation.midnight + timedelta(hours=5)).isoformat(),
        "to": simulation.now.isoformat(),
    }
    found: dict[str, Any] = {}
    with httpx.Client(base_url=base_url, timeout=30) as client:
        for path in (
            "/v1/vehicles",
            "/v1/meters",
            f"/v1/vehicles/{vehicle.vehicle_id}/readings",
            f"/v1/meters/{meter.meter_id}/readings",
            f"/v1/vehicles/{vehicle.vehicle_id}/energy",
            f"/v1/analytics/performance/{vehicle.vehicle_id}",
            f"/v1/analytics/meters/{meter.meter_id}",
            "/v1/analytics/fleet",
            "/v1/analytics/fleet/energy",
            "/v1/analytics/sites",
        ):
            answer = client.get(path, params=window | {"limit": 1000})
            assert answer.status_code == 200, answer.text
            found[path] = without_arrivals(answer.json())
    return found


def without_arrivals(document: Any) -> Any:
    """Leave out when readings arrived, and what rules found, which depends on it."""
    if isinstance(document, list):
        return [without_arrivals(each) for each in document]
    if isinstance(document, dict):
        return {
            name: without_arrivals(value)
            for name, value in document.items()
            if name not in ("lastSeen", "receivedAt", "anomalies")
        }
    return document


@pytest.mark.slow
def test_a_history_that_is_imported_equals_the_same_history_posted(
    server: Server, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    midnight = midnight_before(now, SCOPE.days)
    until = now - timedelta(minutes=QUARTER)
    posted, imported = Simulation(SCOPE, midnight), Simulation(SCOPE, midnight)
    with (
        migrated_database(server, jobs=False) as database_url,
        running_service(tmp_path, on_migrated(database_url)) as service,
    ):
        filling = Filling(service.base_url, None, lambda: False)
        filling.describe(posted)
        filling.send(posted.quarters(until))
        filling.close()
        settled(Db(database_url))
        by_api = answers(service.base_url, posted)
    with migrated_database(server, jobs=False) as database_url:
        environ = on_migrated(database_url)
        with running_service(tmp_path, environ) as service:
            filling = Filling(service.base_url, None, lambda: False)
            filling.describe(imported)
            filling.close()
        count = write_history(tmp_path / "history.ndjson", imported.quarters(until))
        done = fleetmeter(tmp_path, "import", "--evaluate", "history.ndjson", **environ)
        assert done.returncode == 0, done.stderr
        assert f"{count:,} accepted, 0 duplicates, 0 rejected" in done.stdout
        settled(Db(database_url))
        with running_service(tmp_path, environ) as service:
            by_import = answers(service.base_url, imported)
    assert len(by_api["/v1/vehicles"]["items"]) == len(posted.fleet.vehicles)
    assert by_api["/v1/analytics/fleet"]["totalEnergyDeliveredDc"] > 50
    assert by_import == by_api


@pytest.mark.slow
def test_the_demo_is_live_and_continues_when_it_is_run_again(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ("--days", "1", "--share", "0.03", "--port", str(port))
    stored: list[list[str]] = []
    for _ in range(2):
        log = tmp_path / "output"
        log.write_text("")
        process = Forked(["demo", *options], {}, tmp_path, log)
        try:
            eventually(_is_ready, log, process, timeout_s=90)
            with httpx.Client(base_url=url, timeout=30) as client:
                vehicles = client.get("/v1/vehicles").json()["items"]
                assert client.get("/v1/rejections").json()["items"] == []
                path = f"/v1/vehicles/{vehicles[0]['vehicleId']}/readings"
                since = midnight_before(datetime.now(UTC), 2).isoformat()
                read = client.get(path, params={"from": since, "limit": 1000}).json()["items"]
                stored.append([each["timestamp"] for each in read])
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=40) == 0, log.read_text()
        finally:
            process.kill()
    assert len(vehicles) == 8
    first, second = stored
    assert len(first) > 24 * 4
    assert second[: len(first)] == first
    assert len(second) - len(first) <= 5
    assert re.search(r"to remove them: rm -r data-demo", log.read_text())


def _is_ready(log: Path, process: Forked) -> bool:
    assert process.poll() is None, log.read_text()
    return "The demo is at" in log.read_text()
