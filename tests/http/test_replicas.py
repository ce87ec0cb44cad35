"""Two services on one database: once, forward only, and assignments exact to the reading."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import (
    Db,
    eventually,
    hours_ago,
    meter_reading,
    on_migrated,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences, unshared_energy

MINUTE = timedelta(minutes=1)


@pytest.fixture
def replicas(client: httpx.Client, replica: httpx.Client) -> list[httpx.Client]:
    """Clients of two services on one database."""
    return [client, replica]


@pytest.mark.either
def test_two_services_store_each_reading_once_with_the_meter_in_force(
    replicas: list[httpx.Client], db: Db, uid: str
) -> None:
    """The same readings go to both, in another order, while assignments change through both."""
    start = hours_ago(0.9)
    vehicles = [f"{uid}EV-{n}" for n in range(4)]
    minutes = range(50)
    for vehicle in vehicles:  # both remember this assignment when it changes
        for replica in replicas:
            post(replica, vehicle_reading(vehicle, start - MINUTE))

    def send(replica: httpx.Client, minute: int) -> int:
        outcome = post(
            replica,
            *(vehicle_reading(vehicle, start + minute * MINUTE) for vehicle in vehicles),
            *(meter_reading(f"{uid}M{n}", start + minute * MINUTE, 2.5) for n in range(5)),
        )
        return int(outcome["accepted"])

    def change(replica: httpx.Client, vehicle: str, n: int) -> int:
        answer = replica.put(
            f"/v1/vehicles/{vehicle}/meter",
            json={"meterId": f"{uid}M{n}", "since": rfc3339(start + 10 * n * MINUTE)},
        )
        assert answer.status_code == 200, answer.text
        return 0

    with ThreadPoolExecutor(8) as workers:
        jobs = []
        for minute in minutes:
            jobs.append(workers.submit(send, replicas[0], minute))
            jobs.append(workers.submit(send, replicas[1], 49 - minute))
            if minute % 10 == 5:
                for number, vehicle in enumerate(vehicles):
                    jobs.append(workers.submit(change, replicas[number % 2], vehicle, minute // 10))
        accepted = sum(job.result() for job in jobs)

    assert accepted == 50 * (4 + 5)
    for vehicle in vehicles:
        rows = db.fetch(
            "select meter_id from vehicle_readings where vehicle_id = $1 and time >= $2"
            " order by time",
            vehicle,
            start,
        )
        assert [row["meter_id"] for row in rows] == [f"{uid}M{minute // 10}" for minute in minutes]
        state = replicas[0].get(f"/v1/vehicles/{vehicle}").json()
        assert state["timestamp"] == rfc3339(start + 49 * MINUTE)
        assert state["meterId"] == f"{uid}M4"
    eventually(lambda: rollup_differences(db, uid) == [])
    assert unshared_energy(db, uid) == []


def test_a_service_with_a_stale_cache_still_stores_each_reading_once(
    replicas: list[httpx.Client], db: Db, uid: str
) -> None:
    at = hours_ago(0.5)
    first, second = replicas
    post(first, meter_reading(f"{uid}M", at))
    post(second, meter_reading(f"{uid}M", at + MINUTE), meter_reading(f"{uid}N", at))
    # the first does not know of the second's: it takes them for fresh
    outcome = post(
        first,
        *(meter_reading(f"{uid}M", at + n * MINUTE) for n in range(4)),
        *(meter_reading(f"{uid}N", at + n * MINUTE) for n in range(4)),
    )
    assert outcome == {"accepted": 5, "duplicates": 3, "rejected": []}
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == 8


@pytest.mark.either
def test_bodies_that_never_end_are_bounded_and_given_up(database_url: str, tmp_path: Path) -> None:
    environ = {
        **on_migrated(database_url),
        "FLEETMETER_MAX_BODY_BYTES": "65536",
        "FLEETMETER_QUEUE_BYTES": "65536",
        "FLEETMETER_BODY_TIMEOUT_S": "1",
    }
    with running_service(tmp_path, environ) as service:
        address = ("127.0.0.1", int(service.base_url.rpartition(":")[2]))

        def stall() -> bytes:
            with socket.create_connection(address, timeout=10) as connection:
                connection.sendall(
                    b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 60000\r\n\r\n" + b" " * 50_000
                )
                return connection.recv(4096).partition(b"\r\n")[0]

        with ThreadPoolExecutor(4) as clients:
            answers = sorted(clients.map(lambda _: stall(), range(4)))
        assert (
            answers == [b"HTTP/1.1 408 Request Timeout"] + [b"HTTP/1.1 503 Service Unavailable"] * 3
        )
        assert httpx.post(f"{service.base_url}/v1/ingest", json=[]).status_code == 200


@pytest.mark.either
def test_a_body_that_arrives_slowly_blocks_nobody(client: httpx.Client, uid: str) -> None:
    async def slowly() -> None:
        begun, others_are_done = asyncio.Event(), asyncio.Event()

        async def chunks() -> object:
            yield b"["
            begun.set()
            await others_are_done.wait()
            yield b"]"

        async with httpx.AsyncClient(base_url=client.base_url) as slow:
            pending = asyncio.create_task(
                slow.post(
                    "/v1/ingest",
                    content=chunks(),  # type: ignore[arg-type]
                    headers={"content-type": "application/json"},
                )
            )
            await asyncio.wait_for(begun.wait(), 20)
            await asyncio.to_thread(post, client, meter_reading(f"{uid}M", hours_ago(1)))
            assert not pending.done()
            others_are_done.set()
            assert (await pending).status_code == 200

    asyncio.run(slowly())


@pytest.mark.slow
def test_several_processes_share_one_port_and_one_truth(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    environ = on_migrated(database_url)
    with running_service(tmp_path, environ, options=["--workers", "2"]) as service:
        assert len(psutil.Process(service.process.pid).children()) >= 2
        batch = [meter_reading(f"{uid}M-{n}", hours_ago(0.5)) for n in range(50)]

        def send(_: int) -> int:
            with httpx.Client(base_url=service.base_url, timeout=30) as client:
                return int(post(client, *batch)["accepted"])

        with ThreadPoolExecutor(8) as senders:
            assert sum(senders.map(send, range(24))) == 50
        service.process.terminate()
        assert service.process.wait(30) == 0
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == 50
