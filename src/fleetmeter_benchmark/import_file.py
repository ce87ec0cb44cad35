"""Measures how fast a file of yesterday's readings is imported, beside as many by HTTP.

`fleetmeter import` runs as a process of its own, as it does for users, once with a tenth of the
readings and once with all. Afterwards the database reads the file by itself and compares.
"""

import asyncio
import os
import resource
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.file_results import BULK_RATIO, SAMPLE_S, Moved, compared, grown
from fleetmeter_benchmark.fleet import CSV_HEADER, csv_lines
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.processes import THIS, Usage, connected, fresh_database

_DAY_S = 86_400
_LONGEST_EVERY_S = 60
"""Longest time between readings of a device; shorter if a day would not hold them all."""


async def measure(
    server_url: str,
    database: psutil.Process | None,
    options: Options,
    progress: Progress,
    bulk: Measured,
) -> list[Moved]:
    """Measure both lines. Raises FleetMeterError if history differs from the file."""
    times = max(1, options.readings // options.devices)
    small, whole = [
        await _measure(server_url, database, options.devices, some, progress)
        for some in (max(1, times // 10), times)
    ]
    return grown(small, compared(whole, bulk.scenario, bulk.rate, BULK_RATIO))


async def _measure(
    server_url: str, database: psutil.Process | None, devices: int, times: int, progress: Progress
) -> Moved:
    readings = devices // 2 * 2 * times
    name = f"import, {readings:,}"
    with TemporaryDirectory(prefix="fleetmeter-bench-") as folder:
        path = Path(folder) / "readings.csv"
        await asyncio.to_thread(_write, path, devices, times, f"{name}, the file", progress)
        async with fresh_database(server_url, devices) as url:
            progress(name, 0, readings)
            async with Usage(database) as database_used:
                seconds, cpu_s, rss_mib = await _import(url, path)
            await _compare(name, url, path, readings)
            progress(name, readings, readings)
        million = readings / 1_000_000
        return Moved(
            scenario=name,
            readings=readings,
            bytes=path.stat().st_size,
            rate=readings / seconds,
            rss_mib=rss_mib,
            process_cpu_s=cpu_s / million,
            database_cpu_s=database_used.cpu_s / million if database else None,
        )


def _write(path: Path, devices: int, times: int, name: str, progress: Progress) -> None:
    """Write the readings of all devices time by time, as a log has them."""
    yesterday = datetime.combine(datetime.now(UTC).date(), time(), UTC) - timedelta(days=1)
    every = timedelta(seconds=min(_LONGEST_EVERY_S, _DAY_S // times))
    try:
        with path.open("wb") as file:
            file.write(CSV_HEADER)
            for number, lines in enumerate(islice(csv_lines(devices, yesterday, every), times)):
                progress(name, number * devices, times * devices)
                file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FleetMeterError(f"{name} cannot be written to {path}: {error.strerror}") from error
    progress(name, times * devices, times * devices)


async def _import(url: str, path: Path) -> tuple[float, float, float]:
    """Return seconds, seconds of CPU, and peak memory. Raises FleetMeterError."""
    before, started = _children_cpu_s(), perf_counter()
    process = await THIS.start(
        ["-m", "fleetmeter", "import", str(path)],
        {"FLEETMETER_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with Usage(psutil.Process(process.pid), SAMPLE_S) as used:
            said, _ = await process.communicate()
            seconds = perf_counter() - started
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise FleetMeterError(f"the import failed: {said.decode(errors='replace').strip()}")
    return seconds, _children_cpu_s() - before, max(used.rss_mib, default=0.0)


def _children_cpu_s() -> float:
    """Return the CPU time of children that have ended, since they cannot be asked any more."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _compare(name: str, url: str, path: Path, readings: int) -> None:
    """Check that history has each reading of the file, and no other. Raises FleetMeterError."""
    async with connected(url) as connection:
        await connection.execute(_EXPECTED)
        await connection.copy_to_table("expected", source=path, format="csv", header=True)
        [(expected, missing, more)] = await connection.fetch(_DIFFERENCE)
    if (expected, missing, more) != (readings, 0, 0):
        raise FleetMeterError(
            f"{name}: of the {expected:,} readings of the file {missing:,} are MISSING in history, "
            f"and history has {more:,} that the file has not"
        )


_EXPECTED = """
create temporary table expected (
    vehicle_id text,
    meter_id text,
    time timestamptz,
    soc numeric,
    kwh_dc numeric,
    battery_temp_c numeric,
    kwh_ac numeric,
    voltage numeric
)
"""

_DIFFERENCE = """
with
file as (
    select
        vehicle_id,
        meter_id,
        time,
        round(coalesce(kwh_dc, kwh_ac) * 1000000) as energy_mwh,
        round(soc * 100) as soc_bp,
        round(battery_temp_c * 100) as battery_temp_cdeg,
        round(voltage * 1000) as voltage_mv
    from expected
),
history as (
    select vehicle_id, null as meter_id, time, energy_mwh, soc_bp, battery_temp_cdeg, null as mv
    from vehicle_readings
    union all
    select null, meter_id, time, energy_mwh, null, null, voltage_mv
    from meter_readings
)
select
    (select count(*) from file),
    (select count(*) from (select * from file except all select * from history) as missing),
    (select count(*) from (select * from history except all select * from file) as more)
"""
