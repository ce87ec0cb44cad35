"""The client of gateways against a real service: nothing is lost or doubled by kills and faults."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetmeter import client
from fleetmeter.client import Client, Lost
from tests.conftest import (
    Db,
    Service,
    eventually,
    free_port,
    hours_ago,
    meter_reading,
    on_migrated,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either

MOST = 100

GATEWAY = """
import sys
from datetime import datetime, timedelta
import copied_client
from copied_client import Client

copied_client._PAUSES_S = 0.05, 0.2
url, uid, start, first = sys.argv[1:]
with Client(url, "spool", batch_bytes=4000, max_age_s=0.05) as client:
    for number in range(int(first), 100_000):
        at = datetime.fromisoformat(start) + timedelta(seconds=number)
        client.put(
            {"vehicleId": uid + "EV", "kwhDeliveredDcTotal": number / 100, "timestamp": at},
            {"meterId": uid + "M", "kwhConsumedAcTotal": number / 50, "timestamp": at},
        )
        print(number, flush=True)
        if sys.stdin.read(1) != "n":
            break
"""

STORED = """
select extract(epoch from time - $2::timestamptz)::integer as number, register_mwh, energy_mwh
from {0}_readings where {0}_id = $1 order by time
"""


class Gateway:
    """A process with a copy of the client, which puts a reading when it is told to."""

    def __init__(self, folder: Path, url: str, uid: str, start: datetime, first: int) -> None:
        arguments = [url, uid, rfc3339(start), str(first)]
        self.last = first - 1
        self._process = subprocess.Popen(
            [sys.executable, "gateway.py", *arguments],
            cwd=folder,
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def put(self, count: int) -> None:
        """Let it put readings; waits until each is on its disk."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for _ in range(count):
            self.last = int(self._process.stdout.readline())
            self._process.stdin.write("n")
            self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """Let it send what it has, and end."""
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0


def test_what_was_put_is_stored_once_though_both_sides_are_killed(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    shutil.copy(client.__file__, tmp_path / "copied_client.py")
    (tmp_path / "gateway.py").write_text(GATEWAY)
    environ = on_migrated(database_url) | {"FLEETMETER_PORT": str(free_port())}
    url = f"http://127.0.0.1:{environ['FLEETMETER_PORT']}"
    start = hours_ago(3)

    def stored(kind: str = "meter") -> int:
        return len(
            db.fetch(STORED.format(kind), uid + {"meter": "M", "vehicle": "EV"}[kind], start)
        )

    gateway = Gateway(tmp_path, url, uid, start, 0)
    gateway.put(40)  # nobody is there yet
    with running_service(tmp_path, environ) as service:
        eventually(lambda: stored() > 0)
        gateway.put(100)
        service.process.kill()
        service.process.wait(timeout=30)
    gateway.put(60)
    gateway.kill()
    gateway = Gateway(tmp_path, url, uid, start, gateway.last + 1)
    with running_service(tmp_path, environ) as service:
        known = stored()
        gateway.put(60)
        eventually(lambda: stored() > known)
        gateway.kill()
        gateway = Gateway(tmp_path, url, uid, start, gateway.last + 1)
        gateway.put(60)
        service.process.kill()
        service.process.wait(timeout=30)
    gateway.put(60)
    with running_service(tmp_path, environ):
        gateway.close()

    count = gateway.last + 1
    assert count > 350
    vehicle = db.fetch(STORED.format("vehicle"), f"{uid}EV", start)
    meter = db.fetch(STORED.format("meter"), f"{uid}M", start)
    # and one more, which was put before the gateway was told to end
    assert [row["number"] for row in vehicle][:count] == list(range(count))
    assert [row["register_mwh"] for row in vehicle] == [10_000 * row["number"] for row in vehicle]
    assert [row["number"] for row in meter][:count] == list(range(count))
    assert sum(row["energy_mwh"] or 0 for row in meter) == meter[-1]["register_mwh"]
    assert not list((tmp_path / "spool").iterdir())


@pytest.fixture(scope="module")
def small_batches(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes few readings at once."""
    environ = on_migrated(database_url) | {"FLEETMETER_MAX_BATCH": str(MOST)}
    with running_service(tmp_path_factory.mktemp("small"), environ) as service:
        yield service


def test_a_service_that_takes_less_at_once_gets_less(
    small_batches: Service, db: Db, tmp_path: Path, uid: str
) -> None:
    at = hours_ago(2)
    lost: list[Lost] = []
    with Client(small_batches.base_url, tmp_path, on_lost=lost.extend) as sender:
        readings = [
            meter_reading(f"{uid}{number % 7}", at + timedelta(seconds=number))
            for number in range(MOST * 3 + 1)
        ]
        sender.put(*readings)
    count = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(count, uid) == len(readings)
    assert not lost


def test_what_the_service_rejects_is_reported_and_costs_no_other(
    service: Service, db: Db, tmp_path: Path, uid: str
) -> None:
    at = hours_ago(2)
    good = [vehicle_reading(f"{uid}EV", at), meter_reading(f"{uid}M", at)]
    old = [
        meter_reading(f"{uid}M", datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=number))
        for number in range(250)
    ]
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"timestamp": deep}
    bad = [
        (vehicle_reading(f"{uid}EV", at, 7.0), "conflict"),
        (meter_reading(f"{uid}M", at, voltage="high"), "invalid_type"),
        ({"meterId": "\ud800"}, "malformed"),
        (deep, "invalid_timestamp"),
    ]
    lost: list[Lost] = []
    with Client(service.base_url, tmp_path, on_lost=lost.extend) as sender:
        sender.put(good[0], *old[:200], *(each for each, _ in bad), *old[200:], good[1])
    assert not list(tmp_path.iterdir())
    assert db.value("select count(*) from meter_readings where meter_id = $1", f"{uid}M") == 1
    assert db.value("select count(*) from vehicle_readings where vehicle_id = $1", f"{uid}EV") == 1
    expected = [(each, "too_old") for each in old] + bad
    assert sorted(map(repr, expected)) == sorted(repr((each.reading, each.code)) for each in lost)


def test_nothing_is_lost_while_the_service_has_no_database(
    database_url: str, db: Db, tmp_path: Path, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PAUSES_S", (0.05, 0.2))
    proxy = DatabaseProxy(database_url)
    environ = {**on_migrated(proxy.url), "FLEETMETER_DATABASE_TIMEOUT_S": "1"}
    with (
        proxy.running(),
        running_service(tmp_path, environ) as service,
        Client(service.base_url, tmp_path / "spool", max_age_s=0) as sender,
    ):
        proxy.take_away()
        for number in range(20):
            sender.put(meter_reading(f"{uid}M", hours_ago(1) + timedelta(minutes=number)))
        assert not sender.flush(0.3)
        proxy.give_back()
        assert sender.flush(30)
    count = "select count(*) from meter_readings where meter_id = $1"
    assert db.value(count, f"{uid}M") == 20
