"""The same fleet, whichever way its readings are sent: each ends in the same history."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from fleetmeter.readings.model import EPOCH, MICROSECOND
from fleetmeter_simulator.faults.kinds import parse_wanted
from fleetmeter_simulator.fleet import Fleet
from fleetmeter_simulator.wires.ways import WAYS, Way
from tests.conftest import (
    Db,
    Server,
    eventually,
    free_port,
    migrated_database,
    on_migrated,
    rfc3339,
    running_service,
)
from tests.support.mosquitto import broker
from tests.support.processes import Forked

pytestmark = [pytest.mark.either, pytest.mark.slow]

HOUR = timedelta(hours=1)
SEED, VEHICLES = 189, 30
FAULTS = ("clock_skew:behind@EV-1+1h/1h", "register_unstable@MTR-4+1h/2h")

HISTORY = """
select
    d.kind,
    d.id,
    r.time,
    m.id as meter_id,
    to_jsonb(r) - array['device', 'time', 'meter'] as measured
from readings as r
    join devices as d using (device)
    left join devices as m on m.device = r.meter
"""

MAPPING = """
[[chargePoints]]
chargePoint = "MTR-*"
meterId = "{chargePoint}"
"""

Key = tuple[str, str, datetime]
Values = tuple[str | None, dict[str, Any]]
"""The meter that is named, and the columns of history."""

History = dict[Key, Values]


class Run(NamedTuple):
    """What a simulation left, and when it ended."""

    history: History
    until: datetime


@contextmanager
def prepared(way: Way, folder: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Run what a way needs beside the service; the settings of that, and options for simulate."""
    if way == "ocpp":
        (folder / "fleet.toml").write_text(MAPPING)
        yield {"FLEETMETER_MAPPING": "fleet.toml"}, []
    elif way == "mqtt":
        with broker(folder) as running:
            yield {"FLEETMETER_MQTT_URL": running.url}, ["--broker", running.url]
    else:
        yield {}, []


def simulated(way: Way, server: Server, start: datetime, folder: Path, kill: bool = False) -> Run:
    """Simulate the fleet into a database of its own; `kill` the service in the middle."""
    folder.mkdir()
    with (
        migrated_database(server, jobs=False) as url,
        prepared(way, folder) as (settings, more),
    ):
        environ = on_migrated(url) | {"FLEETMETER_PORT": str(free_port())} | settings
        options = ("--vehicles", f"{VEHICLES}", "--seed", f"{SEED}", "--start", rfc3339(start))
        with running_service(folder, environ) as service:
            if way == "mqtt":
                eventually(_has_broker, service.base_url)
            running = Forked(
                [
                    *("simulate", "--url", service.base_url, "--via", way, *more, *options),
                    *("--duration", "0", "--truth", "truth.json"),
                    *(part for fault in FAULTS for part in ("--fault", fault)),
                ],
                {},
                folder,
            )
            if kill:
                eventually(lambda: len(stored(Db(url))) > 2000)
                service.process.kill()
                service.process.wait(30)
            else:
                history, until = _ended(running, Db(url), start, folder)
                assert by_protocol(service.base_url)[way] > 1000
        if kill:
            assert running.poll() is None, "it had sent everything before"
            with running_service(folder, environ):
                history, until = _ended(running, Db(url), start, folder)
    return Run(history, until)


def _ended(running: Forked, db: Db, start: datetime, folder: Path) -> Run:
    """Wait for the end of a simulation, and until all of its readings are stored."""
    output, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert " 0 rejected" in output
    until = datetime.fromisoformat(json.loads((folder / "truth.json").read_text())["to"])
    sent = arrived(start, until)
    history = eventually(lambda: (found := stored(db)).keys() >= sent and found, timeout_s=60)
    assert history.keys() == sent
    return Run(history, until)


def _has_broker(url: str) -> bool:
    connected: bool = httpx.get(f"{url}/v1/inputs").json()["mqtt"]["connected"]
    return connected


def stored(db: Db) -> History:
    return {
        (row["kind"], row["id"], row["time"]): (row["meter_id"], json.loads(row["measured"]))
        for row in db.fetch(HISTORY)
    }


def by_protocol(url: str) -> dict[str, float]:
    """How many readings the service has taken by each protocol."""
    pattern = r'^fleetmeter_readings_total\{outcome="accepted",protocol="(\w+)"\} (\S+)$'
    found = re.findall(pattern, httpx.get(f"{url}/metrics").text, re.MULTILINE)
    return {protocol: float(count) for protocol, count in found}


def arrived(start: datetime, until: datetime) -> set[Key]:
    """The readings that had arrived at a time, however late, repeated or out of order."""
    faults = [parse_wanted(text) for text in FAULTS]
    fleet = Fleet(SEED, VEHICLES, start, (until - start) / timedelta(days=1), faults=faults)
    keys: set[Key] = set()
    twice = 0
    hour = start
    while hour <= until:
        for arrives, kind, row in fleet.arrivals(hour):
            if arrives <= (until - EPOCH) // MICROSECOND:
                name = "vehicle" if kind.startswith("vehicle") else "meter"
                key = (name, row[0], EPOCH + row[1] * MICROSECOND)
                twice += key in keys
                keys.add(key)
        hour += HOUR
    assert twice > 10
    return keys


def by_ocpp(key: Key, values: Values) -> Values:
    """What a charge point can say of its meter: not the session, nor what follows from it."""
    if key[0] == "vehicle":
        return values
    meter_id, measured = values
    carried = {"register_mwh", "voltage_mv"}
    if measured["register_mwh"] is None:
        carried.add("energy_mwh")
    return meter_id, {name: value for name, value in measured.items() if name in carried}


def test_every_way_ends_in_the_same_history(server: Server, tmp_path: Path) -> None:
    start = (datetime.now(UTC) - 6 * HOUR).replace(minute=0, second=0, microsecond=0)
    runs = {way: simulated(way, server, start, tmp_path / way) for way in WAYS}
    # of the last readings, later ones decide whether a register has been reset
    end = min(run.until for run in runs.values()) - HOUR / 2
    keys = {key for key in arrived(start, end + HOUR / 2) if key[2] < end}
    assert len(keys) > 10_000
    expected = {key: runs["http"].history[key] for key in keys}
    for way, run in runs.items():
        found = {key: run.history[key] for key in keys}
        if way == "ocpp":
            assert {k: by_ocpp(k, v) for k, v in found.items()} == {
                k: by_ocpp(k, v) for k, v in expected.items()
            }
        else:
            assert found == expected


@pytest.mark.parametrize("way", WAYS)
def test_no_way_loses_a_reading_when_the_service_is_killed(
    way: Way, server: Server, tmp_path: Path
) -> None:
    start = (datetime.now(UTC) - 12 * HOUR).replace(minute=0, second=0, microsecond=0)
    simulated(way, server, start, tmp_path / way, kill=True)
