"""Measures how long the rules take for one hour of a large fleet, reading and storing included.

A service runs on a database that has a few hours of every device. It is made to evaluate the newest
of them again and again, and notes how long it took. An hour that is over but not rolled up yet is
read device by device through the primary key, one that is rolled up from the rollups.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.answers import Answered
from fleetmeter_benchmark.history import HOUR, History, empty_history
from fleetmeter_benchmark.jobs import roll_up
from fleetmeter_benchmark.options import AnomalyOptions, Progress
from fleetmeter_benchmark.processes import connected, service

EVALUATION_MS = 5000.0

_HOURS = 4
"""Hours of the fleet; the newest of them is not rolled up at first."""

_CLOSED_AFTER = timedelta(minutes=5)
"""Time after the end of an hour at which a service evaluates it."""

_LONGEST = timedelta(hours=6)
"""Longest wait for an evaluation."""


async def measure(server_url: str, options: AnomalyOptions, progress: Progress) -> list[Answered]:
    """Measure each way to read an hour. Raises FleetMeterError if nothing was evaluated."""
    closed = datetime.now(UTC) - _CLOSED_AFTER
    end = closed.replace(minute=0, second=0, microsecond=0)
    async with empty_history(server_url, options.evaluated, progress) as history:
        await history.fill(f"evaluation: {history.devices:,}", end - _HOURS * HOUR, end)
        await history.finish("evaluation: rollups", end - HOUR)
        async with service(history.url, 1):
            lines = [await _time(history, "not rolled up", end, options.runs, progress)]
            if history.rolls_up:
                await roll_up(history.url, end)
                lines.append(await _time(history, "rolled up", end, options.runs, progress))
        return lines


async def _time(
    history: History, how: str, end: datetime, runs: int, progress: Progress
) -> Answered:
    """Let the service evaluate the hour that ends at `end`, again and again."""
    name = f"an hour of {history.devices:,} vehicles, {how}"
    times_ms: list[float] = []
    for number in range(runs + 1):
        progress(name, number, runs + 1)
        await evaluate_since(history.url, end - HOUR)
        took = await evaluated(history.url, end)
        if number:  # the first has plans to make
            times_ms.append(took / timedelta(milliseconds=1))
    progress(name, runs + 1, runs + 1)
    return Answered(
        scenario=name,
        readings=history.readings,
        runs=runs,
        p50_ms=median(times_ms),
        p99_ms=quantiles(times_ms, n=100, method="inclusive")[98],
        limit_ms=EVALUATION_MS,
    )


async def evaluate_since(url: str, start: datetime) -> None:
    """Let a service evaluate what has been stored since then, as if nobody had."""
    async with connected(url) as connection:
        await connection.execute("delete from late_devices")
        await connection.execute(_BACK_TO, start)


async def evaluated(url: str, end: datetime) -> timedelta:
    """Wait until a service has evaluated all up to `end`; return how long its last turn took.

    Raises FleetMeterError.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + _LONGEST.total_seconds()
    async with connected(url) as connection:
        while loop.time() < ends:
            took: timedelta | None = await connection.fetchval(_TOOK, end)
            if took is not None:
                return took
            await asyncio.sleep(0.2)
    raise FleetMeterError(f"the service has not evaluated all hours in {_LONGEST}")


_BACK_TO = "update anomaly_progress set evaluated_until = $1, took = null"
_TOOK = "select took from anomaly_progress where evaluated_until >= $1"
