"""The database goes away and comes back; the service is stopped and killed."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.conftest import (
    COMMAND,
    Db,
    Service,
    eventually,
    hours_ago,
    meter_reading,
    on_migrated,
    post,
    running_service,
    vehicle_reading,
)
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either


class Setup(NamedTuple):
    proxy: DatabaseProxy
    service: Service
    client: httpx.Client


@pytest.fixture(scope="module")
def behind_proxy(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """A service whose database can be taken away; each test leaves it as it was."""
    proxy = DatabaseProxy(database_url)
    environ = {**on_migrated(proxy.url), "FLEETMETER_DATABASE_TIMEOUT_S": "1.5"}
    with (
        proxy.running(),
        running_service(tmp_path_factory.mktemp("behind-proxy"), environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        yield Setup(proxy, service, client)


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == "urn:fleetmeter:problem:database-unavailable"


def test_without_its_database_it_answers_503_and_recovers_by_itself(
    behind_proxy: Setup, db: Db, uid: str
) -> None:
    proxy, service, client = behind_proxy
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}EV", at))

    proxy.take_away()
    lost = vehicle_reading(f"{uid}EV", at + timedelta(minutes=1))
    for _ in range(12):  # more than the pool has connections
        assert_unavailable(client.post("/v1/ingest", json=lost))
    for path in (f"/v1/vehicles/{uid}EV", f"/v1/analytics/performance/{uid}EV", "/health/ready"):
        assert_unavailable(client.get(path))
    assert client.get("/health/live").status_code == 200
    stored = "select count(*) from vehicle_readings where vehicle_id = $1"
    assert db.value(stored, f"{uid}EV") == 1

    proxy.give_back()
    answer = eventually(
        lambda: (a := client.post("/v1/ingest", json=lost)).status_code == 200 and a, timeout_s=10
    )
    assert answer.json()["accepted"] == 1
    assert service.process.poll() is None


def test_a_database_that_does_not_answer_is_503_too(behind_proxy: Setup, uid: str) -> None:
    proxy, _, client = behind_proxy
    reading = meter_reading(f"{uid}M", hours_ago(1))
    proxy.freeze()
    assert_unavailable(client.post("/v1/ingest", json=reading))
    proxy.thaw()
    eventually(lambda: client.post("/v1/ingest", json=reading).status_code == 200)


def test_a_full_queue_answers_at_once_and_keeps_the_connection_however_large_the_body(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    proxy = DatabaseProxy(database_url)
    environ = {**on_migrated(proxy.url), "FLEETMETER_QUEUE_READINGS": "1"}
    large = [
        meter_reading(f"{uid}L", hours_ago(2) + timedelta(milliseconds=n)) for n in range(20_000)
    ]
    with (
        proxy.running(),
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
        ThreadPoolExecutor(1) as other,
    ):
        proxy.freeze()
        first = meter_reading(f"{uid}M", hours_ago(1))
        waits = other.submit(httpx.post, f"{service.base_url}/v1/ingest", json=first, timeout=30)
        eventually(lambda: client.post("/v1/ingest", json=[]).status_code == 503)
        for _ in range(3):
            answer = client.post("/v1/ingest", json=large)
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:fleetmeter:problem:overloaded"
            assert answer.headers["retry-after"] == "1"
            assert "connection" not in answer.headers
        assert not waits.done()
        proxy.thaw()
        assert waits.result().status_code == 200
        assert post(client, *large)["accepted"] == len(large)
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == len(large) + 1


def test_connections_cut_in_the_middle_of_batches_lose_and_duplicate_nothing(
    behind_proxy: Setup, db: Db, uid: str
) -> None:
    proxy, _, client = behind_proxy
    batches = [
        [meter_reading(f"{uid}M-{n}", hours_ago(3) + timedelta(minutes=minute)) for n in range(200)]
        for minute in range(20)
    ]

    def cut() -> None:
        proxy.take_away()
        proxy.give_back()

    took_s = 0.0
    for number, batch in enumerate(batches):
        # after ever more of the time that the first batches took, on a machine of any speed
        cutter = threading.Timer(took_s * (number % 10) / 8, cut)
        started = time.monotonic()
        if number >= 2:
            cutter.start()
        while (answer := client.post("/v1/ingest", json=batch)).status_code != 200:
            assert_unavailable(answer)
            time.sleep(0.02)
        if number < 2:
            took_s = time.monotonic() - started
        else:
            cutter.join()
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == 20 * 200


def test_a_signal_lets_requests_in_flight_finish(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    batch = [
        meter_reading(f"{uid}M-{n % 500}", hours_ago(3) + timedelta(minutes=n // 500))
        for n in range(20_000)
    ]
    with running_service(tmp_path, on_migrated(database_url)) as service:
        answers = []
        sender = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{service.base_url}/v1/ingest", json=batch, timeout=30)
            )
        )
        sender.start()
        eventually(
            lambda: db.fetch(
                "select from pg_stat_activity where application_name = 'fleetmeter'"
                " and state <> 'idle' and query ~* 'copy.*(readings|incoming)|store_readings'"
            ),
            pause_s=0.002,
            timeout_s=15,
        )
        service.process.send_signal(signal.SIGTERM)
        sender.join()
        assert service.process.wait(20) == 0
        assert answers[0].json()["accepted"] == 20_000


def test_what_was_acknowledged_survives_a_kill_and_a_second_start_continues(
    tmp_path: Path,
) -> None:
    """The processes of the embedded server outlive a killed service."""
    at = hours_ago(1)
    with running_service(tmp_path, {}, COMMAND) as service:
        with httpx.Client(base_url=service.base_url) as client:
            post(client, vehicle_reading("EV-1", at))
        service.process.kill()
        service.process.wait()
    with running_service(tmp_path, {}) as service:
        answer = httpx.get(f"{service.base_url}/v1/vehicles/EV-1")
        assert answer.json()["kwhDeliveredDc"] == 1.2
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(20) == 0
    assert not (tmp_path / "data/postgresql/postmaster.pid").exists()


def test_what_line_protocol_got_a_204_for_is_stored_once_however_the_service_is_killed(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    second = int(hours_ago(2).timestamp())
    batches = [
        "\n".join(
            f"any,meterId={uid}M{sender} kwhConsumedAcTotal={number} {second + number}"
            for number in range(first, first + 50)
        )
        for sender in range(4)
        for first in range(0, 2500, 50)
    ]
    left = list(reversed(batches))
    acknowledged: list[str] = []
    open_: list[str] = []

    def send_until_it_is_gone(base_url: str) -> None:
        with httpx.Client(base_url=base_url, timeout=30) as client:
            while left:
                batch = left.pop()
                try:
                    answer = client.post("/api/v2/write?precision=s", content=batch)
                except httpx.TransportError:
                    open_.append(batch)
                    return
                (acknowledged if answer.status_code == 204 else open_).append(batch)

    def stored() -> set[tuple[str, int]]:
        rows = db.fetch(
            "select meter_id, extract(epoch from time)::bigint - $2 as number from meter_readings "
            "where starts_with(meter_id, $1)",
            uid,
            second,
        )
        found = [(row["meter_id"], row["number"]) for row in rows]
        assert len(found) == len(set(found))
        return set(found)

    def sent(of: list[str]) -> set[tuple[str, int]]:
        lines = [line.split() for batch in of for line in batch.split("\n")]
        return {(head.partition("=")[2], int(time) - second) for head, _, time in lines}

    environ = on_migrated(database_url)
    with ThreadPoolExecutor(8) as senders:
        for most in (20, 60, 100):  # batches after which it is killed
            with running_service(tmp_path, environ) as service:
                sending = [
                    senders.submit(send_until_it_is_gone, service.base_url) for _ in range(8)
                ]
                eventually(lambda: len(acknowledged) >= most, pause_s=0.001)  # noqa: B023
                service.process.send_signal(signal.SIGKILL)
                service.process.wait()
                for each in sending:
                    each.result()
            assert open_, "none was in flight"
            assert sent(acknowledged) <= stored()
            left += open_  # what got no 204 is sent again
            open_.clear()
        with running_service(tmp_path, environ) as service:
            send_until_it_is_gone(service.base_url)
    assert not left
    assert not open_
    assert stored() == sent(batches)


def test_a_database_that_is_not_migrated_is_503_everywhere(
    empty_database_url: str, tmp_path: Path
) -> None:
    environ = {"FLEETMETER_DATABASE_URL": empty_database_url, "FLEETMETER_MIGRATE": "false"}
    with (
        running_service(tmp_path, environ, probe="/health/live") as service,
        httpx.Client(base_url=service.base_url) as client,
    ):
        for answer in (
            client.get("/health/ready"),
            client.get("/v1/vehicles"),
            client.post("/v1/ingest", json=meter_reading("M", hours_ago(1))),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:fleetmeter:problem:not-migrated"
            assert "fleetmeter migrate" in answer.json()["detail"]


def test_backends_that_are_ended_in_the_middle_of_anything_are_never_a_500(
    client: httpx.Client, db: Db, uid: str
) -> None:
    done = threading.Event()

    def end_backends() -> None:
        while not done.wait(0.2):
            db.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'fleetmeter' and datname = current_database()"
                " and random() < 0.7"
            )

    def send(number: int) -> set[int]:
        statuses = set()
        for minute in range(16):
            at = hours_ago(3) + timedelta(minutes=minute)
            batch = [meter_reading(f"{uid}M-{number}-{n}", at) for n in range(50)]
            statuses.add(client.post("/v1/ingest", json=batch).status_code)
            statuses.add(client.get("/v1/meters", params={"limit": 5}).status_code)
        return statuses

    with ThreadPoolExecutor(4) as senders:
        ender = threading.Thread(target=end_backends)
        ender.start()
        try:
            statuses = set().union(*senders.map(send, range(4)))
        finally:
            done.set()
            ender.join()
    assert statuses <= {200, 503}
