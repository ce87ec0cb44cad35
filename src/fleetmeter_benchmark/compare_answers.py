"""Compares how fast two versions answer, with the same history and the same settings."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fleetmeter_benchmark.client import Client, ask_all, client_of, question, request, timed_ms
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.fleet import meter_id, vehicle_id
from fleetmeter_benchmark.fleet_history import write_history
from fleetmeter_benchmark.history import HOUR
from fleetmeter_benchmark.jobs import account_hours, quiet, refresh_rollups
from fleetmeter_benchmark.processes import Running, connected

_SITES = 100
_FILE_READINGS = 1_500_000
"""Readings in a file of history, unless an hour of the fleet has more."""

_WARM_UP = 0.1
"""Share of additional questions before the clock starts."""


async def compare_answers(comparison: Comparison) -> None:
    """Measure the energy of one vehicle and of the fleet, over whole and over cut hours."""
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = comparison.options.answers.hours - 2
    whole = (until - HOUR - hours * HOUR, until - HOUR)
    cut = (whole[0] + timedelta(minutes=20), whole[1] + timedelta(minutes=20))
    random = Random(0)  # noqa: S311 - the same vehicles each time, and nothing secret

    def vehicle() -> str:
        number = random.randrange(comparison.options.answers.fleet)
        return f"performance/{vehicle_id(number)}"

    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(each.database()) for each in comparison.contenders]
        await _fill(comparison, urls, until)
        running = [
            await stack.enter_async_context(each.running(url))
            for each, url in zip(comparison.contenders, urls, strict=True)
        ]
        await _finish(comparison, urls, running, whole)
        clients = [await stack.enter_async_context(client_of(each.target)) for each in running]
        runs, fleet_runs = comparison.options.answers.runs, comparison.options.answers.fleet_runs
        for name, window in ((f"{hours} h", whole), (f"{hours} h cut", cut)):
            await _time(comparison, f"performance, {name}", clients, vehicle, window, runs)
        for name, window in ((f"{hours} h", whole), (f"{hours} h cut", cut)):
            await _time(comparison, f"fleet, {name}", clients, lambda: "fleet", window, fleet_runs)


async def _fill(comparison: Comparison, urls: Sequence[str], until: datetime) -> None:
    """Import the same files into both databases, some hours each."""
    hours, vehicles = comparison.options.answers.hours, comparison.options.answers.fleet
    together = max(1, _FILE_READINGS // (2 * 60 * vehicles))
    name = f"answers: history of {vehicles:,}"
    with TemporaryDirectory(prefix="fleetmeter-bench-") as folder:
        for left in range(hours, 0, -together):
            comparison.progress(name, hours - left, hours)
            path = Path(folder) / f"{left}.csv"
            start, end = until - left * HOUR, until - max(left - together, 0) * HOUR
            await asyncio.to_thread(write_history, path, start, end, vehicles)
            for contender, url in zip(comparison.contenders, urls, strict=True):
                beside = Path(folder) / contender.version.name
                beside.mkdir(exist_ok=True)
                await contender.version.run(url, "import", str(path), "--out", str(beside))
            path.unlink()
    comparison.progress(name, hours, hours)


async def _finish(
    comparison: Comparison,
    urls: Sequence[str],
    running: Sequence[Running],
    accounted: tuple[datetime, datetime],
) -> None:
    """Add what services in use have: sites, rollups, accounts, statistics."""
    name = "answers: rollups"
    comparison.progress(name, 0, 4)
    for each in running:
        await ask_all(each.target, map(_site, range(comparison.options.answers.fleet)))
    comparison.progress(name, 1, 4)
    for url in urls:
        await refresh_rollups(url)
    comparison.progress(name, 2, 4)
    for url in urls:
        await account_hours(url, *accounted)
    await quiet([each.process for each in running], comparison.database)
    comparison.progress(name, 3, 4)
    for url in urls:
        async with connected(url) as connection:
            await connection.execute("vacuum (analyze)")
    comparison.progress(name, 4, 4)


async def _time(
    comparison: Comparison,
    name: str,
    clients: Sequence[Client],
    what: Callable[[], str],
    window: tuple[datetime, datetime],
    runs: int,
) -> None:
    """Ask both the same, again and again."""
    warm_up = max(1, round(runs * _WARM_UP))
    for number in range(-warm_up, runs):
        comparison.progress(name, max(number, 0), runs)
        wire = question(f"analytics/{what()}", window)
        times_ms = await comparison.in_turn(name, partial(timed_ms, wire=wire), clients)
        if number >= 0:
            comparison.pairs.add(name, "ms", *times_ms)
    comparison.progress(name, runs, runs)


def _site(number: int) -> bytes:
    return request(
        "PATCH", f"/v1/meters/{meter_id(number)}", {"site": f"site-{number % _SITES:02}"}
    )
