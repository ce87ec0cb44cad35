"""Measures what the rules find in simulated fleets: each fault that was put in, and nothing else.

A fleet's readings are stored as they arrive, through the door of the service: late ones, resends
and wrong clocks come as they do in life. Clocks and rejections are checked every ten minutes of the
fleet's time. Hours are evaluated day by day, as by a service that had been down, which finds the
same as one that was up; what arrives still later is evaluated again.

Only the clock on the wall is simulated: the door rejects by the fleet's time, and arrival times are
written into live state afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter

import msgspec

from fleetmeter.anomalies.evaluation.reader import floor_hour
from fleetmeter.anomalies.evaluation.runner import LATE_AFTER, Evaluator
from fleetmeter.anomalies.model import Subject
from fleetmeter.database.pool import Database, connect
from fleetmeter.database.sql import queries
from fleetmeter.devices.exchanges import Exchange as Statement
from fleetmeter.devices.exchanges import state
from fleetmeter.intake.door import Door, open_door
from fleetmeter.intake.refusals import Refusals
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.model import MAX_AHEAD_S, microseconds, time_of
from fleetmeter.readings.validate import Bounds
from fleetmeter.settings import Settings
from fleetmeter_benchmark.jobs import pause_jobs
from fleetmeter_benchmark.options import AnomalyOptions, Progress
from fleetmeter_benchmark.processes import fresh_database
from fleetmeter_benchmark.scoring import HOUR, Found, Scored, score, together
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.msgpack import body
from fleetmeter_simulator.devices.registers import Exchange
from fleetmeter_simulator.faults.kinds import per_kind
from fleetmeter_simulator.fleet import Fleet

_STEP = timedelta(minutes=10)
"""How often clocks are checked, in the fleet's time."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)
"""The time from which history is whole."""

_AFTERWARDS = timedelta(minutes=6)
"""Time after the last reading, in which the last hour is evaluated."""


class Detected(msgspec.Struct, kw_only=True):
    """Holds the result of all fleets together, and what it took."""

    scores: list[Scored]
    seeds: tuple[int, ...]
    vehicles: int
    days: int
    readings: int
    stored_s: float
    evaluated_s: float


async def measure(
    server_url: str, settings: Settings, options: AnomalyOptions, progress: Progress
) -> Detected:
    """Run a fleet for each seed, each in a database of its own, side by side."""

    async def measured(seed: int) -> "tuple[list[Scored], _Watch]":
        async with fresh_database(server_url, 0) as url:
            rolls_up = await pause_jobs(url)
            async with _watched(url, settings, _fleet(seed, options), rolls_up) as watch:
                await watch.live(f"anomalies: fleet {seed}", options.days, progress)
                return await watch.score(), watch

    fleets = await asyncio.gather(*map(measured, options.seeds))
    return Detected(
        scores=together([scores for scores, _ in fleets]),
        seeds=options.seeds,
        vehicles=options.vehicles,
        days=options.days,
        readings=sum(watch.readings for _, watch in fleets),
        stored_s=sum(watch.stored_s for _, watch in fleets),
        evaluated_s=sum(watch.evaluated_s for _, watch in fleets),
    )


def _fleet(seed: int, options: AnomalyOptions) -> Fleet:
    """Create a fleet whose month ends today, so that a service accepts its readings."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=options.days)
    return Fleet(
        seed,
        options.vehicles,
        start,
        options.days,
        season="winter",
        faults=per_kind(options.faults),
    )


@asynccontextmanager
async def _watched(
    url: str, settings: Settings, fleet: Fleet, rolls_up: bool
) -> "AsyncIterator[_Watch]":
    database = await connect(url, settings)
    clock = _Clock(fleet.start)
    refusals = Refusals(database, clock)

    def bounds() -> Bounds:
        return Bounds.at(clock(), settings.retention_days, _BEGINNING)

    try:
        async with open_door(database, settings, refusals, bounds=bounds) as door:
            watch = _Watch(database, door, refusals, clock, fleet, rolls_up)
            await watch.announce()
            yield watch
    finally:
        await database.close()


class _Clock:
    """Shows the fleet's time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class _Watch:
    """Does a service's work on a fleet, without HTTP and without the clock on the wall."""

    def __init__(
        self,
        database: Database,
        door: Door,
        refusals: Refusals,
        clock: _Clock,
        fleet: Fleet,
        rolls_up: bool,
    ) -> None:
        self._database = database
        self._door = door
        self._refusals = refusals
        self._clock = clock
        self._fleet = fleet
        self._rolls_up = rolls_up
        self._stated: set[Exchange] = set()
        self._evaluator = Evaluator(database)
        self.readings = 0
        self.stored_s = 0.0
        self.evaluated_s = 0.0

    async def announce(self) -> None:
        """Store settings and assignments of the whole fleet."""
        devices = self._fleet.devices
        async with self._database.transaction() as connection:
            await connection.executemany(
                _METER,
                [
                    (
                        *(m.meter_id, m.site, m.reporting_interval_s, m.role, m.reports),
                        m.rated_power_kw and round(m.rated_power_kw * 1000),
                        m.register,
                    )
                    for m in devices.meters
                ],
            )
            await connection.executemany(
                _VEHICLE,
                [
                    (
                        *(v.vehicle_id, v.site, v.reporting_interval_s),
                        *(round(v.battery_capacity_kwh * 1000), v.since, v.meter_id),
                        *(v.reports, v.register),
                    )
                    for v in devices.vehicles
                ],
            )
            await connection.execute("update versions set assignments = assignments + 1")
            # evaluated from the beginning on, as by a service that was there
            await connection.execute(
                "update anomaly_progress set evaluated_until = $1", self._fleet.start
            )

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
        await self._refusals.flush()

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
            Found(
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

_VEHICLE = """
with vehicle as (
    insert into devices (
        kind, id, site, reporting_interval_s, battery_capacity_wh, reports, register
    )
    values ('vehicle', $1, $2, $3, $4, $7, $8)
    returning device
)
insert into assignments (vehicle, since, meter, restamped_at)
select v.device, $5, device_of('meter', $6), now()
from vehicle as v
"""
_METER = """
insert into devices (kind, id, site, reporting_interval_s, role, reports, rated_power_w, register)
values ('meter', $1, $2, $3, $4, $5, $6, $7)
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
