"""Measures how long the rules take for one hour of a large fleet, reading and storing included.

The service's own evaluator runs on a database that has a few hours of every device. An hour that is
over but not rolled up yet is read device by device through the primary key, one that is rolled up
from the rollups.
"""

from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from time import perf_counter

from fleetmeter.anomalies.evaluation.reader import floor_hour
from fleetmeter.anomalies.evaluation.runner import Evaluator
from fleetmeter.database.pool import connect
from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings
from fleetmeter_benchmark.answers import Answered
from fleetmeter_benchmark.history import HOUR, History, empty_history
from fleetmeter_benchmark.options import AnomalyOptions, Progress

EVALUATION_MS = 5000.0

_HOURS = 4
"""Hours of the fleet; the newest of them is not rolled up."""

_CLOSED = timedelta(minutes=6)
"""Time after the end of an hour at which it is evaluated."""


async def measure(
    server_url: str, settings: Settings, options: AnomalyOptions, progress: Progress
) -> list[Answered]:
    """Measure each way to read an hour. Raises FleetMeterError if nothing was evaluated."""
    until = floor_hour(datetime.now(UTC))
    async with empty_history(server_url, options.evaluated, progress) as history:
        await history.fill(f"evaluation: {history.devices:,}", until - _HOURS * HOUR, until)
        await history.finish("evaluation: rollups", until - HOUR, account=False)
        lines = [
            await _time(history, settings, "not rolled up", until, options.runs, progress),
        ]
        if history.rolls_up:
            lines.append(
                await _time(history, settings, "rolled up", until - HOUR, options.runs, progress)
            )
        return lines


async def _time(
    history: History,
    settings: Settings,
    how: str,
    end: datetime,
    runs: int,
    progress: Progress,
) -> Answered:
    """Evaluate the hour that ends at `end`, again and again."""
    name = f"an hour of {history.devices:,} vehicles, {how}"
    times_ms: list[float] = []
    database = await connect(history.url, settings)
    try:
        for number in range(runs + 1):
            progress(name, number, runs + 1)
            await history.connection.execute(_BACK_TO, end - HOUR)
            evaluator = Evaluator(database)
            started = perf_counter()
            await evaluator.run(end + _CLOSED)
            if number:  # the first has plans to make
                times_ms.append((perf_counter() - started) * 1000)
            if await history.connection.fetchval(_EVALUATED_UNTIL) != end:
                raise FleetMeterError(f"{name}: it was not evaluated")
        progress(name, runs + 1, runs + 1)
    finally:
        await database.close()
    return Answered(
        scenario=name,
        readings=history.readings,
        runs=runs,
        p50_ms=median(times_ms),
        p99_ms=quantiles(times_ms, n=100, method="inclusive")[98],
        limit_ms=EVALUATION_MS,
    )


_BACK_TO = "update anomaly_progress set evaluated_until = $1"
_EVALUATED_UNTIL = "select evaluated_until from anomaly_progress"
