"""Does a service's work on a simulated fleet, without HTTP and without the clock on the wall.

A fleet's readings are stored as they arrive, through the door of the service: late ones, resends
and wrong clocks come as they do in life. Clocks and rejections are checked every ten minutes of the
fleet's time. Hours are evaluated day by day, as by a service that had been down, which finds the
same as one that was up; what arrives still later is evaluated again.

Only the clock on the wall is simulated: the door rejects by the fleet's time, and arrival times are
written into live state afterwards.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter

from fleetmeter.anomalies.evaluation.reader import floor_hour
from fleetmeter.anomalies.evaluation.runner import LATE_AFTER, Evaluator
from fleetmeter.anomalies.model import Subject
from fleetmeter.database.pool import Database, connect
from fleetmeter.database.sql import queries
from fleetmeter.devices.exchanges import Exchange as Statement
from fleetmeter.devices.exchanges import state
from fleetmeter.intake.door import Door, open_door
from fleetmeter.intake.rejection_counter import RejectionCounter
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.model import MAX_AHEAD_S, microseconds, time_of
from fleetmeter.readings.validate import Bounds
from fleetmeter.settings import Settings
from fleetmeter_benchmark.fleet_settings import store_settings
from fleetmeter_benchmark.options import Progress
from fleetmeter_benchmark.scoring import HOUR, OpenedAnomaly, Scored, score
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.msgpack import body
from fleetmeter_simulator.devices.registers import Exchange
from fleetmeter_simulator.fleet import Fleet

_STEP = timedelta(minutes=10)
"""How often clocks are checked, in the fleet's time."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)
"""The time from which history is whole."""

_AFTERWARDS = timedelta(minutes=6)
"""Time after the last reading, in which the last hour is evaluated."""


@asynccontextmanager
async def watched(
    url: str, settings: Settings, fleet: Fleet, rolls_up: bool
) -> "AsyncIterator[WatchedFleet]":
    """Yield a fleet that is about to begin; readings are stored for the length of the block."""
    database = await connect(url, settings)
    clock = _Clock(fleet.start)
    rejections = RejectionCounter(database, clock)

    def bounds() -> Bounds:
        return Bounds.at(clock(), settings.retention_days, _BEGINNING)

    try:
        async with open_door(database, settings, rejections, bounds=bounds) as door:
            watch = WatchedFleet(database, door, rejections, clock, fleet, rolls_up)
            await store_settings(database, fleet)
            yield watch
    finally:
        await database.close()


