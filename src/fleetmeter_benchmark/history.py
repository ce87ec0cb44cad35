"""Fills a database with the history of a fleet, by SQL, for the answers to be asked of.

Vehicles charge eight hours of a day, staggered; each twentieth shares the meter of its neighbour.
Every meter has a small standby, and there are a hundred sites. Values have some noise: without it,
files and the columnstore would be smaller than those of any real fleet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.jobs import pause_jobs
from fleetmeter_benchmark.options import Progress
from fleetmeter_benchmark.processes import fresh_database, stored

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]

HOUR = timedelta(hours=1)
_ATTEMPTS = 60
"""How often a refresh is tried, a second apart, when one of the database's own is in its way."""


class History:
    """Holds a database of its own and one connection to it, opened as the service opens its own."""

    def __init__(
        self, url: str, connection: "_Connection", devices: int, rolls_up: bool, progress: Progress
    ) -> None:
        self.url = url
        self.connection = connection
        self.devices = devices
        """Vehicles, and as many meters."""

        self.rolls_up = rolls_up
        """Whether the database has rollups, and a columnstore."""

        self.readings = 0
        """Number of readings, counted after the last one was written."""

        self._progress = progress

    async def fill(
        self, name: str, start: datetime, end: datetime, every: timedelta = timedelta(minutes=1)
    ) -> None:
        """Write readings of every device at regular times, hour by hour."""
        done, total = 0, 2 * self.devices * ((end - start) // every)
        self._progress(name, 0, total)
        while start < end:
            until = min(start + HOUR, end)
            for statement in (_VEHICLE_READINGS, _METER_READINGS):
                status = await self.connection.execute(statement, start, until, every, self.devices)
                done += int(status.rpartition(" ")[2])
                self._progress(name, done, total)
            start = until

    async def finish(self, name: str, end: datetime, *, account: bool) -> None:
        """Add what a service in use has: live state, rollups, statistics.

        Only answers about the whole fleet read what is accounted for.
        """
        self._progress(name, 0, 4)
        await self.connection.execute(_LIVE)
        if self.rolls_up:
            for number, rollup in enumerate(("quarter_hourly", "hourly"), start=1):
                await self._refresh(rollup, end)
                self._progress(name, number, 4)
            if account:
                await self._account_hours()
        self._progress(name, 3, 4)
        await self.connection.execute("vacuum (analyze)")
        self.readings = await stored(self.url)
        self._progress(name, 4, 4)

    async def _refresh(self, rollup: str, end: datetime) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self.connection.execute(
                    "call refresh_continuous_aggregate($1::text::regclass, null, $2::timestamptz)",
                    *(rollup, end + timedelta(microseconds=1)),  # an hour includes its end
                )
                return
            except asyncpg.ObjectNotInPrerequisiteStateError:
                # a job that had started before it could be paused holds the same hours
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(1)

    async def _account_hours(self) -> None:
        left = await self.connection.fetchval(_UNACCOUNTED)
        while left:
            before = left
            await self.connection.execute("call account_hours(35, 100)")
            left = await self.connection.fetchval(_UNACCOUNTED)
            if left == before:
                raise FleetMeterError(f"{left} hours that are rolled up cannot be accounted for")


@asynccontextmanager
async def empty_history(
    server_url: str, devices: int, progress: Progress
) -> AsyncIterator[History]:
    """Create a database that knows its devices, and drop it afterwards."""
    async with fresh_database(server_url, 0) as url:
        connection = await asyncpg.connect(url, server_settings={"timezone": "UTC", "jit": "off"})
        try:
            rolls_up = await pause_jobs(url)
            for statement in _DEVICES:
                await connection.execute(statement, devices)
            yield History(url, connection, devices, rolls_up, progress)
        finally:
            await connection.close()


_UNACCOUNTED = """
select count(*)
from (select distinct floor_hour(bucket) as hour from rolled_up_hours) as r
where not exists (select from accounted_hours as a where a.hour = r.hour)
"""

_DEVICES = (
    """
    insert into devices (device, kind, id)
    overriding system value
    select number, 'vehicle', 'EV-' || lpad(number::text, 6, '0')
    from generate_series(1, $1::integer) as number
    """,
    """
    insert into devices (device, kind, id, site)
    overriding system value
    select
        $1 + number,
        'meter',
        'MTR-' || lpad(number::text, 6, '0'),
        'site-' || lpad((number % 100)::text, 2, '0')
    from generate_series(1, $1::integer) as number
    """,
    "select setval(pg_get_serial_sequence('devices', 'device'), 2 * $1::bigint)",
    """
    insert into meter_vehicles (meter, vehicle)
    select $1 + number - (number % 20 = 0)::integer, number
    from generate_series(1, $1::integer) as number
    """,
)

# Vehicles have the numbers from 1 on, meters those behind them.
#
# From a time to another, so often, so many: in the order of time, as readings come in. Energy is of
# the time between two readings; a vehicle that shares a meter charges when its neighbour does.
_VEHICLE_READINGS = """
insert into readings (device, meter, time, energy_mwh, soc_bp, battery_temp_cdeg, span_ms)
select
    v.number,
    $4 + v.meter,
    v.time,
    case
        when (extract(hour from v.time)::integer + v.meter) % 24 < 8
            then (150000 + v.number % 97 * 1000 + (v.noise % 21 - 10) * 1000)
                * extract(epoch from $3::interval)::bigint / 60
        else 0
    end,
    2000 + (extract(hour from v.time)::integer + v.meter) % 24 * 250 + v.noise % 50,
    1800 + v.number % 190 * 10 + v.noise % 9 * 10,
    extract(epoch from $3::interval)::bigint * 1000
from (
    select
        t.time,
        n.number,
        n.number - (n.number % 20 = 0)::integer as meter,
        hashint8(n.number + extract(epoch from t.time)::bigint) & 1023 as noise
    from generate_series($1::timestamptz, $2::timestamptz - $3::interval, $3::interval) as t (time)
    cross join generate_series(1, $4::integer) as n (number)
) as v
order by v.time, v.number
"""
_METER_READINGS = """
insert into readings (device, time, energy_mwh, voltage_mv, span_ms)
select
    $4 + m.number,
    m.time,
    (
        1000
        + case
            when (extract(hour from m.time)::integer + m.number) % 24 < 8
                then (165000 + m.number % 97 * 1100 + (m.noise % 21 - 10) * 1000) * m.vehicles
            else 0
        end
    ) * extract(epoch from $3::interval)::bigint / 60,
    226000 + m.number % 83 * 100 + m.noise % 40 * 100,
    extract(epoch from $3::interval)::bigint * 1000
from (
    select
        t.time,
        n.number,
        (n.number % 20 <> 0)::integer + (n.number % 20 = 19 and n.number < $4)::integer as vehicles,
        hashint8(n.number + extract(epoch from t.time)::bigint) & 1023 as noise
    from generate_series($1::timestamptz, $2::timestamptz - $3::interval, $3::interval) as t (time)
    cross join generate_series(1, $4::integer) as n (number)
) as m
order by m.time, m.number
"""

# The newest reading of each device.
_LIVE = """
insert into live_state (
    device, meter, time, energy_mwh, soc_bp, battery_temp_cdeg, voltage_mv, last_seen
)
select
    r.device, r.meter, r.time, r.energy_mwh, r.soc_bp, r.battery_temp_cdeg, r.voltage_mv, r.time
from readings as r
where r.time = (select max(n.time) from readings as n)
on conflict do nothing
"""
