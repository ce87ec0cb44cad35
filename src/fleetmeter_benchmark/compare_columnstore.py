"""Compares what two versions need to store a day of readings."""

from datetime import UTC, datetime, time
from functools import partial
from itertools import islice

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import ask, client_of, request
from fleetmeter_benchmark.columnstore import AGE, CLOCKS
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import Contender
from fleetmeter_benchmark.jobs import convert_to_columnstore
from fleetmeter_benchmark.realistic_day import MINUTES, Day, minutes

_REQUEST_READINGS = 1000
"""Readings in a request of the day to be packed, unless a minute of it has more."""


async def compare_columnstore(comparison: Comparison) -> None:
    """Measure what a day of readings takes as rows and in the columnstore."""
    start = datetime.combine(datetime.now(UTC).date(), time(), UTC) - AGE
    for name, jitter_ms, _ in CLOCKS:
        devices = comparison.options.columnstore.devices
        day = Day(devices=devices, start=start, jitter_ms=jitter_ms)
        sizes = await comparison.in_turn(
            name, partial(_pack, comparison, name, day), comparison.contenders
        )
        comparison.pairs.add(f"a row with its index, {name}", "bytes", *(size[0] for size in sizes))
        comparison.pairs.add(f"in the columnstore, {name}", "bytes", *(size[1] for size in sizes))


async def _pack(
    comparison: Comparison, name: str, day: Day, contender: Contender
) -> tuple[float, float | None]:
    """Return bytes a reading, before and after the policies have converted the day."""
    name = f"{name}: {contender.version.name}"
    readings = 2 * day.devices * MINUTES
    async with contender.database() as url:
        before = await _bytes(contender, url)
        async with contender.running(url) as running, client_of(running.target) as client:
            together = max(1, _REQUEST_READINGS // (2 * day.devices))
            stream = minutes(day)
            for number in range(0, MINUTES, together):
                comparison.progress(name, number, MINUTES)
                some = [each for minute in islice(stream, together) for each in minute.readings()]
                await ask(client, request("POST", "/v1/ingest", some))
        comparison.progress(name, MINUTES, MINUTES)
        rows = (await _bytes(contender, url) - before) / readings
        await convert_to_columnstore(url)
        history = await contender.history(url)
        packed = sum(each.columnstore_rows or 0 for each in history)
        if not packed:
            return rows, None
        if packed != readings:
            raise FleetMeterError(f"{name}: {packed:,} of {readings:,} readings were converted")
        return rows, sum(each.columnstore_bytes or 0 for each in history) / readings


async def _bytes(contender: Contender, url: str) -> int:
    """Return the size of history, with its indexes."""
    return sum(each.bytes for each in await contender.history(url))
