"""GET /metrics: what happened is counted, by bounded labels."""

import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from fleetmeter import metrics
from fleetmeter.operations.monitoring import FIGURES
from tests.conftest import eventually, hours_ago, post, running_service, vehicle_reading
from tests.support.repository import page

pytestmark = pytest.mark.either


def samples(client: httpx.Client) -> dict[str, float]:
    """All values, by name and labels as they are written."""
    answer = client.get("/metrics").raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in parse(answer.text)
        for sample in family.samples
    }


def test_what_happens_is_counted(client: httpx.Client, uid: str) -> None:
    before = samples(client)

    def more(name: str) -> float:
        return samples(client)[name] - before.get(name, 0)

    reading = vehicle_reading(uid, hours_ago(1), 1)
    post(client, reading)
    post(client, reading, vehicle_reading(uid, hours_ago(2), 1))
    client.post("/v1/ingest", json=[{"vehicleId": uid}])
    client.get(f"/v1/vehicles/{uid}")
    client.get(f"/v1/vehicles/{uid}x")
    client.get(f"/{uid}")
    assert more("fleetmeter_readings_total outcome=accepted protocol=http") == 2
    assert more("fleetmeter_readings_total outcome=duplicate protocol=http") == 1
    assert more("fleetmeter_readings_total outcome=rejected protocol=http") == 1
    assert more("fleetmeter_rejected_readings_total code=missing_field") == 1
    assert more("fleetmeter_stored_readings_total path=appended") == 1
    assert more("fleetmeter_stored_readings_total path=merged") == 2
    assert more("fleetmeter_commit_seconds_count") == 2
    assert more("fleetmeter_commit_readings_sum") == 3
    requests = "fleetmeter_http_requests_total method={} route={} status={}"
    vehicle = "/v1/vehicles/{vehicle_id}"
    assert more(requests.format("POST", "/v1/ingest", 200)) == 2
    assert more(requests.format("POST", "/v1/ingest", 422)) == 1
    assert more(requests.format("GET", vehicle, 200)) == 1
    assert more(requests.format("GET", vehicle, 404)) == 1
    assert more(requests.format("GET", "other", 404)) == 1
    assert more("fleetmeter_http_request_seconds_count route=/v1/ingest") == 3


def test_gauges_are_current(client: httpx.Client, uid: str) -> None:
    with client.stream("GET", "/v1/stream"):
        eventually(lambda: samples(client)["fleetmeter_stream_clients"] == 1)
    now = samples(client)
    assert now["fleetmeter_processes"] == 1
    assert now["fleetmeter_process_resident_memory_bytes"] > 10_000_000
    assert now["fleetmeter_process_cpu_seconds_total"] > 0
    assert now["fleetmeter_database_connections"] >= 2
    assert now["fleetmeter_queue_readings"] == 0
    assert now["fleetmeter_database_up"] == 1
    assert now["fleetmeter_failing_jobs"] == 0
    assert now["fleetmeter_rollup_lag_seconds"] >= 0
    post(client, vehicle_reading(uid, hours_ago(1), 1))
    eventually(lambda: samples(client).get("fleetmeter_devices kind=vehicle", 0) > 0)


@pytest.mark.slow
def test_several_processes_count_together(database_url: str, tmp_path: Path, uid: str) -> None:
    environ = {"FLEETMETER_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "fleetmeter"]  # where a process counts is decided at its start
    with running_service(tmp_path, environ, command, options=["--workers", "2"]) as service:
        for n in range(8):
            # a connection each: whichever process takes it
            httpx.post(
                f"{service.base_url}/v1/ingest",
                json=[vehicle_reading(f"{uid}{n}", hours_ago(1), 1)],
            ).raise_for_status()
        with httpx.Client(base_url=service.base_url) as client:
            eventually(lambda: samples(client).get("fleetmeter_processes") == 2)
            now = samples(client)
    assert now["fleetmeter_readings_total outcome=accepted protocol=http"] == 8
    assert now["fleetmeter_commit_readings_sum"] == 8
    assert now["fleetmeter_database_up"] == 1


def test_the_page_lists_every_metric() -> None:
    text = page("metrics.md")
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.REGISTRY.collect()
    }
    names |= {f"fleetmeter_{name}" for name in FIGURES} | {"fleetmeter_database_up"}
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `fleetmeter_")}
    assert listed == names
