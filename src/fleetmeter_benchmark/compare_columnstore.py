"""Compares what two versions need to store a day of readings."""

from functools import partial

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.columnstore import days, load_day
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import Contender
from fleetmeter_benchmark.jobs import convert_to_columnstore
from fleetmeter_benchmark.realistic_day import MINUTES, Day
from fleetmeter_benchmark.storage import history_of


async def compare_columnstore(comparison: Comparison) -> None:
    """Measure what a day of readings takes as rows and in the columnstore."""
    for name, day, _ in days(comparison.options.columnstore.devices):
        sizes = await comparison.in_turn(
            name, partial(_pack, comparison, name, day), comparison.contenders
        )
        comparison.pairs.add(f"a row with its index, {name}", "bytes", *(size[0] for size in sizes))
        comparison.pairs.add(f"in the columnstore, {name}", "bytes", *(size[1] for size in sizes))


async def _pack(
    comparison: Comparison, name: str, day: Day, contender: Contender
) -> tuple[float, float | None]:
    """Return bytes a reading, before and after the policies have converted the day."""
    version = contender.version
    name = f"{name}: {version.name}"
    async with contender.database() as url:
        rows = await load_day(version, url, contender.workers, day, name, comparison.progress)
        await convert_to_columnstore(url)
        history = await history_of(version, url)
    packed, readings = history.columnstore_rows or 0, 2 * day.devices * MINUTES
    if packed not in (0, readings):
        raise FleetMeterError(f"{name}: {packed:,} of {readings:,} readings were converted")
    return rows, (history.columnstore_bytes or 0) / readings if packed else None
