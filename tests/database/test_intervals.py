"""Whatever way readings come in, their intervals and the pieces of these are the same.

Two services write to one database, each by what it remembers; readings come fresh or late, alone,
in batches and at the same moment, and settings, assignments and corrections change in between.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import numpy as np
import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.migrations import migrate
from fleetmeter.database.pool import Database, connect
from fleetmeter.devices.assignments import assign
from fleetmeter.devices.corrections import Correction, correct
from fleetmeter.devices.settings import set_device
from fleetmeter.intake import writer
from fleetmeter.intake.intervals import QUARTER_US, pieces
from fleetmeter.intake.rows import (
    DEVICE,
    ENERGY,
    ITEM,
    METER,
    NULL,
    REGISTER,
    REQUEST,
    ROWS,
    START,
    TIME,
    VALUES,
)
from fleetmeter.intake.writer import DatabaseWriter
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.readings.kinds import KIND_OF, MEASUREMENTS
from fleetmeter.readings.model import microseconds, time_of
from fleetmeter.readings.telemetry import attribute
from fleetmeter.settings import Settings
from tests.conftest import (
    EXAMPLES,
    RETENTION_DAYS,
    SLOW_EXAMPLES,
    Db,
    Server,
    eventually,
    fresh_database,
    new_uid,
)
from tests.support.accounting_model import DEFAULT_INTERVAL_S, Reading, Sent, derived
from tests.support.consistency import interval_differences, rollup_differences
from tests.support.register_model import Rule
from tests.support.rollups import materialise

MINUTE = timedelta(minutes=1)
ROLLOVER = 100_000_000_000
VEHICLES = ("EV-1", "EV-2")
METERS = ("M-1", "M-2")
DEVICES = (*VEHICLES, *METERS)
REGISTERS = ("EV-2", "M-2")
OVERLAPPING = ("EV-2", "M-1")
"""Devices whose readings sometimes state when their interval began."""


class Key(NamedTuple):
    """The device and time of a reading, from which everything else about it follows."""

    device: str
    era: int
    minute: int

    def at(self, now: datetime) -> datetime:
        """Return the time stamp: on the minute, within it, or at odd microseconds."""
        begin = now - timedelta(hours=(265, 30, 2)[self.era])
        within = (0, 123_456, 30_000_000, 17_250_000, 59_999_501, 0)[self.minute % 6]
        return begin + self.minute * MINUTE + timedelta(microseconds=within)

    def sent(self, now: datetime) -> Sent:
        """Return the reading as the device sends it."""
        value = (self.minute * 7919 + 13) % 3_000_001
        if self.device in REGISTERS:
            value = (self.era * 1000 + self.minute) * 1_000_003
            if self.minute % 17 == 0:
                value = (5, ROLLOVER - 5)[self.minute % 2]
        at, starts = self.at(now), None
        if self.device in OVERLAPPING and self.minute % 5 == 0:
            starts = at - (2, 13.5, 40, 333)[self.minute % 4] * MINUTE
        meter = (None, None, *METERS)[self.minute % 4] if self.device in VEHICLES else None
        return Sent(value, meter, self.minute, starts)


class Batch(NamedTuple):
    """Readings that a service stores in one transaction."""

    service: int
    keys: list[Key]


class Together(NamedTuple):
    """Both services at the same moment."""

    first: list[Key]
    second: list[Key]


class Change(NamedTuple):
    """Another reporting interval."""

    device: str
    interval_s: int | None


class Move(NamedTuple):
    """An assignment."""

    vehicle: str
    era: int
    minute: int
    meter: str | None


class Fix(NamedTuple):
    """A correction of one of the readings that are stored by then."""

    number: int
    value: int


class FixStart(NamedTuple):
    """A correction of when the interval of one of them began; None: as if it had not been sent."""

    number: int
    minutes: float | None


class Void(NamedTuple):
    """One of the stored readings is voided."""

    number: int


class BringBack(NamedTuple):
    """One of the voided readings is restored."""

    number: int


def keys(most: int) -> Any:
    return st.lists(
        st.builds(
            Key, st.sampled_from(DEVICES), st.sampled_from([0, 1, 1, 2]), st.integers(0, 110)
        ),
        min_size=1,
        max_size=most,
    )


runs = st.builds(
    lambda devices, era, first, step, count: [
        Key(device, era, minute)
        for minute in range(first, first + step * count, step)
        for device in devices
    ],
    st.lists(st.sampled_from(DEVICES), min_size=1, max_size=4, unique=True),
    st.integers(0, 2),
    st.integers(0, 90),
    st.sampled_from([1, 1, 3, 14]),
    st.integers(1, 9),
)
batches = st.builds(Batch, st.integers(0, 1), runs | keys(12) | keys(1))
events = st.one_of(
    batches,
    batches,
    batches,
    st.builds(Together, runs | keys(6), runs | keys(6)),
    st.builds(
        Change, st.sampled_from(DEVICES), st.sampled_from([None, 60, 300, 900, 1800, 3600, 86400])
    ),
    st.builds(
        Move,
        st.sampled_from(VEHICLES),
        st.integers(0, 2),
        st.integers(-5, 120),
        st.sampled_from([None, *METERS]),
    ),
    st.builds(Fix, st.integers(0, 60), st.sampled_from([0, 1, 777_777, 50_000_000, ROLLOVER - 7])),
    st.builds(FixStart, st.integers(0, 60), st.sampled_from([None, 2, 13.5, 333])),
    st.builds(Void, st.integers(0, 60)),
    st.builds(Void, st.integers(0, 60)),
    st.builds(BringBack, st.integers(0, 60)),
)


@pytest.fixture(scope="module")
def place(server: Server) -> Iterator[Db]:
    """A database without a service, whose rollups have a watermark."""
    with fresh_database(server) as url:
        asyncio.run(migrate(url, RETENTION_DAYS))
        db = Db(url)
        number = db.value("select number_device('meter', 'old')")
        db.fetch(
            "insert into readings (device, time, energy_mwh)"
            " values ($1, now() - interval '2 hours', 1)",
            number,
        )
        materialise(db, server)
        yield db


class History:
    """What was sent and set so far."""

    def __init__(self, db: Db) -> None:
        self.uid = new_uid()
        self.now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.numbers: dict[str, int] = {
            device: db.value("select number_device($1, $2)", kind_of(device), self.uid + device)
            for device in DEVICES
        }
        db.fetch(
            "update devices set register_rollover_mwh = $2 where device = $1",
            self.numbers["M-2"],
            ROLLOVER,
        )
        self.intervals: dict[str, int] = {}
        self.moves: dict[tuple[str, datetime], str | None] = {}
        self.sent: dict[str, dict[datetime, Sent]] = {device: {} for device in DEVICES}
        self.voided: dict[tuple[str, datetime], Sent] = {}

    def rows(self, keys: list[Key]) -> Any:
        """The readings as the intake hands them to a writer."""
        rows = np.full((ROWS, len(keys)), NULL, np.int64)
        rows[REQUEST] = rows[METER] = 0
        for place, key in enumerate(keys):
            sent = key.sent(self.now)
            rows[ITEM, place] = place
            rows[DEVICE, place] = self.numbers[key.device]
            rows[TIME, place] = microseconds(key.at(self.now))
            rows[REGISTER if key.device in REGISTERS else ENERGY, place] = sent.value
            if sent.meter is not None:
                rows[METER, place] = self.numbers[sent.meter]
            if sent.starts is not None:
                rows[START, place] = microseconds(sent.starts)
            measured = KIND_OF[kind_of(key.device)].measurements
            for number, each in enumerate(MEASUREMENTS):
                # of what goes the other way, a device sends the energy or the register
                if each in measured and each.column != "reverse_mwh":
                    rows[VALUES + number, place] = key.minute
            if (key.device, key.at(self.now)) not in self.voided:
                self.sent[key.device].setdefault(key.at(self.now), sent)
        return rows

    def meter(self, device: str, at: datetime, declared: str | None) -> str | None:
        """Return the meter declared in the reading, or else the one assigned at its time."""
        in_force = [(t, m) for (v, t), m in self.moves.items() if v == device and t <= at]
        if declared is not None or not in_force:
            return declared
        return max(in_force, key=lambda item: item[0])[1]

    def derived(self, device: str) -> list[Reading]:
        return derived(
            {
                at: sent._replace(meter=self.meter(device, at, sent.meter))
                for at, sent in self.sent[device].items()
            },
            device,
            device in REGISTERS,
            Rule(
                rollover=ROLLOVER if device == "M-2" else None,
                interval_s=self.intervals.get(device, DEFAULT_INTERVAL_S),
            ),
        )

    def stored(self) -> list[tuple[Any, ...]]:
        """Return the rows that history must have, by the definitions."""
        found = []
        for device in DEVICES:
            for r in self.derived(device):
                stated = self.sent[device][r.at].starts
                span_ms = None
                if r.starts is not None:
                    span_ms = (microseconds(r.at) - microseconds(r.starts) + 500) // 1000
                starts = microseconds(r.at) - (span_ms or 0) * 1000
                quarter = (microseconds(r.at) - 1) // QUARTER_US * QUARTER_US
                spread = bool(span_ms) and (stated is not None or starts < quarter)
                found.append(
                    (
                        self.numbers[device],
                        r.at,
                        r.energy,
                        span_ms,
                        stated,
                        spread,
                        r.touched,
                        None if r.meter is None else self.numbers[r.meter],
                    )
                )
        return found


async def lead(db: Db, history: History, events: list[Any]) -> None:
    """Run the events, in order."""
    databases = [await connect(db.url, Settings()) for _ in range(2)]
    try:
        services = [DatabaseWriter(database, WriterCache()) for database in databases]
        for event in events:
            if isinstance(event, Batch):
                await services[event.service].commit(history.rows(event.keys), 0)
            elif isinstance(event, Together):
                await asyncio.gather(
                    services[0].commit(history.rows(event.first), 0),
                    services[1].commit(history.rows(event.second), 0),
                )
            else:
                await change(databases[0], history, event)
    finally:
        for database in databases:
            await database.close()


async def change(database: Database, history: History, event: Any) -> None:
    """Set, assign or correct."""
    if isinstance(event, Change):
        await set_device(
            database,
            KIND_OF[kind_of(event.device)],
            history.uid + event.device,
            {"reporting_interval_s": event.interval_s},
            EVERYTHING,
        )
        history.intervals[event.device] = event.interval_s or DEFAULT_INTERVAL_S
    elif isinstance(event, Move):
        since = Key(event.vehicle, event.era, 0).at(history.now) + event.minute * MINUTE
        meter = event.meter and history.uid + event.meter
        await assign(database, history.uid + event.vehicle, meter, since, EVERYTHING)
        history.moves[event.vehicle, since] = event.meter
    elif isinstance(event, BringBack):
        if history.voided:
            device, at = sorted(history.voided)[event.number % len(history.voided)]
            history.sent[device][at] = history.voided.pop((device, at))
            await fix(database, history, device, at, void=False)
    else:
        stored = [(device, at) for device in DEVICES for at in sorted(history.sent[device])]
        if stored:
            device, at = stored[event.number % len(stored)]
            await change_reading(database, history, device, at, event)


async def change_reading(
    database: Database, history: History, device: str, at: datetime, event: Any
) -> None:
    """Correct, void or restore one of the stored readings."""
    sent = history.sent[device]
    if isinstance(event, Void):
        history.voided[device, at] = sent.pop(at)
        await fix(database, history, device, at, void=True)
    elif isinstance(event, FixStart):
        starts = None if event.minutes is None else at - event.minutes * MINUTE
        sent[at] = sent[at]._replace(starts=starts)
        await fix(database, history, device, at, interval_start=starts)
    else:
        energy = KIND_OF[kind_of(device)].energy
        name = energy.register_field if device in REGISTERS else energy.field
        value = event.value if device in REGISTERS else event.value % 1_000_000_000
        sent[at] = sent[at]._replace(value=value)
        await fix(database, history, device, at, **{attribute(name): value / 1_000_000})


async def fix(
    database: Database,
    history: History,
    device: str,
    at: datetime,
    void: bool | None = None,
    **values: Any,
) -> None:
    """Send a correction."""
    kind, id_ = KIND_OF[kind_of(device)], history.uid + device
    await correct(
        database,
        Correction(kind, id_, at, values, "the test", "to see what follows", void),
        EVERYTHING,
    )


def kind_of(device: str) -> str:
    return "vehicle" if device in VEHICLES else "meter"


@settings(SLOW_EXAMPLES, max_examples=3 * EXAMPLES)
@given(events=st.lists(events, min_size=2, max_size=14), few=st.booleans())
@example(  # sent again with a start that a correction took back
    [Batch(0, [Key("M-1", 2, 0)]), FixStart(0, None), Batch(1, [Key("M-1", 2, 0)])], False
)
def test_rows_and_pieces_are_the_same_in_whatever_order_and_through_whom(
    place: Db, events: list[Any], few: bool
) -> None:
    history = History(place)
    note(f"{history.uid} {events} {few}")
    with pytest.MonkeyPatch.context() as patch:
        if not few:  # by COPY however few they are
            patch.setattr(writer, "_FEW", 0)
        asyncio.run(lead(place, history, events))
    check(place, history)


def check(db: Db, history: History) -> None:
    """Compare history, live state, pieces and rollups with the definitions."""
    columns = "device, time, energy_mwh, span_ms, interval_start, spread, reset, meter"
    numbers = [*history.numbers.values()]
    stored = db.fetch(
        f"select {columns} from readings where device = any($1) order by device, time", numbers
    )
    expected = history.stored()
    assert [tuple(row) for row in stored] == expected
    newest = {row[0]: row for row in expected}
    live = db.fetch(
        f"select {columns} from live_state where device = any($1) and time > '-infinity'"
        " order by device",
        numbers,
    )
    assert [tuple(row) for row in live] == list(newest.values())
    powers = db.fetch(
        "select device, power_w_at, power_w = ("
        " select r.power_w from readings as r where r.device = s.device and r.time = s.time"
        ") as is_newest from live_state as s"
        " where device = any($1) and time > '-infinity' order by device",
        numbers,
    )
    assert [tuple(row) for row in powers] == [(row[0], row[1], True) for row in newest.values()]

    in_pieces = [row for row in expected if row[5]]
    laid = pieces(
        *(
            np.array([NULL if value is None else value for value in column], np.int64)
            for column in (
                [row[0] for row in in_pieces],
                [row[7] for row in in_pieces],
                [microseconds(row[1]) for row in in_pieces],
                [row[2] for row in in_pieces],
                [row[3] for row in in_pieces],
            )
        )
    )
    found = db.fetch(
        "select device, ends, bucket, starts, energy_mwh, meter from spread_energy"
        " where device = any($1) order by 1, 2, 3",
        numbers,
    )
    assert [tuple(row) for row in found] == sorted(
        (
            device,
            time_of(ends),
            time_of(bucket),
            time_of(starts),
            energy,
            None if meter == NULL else meter,
        )
        for device, ends, bucket, starts, energy, meter in zip(
            *(
                laid[name].tolist()
                for name in ("device", "ends", "bucket", "starts", "energy_mwh", "meter")
            ),
            strict=True,
        )
    )
    assert interval_differences(db, history.uid) == []
    eventually(lambda: refreshed(db))
    assert rollup_differences(db, history.uid) == []


def refreshed(db: Db) -> bool:
    """Refresh the rollups, unless a policy is refreshing them."""
    try:
        db.fetch("call refresh_late_hours()")
    except (asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError):
        return False
    return True


@pytest.mark.postgresql
def test_hours_of_dropped_history_are_shared_out_again_when_an_interval_is_split(
    server: Server,
) -> None:
    with fresh_database(server) as url:
        asyncio.run(migrate(url, 4))
        db = Db(url)
        history = History(db)
        ends = [Key("M-2", 0, 1), Key("M-2", 1, 100)]
        asyncio.run(lead(db, history, [Batch(0, ends)]))
        db.fetch("call drop_old_history()")
        db.fetch("call account_hours(35, 1000)")
        assert db.value("select count(*) from readings") == 1
        bounds = [history.now - timedelta(days=9), history.now - timedelta(days=8)]

        def metered() -> tuple[int, int]:
            """Return the energy metered, by the fleet's answer and by quarter hours."""
            return (
                db.value("select ac_mwh from fleet_sums($1)", bounds),
                db.value(
                    "select sum(energy_mwh) from quarter_hours where bucket >= $1 and bucket < $2",
                    *bounds,
                ),
            )

        shared, before = metered()
        assert shared == before
        asyncio.run(lead(db, history, [Batch(0, [Key("M-2", 1, 1)])]))
        db.fetch("call refresh_late_hours()")
        shared, after = metered()
        assert shared == after != before
