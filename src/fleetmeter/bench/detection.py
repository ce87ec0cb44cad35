"""What the rules find in simulated fleets: each fault that was put in, and nothing else.

A fleet's readings are stored as they arrive, through the service's own queue and writers: late
ones, resends and clocks that are wrong come as they do in life. Clocks are looked at every ten
minutes of its time. Hours are evaluated day by day, as by a service that had slept, which finds the
same as one that was awake; what comes still later is evaluated anew. Only the clock on the wall is
simulated: when a reading arrived is written into live state after it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter

import msgspec

from fleetmeter.anomalies.evaluator import LATE_AFTER, Evaluator
from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.observations import floor_hour
from fleetmeter.bench.jobs import pause_jobs
from fleetmeter.bench.options import AnomalyOptions, Progress
from fleetmeter.bench.processes import fresh_database
from fleetmeter.bench.scoring import HOUR, Found, Scored, score, together
from fleetmeter.database.pool import Database, connect
from fleetmeter.database.sql import queries
from fleetmeter.ingest.queue import CommitQueue
from fleetmeter.ingest.writer import DatabaseWriter
from fleetmeter.readings.model import Batch, Kind, microseconds, time_of
from fleetmeter.settings import Settings
from fleetmeter.simulate.faults import per_kind
from fleetmeter.simulate.fleet import Fleet
from fleetmeter.simulate.link import Arrival

_STEP = timedelta(minutes=10)
"""How often clocks are looked at, of the fleet's time."""

_AFTERWARDS = timedelta(minutes=6)
"""After the last reading: the last hour is evaluated."""


class Detected(msgspec.Struct, kw_only=True):
    """All fleets together, and what it took."""

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
    """A fleet for each seed, each in a database of its own, side by side."""

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
    """Its month ends today, so that its readings are of an age that a service takes."""
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
    try:
        writers = [DatabaseWriter(database) for _ in range(settings.writers)]
        async with CommitQueue(writers, settings).running() as queue:
            watch = _Watch(database, queue, fleet, rolls_up)
            await watch.announce()
            yield watch
    finally:
        await database.close()


class _Watch:
    """A service's work on a fleet, without HTTP and without the clock on the wall."""

    def __init__(
        self, database: Database, queue: CommitQueue, fleet: Fleet, rolls_up: bool
    ) -> None:
        self._database = database
        self._queue = queue
        self._fleet = fleet
        self._rolls_up = rolls_up
        self._evaluator = Evaluator(database)
        self.readings = 0
        self.stored_s = 0.0
        self.evaluated_s = 0.0

    async def announce(self) -> None:
        """Settings and assignments of the whole fleet."""
        devices = self._fleet.devices
        async with self._database.transaction() as connection:
            await connection.executemany(
                _VEHICLE,
                [
                    (
                        *(v.vehicle_id, v.site, v.reporting_interval_s),
                        *(round(v.battery_capacity_kwh * 1000), v.since, v.meter_id),
                    )
                    for v in devices.vehicles
                ],
            )
            await connection.executemany(
                _METER, [(m.meter_id, m.site, m.reporting_interval_s) for m in devices.meters]
            )
            await connection.execute("update assignment_version set version = version + 1")
            # evaluated from the beginning on, as by a service that was there
            await connection.execute(
                "update anomaly_progress set evaluated_until = $1", self._fleet.start
            )

    async def live(self, name: str, days: int, progress: Progress) -> None:
        """Days of the fleet."""
        start, hours = self._fleet.start, days * 24
        for number in range(hours):
            progress(name, number, hours)
            hour = start + number * HOUR
            if self._rolls_up and hour.hour == 0:
                await self._roll_up(hour)
            if hour.hour == 0:
                await self._evaluate(hour)
            for now, arrivals in _steps(self._fleet.arrivals(hour), hour):
                await self._store(arrivals, now)
                await self._evaluator.look_at_clocks(now)
        await self._evaluate(start + hours * HOUR + _AFTERWARDS)
        progress(name, hours, hours)

    async def _store(self, arrivals: Sequence[Arrival], now: datetime) -> None:
        began = perf_counter()
        batch = Batch([], [], [])
        rows: dict[Kind, list[tuple[object, ...]]] = {
            "vehicles": batch.vehicles,  # type: ignore[dict-item]
            "meters": batch.meters,  # type: ignore[dict-item]
            "vehicle_registers": batch.vehicle_registers,  # type: ignore[dict-item]
            "meter_registers": batch.meter_registers,  # type: ignore[dict-item]
        }
        arrived: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for at, kind, row in arrivals:
            rows[kind].append(row)
            newest = arrived[kind[:5]].get(row[0], (0, 0))
            arrived[kind[:5]][row[0]] = max(newest, (row[1], at))
        if len(batch):
            await self._queue.store(batch)
        async with self._database.connection() as connection:
            for statement, prefix in ((_VEHICLES_SEEN, "vehic"), (_METERS_SEEN, "meter")):
                seen = arrived[prefix]
                await connection.execute(
                    statement,
                    list(seen),
                    [time_of(time) for time, _ in seen.values()],
                    [time_of(at) for _, at in seen.values()],
                )
            # by the clock on the wall all of it is late; by the fleet's, this is not
            await connection.execute(_NOT_LATE, floor_hour(now - LATE_AFTER))
        self.readings += len(arrivals)
        self.stored_s += perf_counter() - began

    async def _roll_up(self, until: datetime) -> None:
        """As the database's policies do, a day of the fleet's time at once."""
        async with self._database.session() as connection:
            for rollup in ("vehicle_hourly", "meter_hourly"):
                await connection.execute(_REFRESH, rollup, until - timedelta(days=1), until)

    async def _evaluate(self, now: datetime) -> None:
        began = perf_counter()
        if self._rolls_up:
            await self._database.run(queries.refresh_late_hours.sql)
        await self._evaluator.run(now)
        self.evaluated_s += perf_counter() - began

    async def score(self) -> list[Scored]:
        """What was found, against what was there."""
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


def _steps(
    arrivals: Sequence[Arrival], hour: datetime
) -> Iterator[tuple[datetime, Sequence[Arrival]]]:
    """What has arrived by each step of an hour."""
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
with settings as (
    insert into vehicle_settings (vehicle_id, site, reporting_interval_s, battery_capacity_wh)
    values ($1, $2, $3, $4)
)
insert into meter_assignments (vehicle_id, since, meter_id, restamped_at)
values ($1, $5, $6, now())
"""
_METER = "insert into meter_settings (meter_id, site, reporting_interval_s) values ($1, $2, $3)"

_VEHICLES_SEEN = """
update vehicle_state as v
set last_seen = a.arrived
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as a (id, time, arrived)
where v.vehicle_id = a.id
    and v.time = a.time
"""
_METERS_SEEN = """
update meter_state as m
set last_seen = a.arrived
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as a (id, time, arrived)
where m.meter_id = a.id
    and m.time = a.time
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
