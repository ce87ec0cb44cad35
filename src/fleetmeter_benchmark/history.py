"""Fills a database with the history of a fleet, by SQL, for the answers to be asked of.

Vehicles charge eight hours of a day, staggered; each twentieth shares the meter of its neighbour.
Every meter has a small standby, and there are a hundred sites. Values have some noise: without it,
files and the columnstore would be smaller than those of any real fleet.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fleetmeter_benchmark.jobs import account_hours, pause_jobs, roll_up
from fleetmeter_benchmark.options import Progress
from fleetmeter_benchmark.processes import connected, fresh_database, stored

if TYPE_CHECKING:
    import asyncpg

    _Connection = asyncpg.Connection[asyncpg.Record]

HOUR = timedelta(hours=1)


class History:
    """Holds a database of its own and one connection to it."""

    def __init__(
        self, url: str, connection: "_Connection", devices: int, rolls_up: bool, progress: Progress
    ) -> None:
        self.url = url
        self.connection = connection
        self.devices = devices
        """Vehicles, and as many meters."""

        self.rolls_up = rolls_up
        """True if the database has rollups and a columnstore."""

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

    async def finish(
        self, name: str, end: datetime, *, account_since: datetime | None = None
    ) -> None:
        """Add what a service in use has: live state, rollups up to `end`, statistics.

        Hours are accounted for from `account_since` on, if it is given: only answers about the
        whole fleet need that.
        """
        self._progress(name, 0, 3)
        await self.connection.execute(_LIVE)
        await roll_up(self.url, end)
        self._progress(name, 1, 3)
        if account_since is not None:
            # readings that are stamped on the hour end the hour before
            await account_hours(self.url, account_since - HOUR, end)
        self._progress(name, 2, 3)
        await self.connection.execute("vacuum (analyze)")
        self.readings = await stored(self.url)
        self._progress(name, 3, 3)


@asynccontextmanager
async def empty_history(
    server_url: str, devices: int, progress: Progress
) -> AsyncIterator[History]:
    """Create a database that knows its devices, and drop it afterwards."""
    async with fresh_database(server_url, 0) as url:
        rolls_up = await pause_jobs(url)
        async with connected(url) as connection:
            for statement in _DEVICES:
                await connection.execute(statement, devices)
            yield History(url, connection, devices, rolls_up, progress)


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
