"""The same fleet, whichever way its readings are sent: each ends in the same history."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fleetmeter.readings.model import EPOCH, MICROSECOND
from fleetmeter_simulator.faults.kinds import parse_wanted
from fleetmeter_simulator.fleet import Fleet
from fleetmeter_simulator.wires.ways import WAYS, Way
from tests.conftest import Db, Server, migrated_database, on_migrated, rfc3339, running_service
from tests.support.processes import fleetmeter

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

Key = tuple[str, str, datetime]


class Run(NamedTuple):
    """What a simulation left, and when it ended."""

    history: dict[Key, tuple[str | None, dict[str, Any]]]
    until: datetime


def simulated(way: Way, server: Server, start: datetime, folder: Path) -> Run:
    """Simulate the fleet into a database of its own."""
    with (
        migrated_database(server, jobs=False) as url,
        running_service(folder, on_migrated(url)) as service,
    ):
        options = ("--vehicles", f"{VEHICLES}", "--seed", f"{SEED}", "--start", rfc3339(start))
        done = fleetmeter(
            folder,
            *("simulate", "--url", service.base_url, "--via", way, *options, "--duration", "0"),
            *("--truth", "truth.json"),
            *(part for fault in FAULTS for part in ("--fault", fault)),
        )
        assert done.returncode == 0, done.stderr
        assert " 0 rejected" in done.stdout
        history = {
            (row["kind"], row["id"], row["time"]): (row["meter_id"], json.loads(row["measured"]))
            for row in Db(url).fetch(HISTORY)
        }
    truth = json.loads((folder / "truth.json").read_text())
    return Run(history, datetime.fromisoformat(truth["to"]))


def arrived(start: datetime, until: datetime) -> set[Key]:
    """The readings that had arrived at a time, however late, repeated or out of order.

    Not the last ones: what those behind them show decides whether a register has been reset.
    """
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
                if key[2] < until - HOUR / 2:
                    keys.add(key)
        hour += HOUR
    assert twice > 10
    return keys


def test_every_way_ends_in_the_same_history(server: Server, tmp_path: Path) -> None:
    start = (datetime.now(UTC) - 6 * HOUR).replace(minute=0, second=0, microsecond=0)
    runs = {}
    for way in WAYS:
        (tmp_path / way).mkdir()
        runs[way] = simulated(way, server, start, tmp_path / way)
    keys = arrived(start, min(run.until for run in runs.values()))
    assert len(keys) > 10_000
    expected = {key: runs["http"].history[key] for key in keys}
    for run in runs.values():
        assert {key: run.history[key] for key in keys} == expected
