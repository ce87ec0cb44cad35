"""Charge points lose nothing when the service is killed or stopped, or its database is away."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from fleetmeter.access.rates import BURST_S
from fleetmeter.inputs.ocpp import charge_point as connection
from tests.conftest import Db, eventually, free_port, on_migrated, running_service
from tests.support.charge_points import charger, meter_value, minutes_ago
from tests.support.processes import Forked
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either

CHARGERS = 8


def test_every_message_that_was_answered_survives_a_kill_once(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    environ = on_migrated(database_url) | {"FLEETMETER_PORT": str(free_port())}
    killed = threading.Event()
    began = minutes_ago(300)

    def charge(base_url: str, number: int) -> set[datetime]:
        """Send until the service is killed; the times that were answered, and one that was not."""
        answered = set()
        with charger(base_url, f"{uid}{number}") as cp:
            for n in range(10_000):
                at = datetime.fromtimestamp(began.timestamp() + n, began.tzinfo)
                try:
                    cp.energy(at, n)
                except (WebSocketException, OSError):
                    break
                answered.add(at)
        assert killed.is_set()
        return answered

    def stored(number: int) -> list[datetime]:
        ours = "select time from meter_readings where meter_id = $1 order by time"
        return [row["time"] for row in db.fetch(ours, f"{uid}{number}-1")]

    with running_service(tmp_path, environ) as service, ThreadPoolExecutor(CHARGERS) as pool:
        work = [pool.submit(charge, service.base_url, number) for number in range(CHARGERS)]
        eventually(lambda: all(len(stored(number)) > 5 for number in range(CHARGERS)))
        killed.set()
        service.process.kill()
        service.process.wait(timeout=30)
        answered = [each.result(timeout=30) for each in work]
    with running_service(tmp_path, environ) as service:
        for number, times in enumerate(answered):
            found = stored(number)
            assert times <= set(found)
            assert len(found) == len(set(found)) <= len(times) + 1
            with charger(service.base_url, f"{uid}{number}") as cp:
                cp.energy(max(times), 5)  # again: the charger did not see the answer, say
            assert stored(number) == found


def test_a_stop_answers_what_came_in_and_says_goodbye(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    with (
        running_service(tmp_path, on_migrated(database_url)) as service,
        charger(service.base_url, f"{uid}idle") as idle,
        charger(service.base_url, f"{uid}cp") as cp,
    ):
        cp.energy(minutes_ago(5), 100)
        service.process.send_signal(signal.SIGTERM)
        for each in (idle, cp):
            with pytest.raises(ConnectionClosed) as closed:
                each.answer()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert service.process.wait(timeout=20) == 0


def test_without_its_database_a_charge_point_is_not_answered_and_sent_away(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    """So that it is offline, and keeps its messages."""
    proxy = DatabaseProxy(database_url)
    environ = on_migrated(proxy.url) | {"FLEETMETER_DATABASE_TIMEOUT_S": "1"}
    at = minutes_ago(5)
    values = {"connectorId": 1, "meterValue": [meter_value(at, 1000)]}
    with proxy.running(), _impatient(tmp_path, environ) as base_url:
        eventually(lambda: _connects(base_url, uid))
        with charger(base_url, f"{uid}cp") as cp:
            proxy.take_away()
            with pytest.raises(ConnectionClosed) as closed:
                cp.call("MeterValues", values)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        proxy.give_back()
        eventually(lambda: _connects(base_url, uid))
        with charger(base_url, f"{uid}cp") as cp:
            proxy.freeze()
            cp.send([2, "1", "MeterValues", values])
            proxy.thaw()
            assert cp.answer() == [3, "1", {}]
    found = "select count(*) from meter_readings where meter_id = $1"
    assert db.value(found, f"{uid}cp-1") == 1


def test_a_key_that_sends_too_much_waits_and_is_sent_away(
    database_url: str, tmp_path: Path, uid: str
) -> None:
    key = "fm_admin00001_" + "a" * 48
    limits = {"FLEETMETER_ADMIN_KEY": key, "FLEETMETER_KEY_REQUESTS_PER_S": "1"}
    with (
        _impatient(tmp_path, on_migrated(database_url) | limits) as base_url,
        charger(base_url, f"{uid}cp", key=key) as cp,
    ):
        for _ in range(BURST_S - 1):  # one was for the handshake
            cp.call("Heartbeat", {})
        with pytest.raises(ConnectionClosed) as closed:
            list(iter(lambda: cp.call("Heartbeat", {}), None))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


@contextmanager
def _impatient(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """Run a service that tries to store a message for half a second; its URL."""
    settings = {"FLEETMETER_PORT": str(port := free_port())} | environ
    patches = {f"{connection.__name__}.PATIENCE_S": 0.5}
    process = Forked(["serve"], settings, folder, folder / "service.log", patches)
    base_url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_ready(base_url))
        yield base_url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def _connects(base_url: str, uid: str) -> bool:
    try:
        with charger(base_url, f"{uid}cp") as cp:
            return bool(cp.call("Heartbeat", {}))
    except (OSError, InvalidStatus, ConnectionClosed):
        return False