class _Clock:
    """Shows the fleet's time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class WatchedFleet:
    """Stores and evaluates what a fleet sends, in the fleet's time."""

    def __init__(
        self,
        database: Database,
        door: Door,
        rejections: RejectionCounter,
        clock: _Clock,
        fleet: Fleet,
        rolls_up: bool,
    ) -> None:
        self._database = database
        self._door = door
        self._rejections = rejections
        self._clock = clock
        self._fleet = fleet
        self._rolls_up = rolls_up
        self._stated: set[Exchange] = set()
        self._evaluator = Evaluator(database)
        self.readings = 0
        self.stored_s = 0.0
        self.evaluated_s = 0.0

    async def live(self, name: str, days: int, progress: Progress) -> None:
        """Run days of the fleet."""
        start, hours = self._fleet.start, days * 24
        for number in range(hours):
            progress(name, number, hours)
            hour = start + number * HOUR
            if self._rolls_up and hour.hour == 0:
                await self._roll_up(hour)
            if hour.hour == 0:
                await self._evaluate(hour)
            for now, arrivals in _steps(self._fleet.arrivals(hour), hour):
                await self._arrive(arrivals, now)
                await self._state_exchanges(now)
                await self._evaluator.look_at_clocks(now)
        await self._evaluate(start + hours * HOUR + _AFTERWARDS)
        progress(name, hours, hours)

    async def _arrive(self, arrivals: Sequence[Arrival], now: datetime) -> None:
        """Store what arrives in a step; the clock of that moment judges readings stamped ahead."""
        ahead = [each for each in arrivals if _is_ahead(each)]
        for each in ahead:
            await self._store([each], time_of(each[0]))
        if ahead:
            arrivals = [each for each in arrivals if not _is_ahead(each)]
        await self._store(arrivals, now)
        await self._rejections.flush()

    async def _state_exchanges(self, now: datetime) -> None:
        """Store the exchanges that somebody has recorded by now."""
        for each in self._fleet.exchanges:
            stated_us = each.stated_us
            if each in self._stated or stated_us is None or time_of(stated_us) > now:
                continue
            self._stated.add(each)
            stated = Statement(time_of(each.at_us), False, each.last_mwh, each.first_mwh)
            await state(self._database, each.meter_id, stated)

    async def _store(self, arrivals: Sequence[Arrival], now: datetime) -> None:
        began = perf_counter()
        self._clock.now = now
        seen: dict[tuple[str, str], tuple[int, int]] = {}
        for at, kind, row in arrivals:
            device = "vehicle" if kind.startswith("vehicle") else "meter", row[0]
            seen[device] = max(seen.get(device, (0, 0)), (row[1], at))
        decoder = BatchDecoder("msgpack", len(arrivals))
        decoder.feed(body(arrivals))
        await self._door.store(decoder.finish())
        async with self._database.connection() as connection:
            await connection.execute(
                _SEEN,
                [kind for kind, _ in seen],
                [id_ for _, id_ in seen],
                [time_of(time) for time, _ in seen.values()],
                [time_of(at) for _, at in seen.values()],
            )
            # by the clock on the wall all of it is late; by the fleet's, this is not
            await connection.execute(_NOT_LATE, floor_hour(now - LATE_AFTER))
        self.readings += len(arrivals)
        self.stored_s += perf_counter() - began

    async def _roll_up(self, until: datetime) -> None:
        """Roll up as the database's policies do, a day of the fleet's time at once."""
        async with self._database.session() as connection:
            for rollup in ("quarter_hourly", "hourly"):
                await connection.execute(_REFRESH, rollup, until - timedelta(days=1), until)

    async def _evaluate(self, now: datetime) -> None:
        began = perf_counter()
        if self._rolls_up:
            await self._database.run(queries.refresh_late_hours.sql)
        await self._evaluator.run(now)
        self.evaluated_s += perf_counter() - began

    async def score(self) -> list[Scored]:
        """Score what was found against the faults of the fleet."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_FOUND)
        found = [
            OpenedAnomaly(
                kind=row["kind"],
                subject=Subject(row["device_kind"], row["device_id"]),
                cause=row["cause"],
                started_at=row["started_at"],
                detected_at=row["detected_at"],
                ended_at=row["ended_at"],
            )
            for row in rows
        ]
        devices = self._fleet.devices
        intervals = {v.vehicle_id: v.reporting_interval_s for v in devices.vehicles}
        intervals |= {m.meter_id: m.reporting_interval_s for m in devices.meters}
        return score(self._fleet.faults, self._fleet.acceptable, found, intervals)


def _is_ahead(arrival: Arrival) -> bool:
    """Return whether a reading may be rejected because its clock is too far ahead."""
    at, _, row = arrival
    return row[1] - at > MAX_AHEAD_S * 1_000_000


def _steps(
    arrivals: Sequence[Arrival], hour: datetime
) -> Iterator[tuple[datetime, Sequence[Arrival]]]:
    """Yield what has arrived by each step of an hour."""
    at = 0
    for number in range(1, HOUR // _STEP + 1):
        now = hour + number * _STEP
        until, begin = microseconds(now), at
        while at < len(arrivals) and arrivals[at][0] < until:
            at += 1
        yield now, arrivals[begin:at]


_REFRESH = """
call refresh_continuous_aggregate($1::text::regclass, $2::timestamptz, $3::timestamptz)
"""

_SEEN = """
update live_state as s
set last_seen = a.arrived
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
    as a (kind, id, time, arrived)
join devices as d
    on d.kind = a.kind
    and d.id = a.id
where s.device = d.device
    and s.time = a.time
"""

_NOT_LATE = """
with hours as (
    delete from late_hours
    where hour >= $1
)
delete from late_devices
where since >= $1
"""

_FOUND = """
select kind, device_kind, device_id, cause, started_at, detected_at, ended_at
from anomalies
order by id
"""
