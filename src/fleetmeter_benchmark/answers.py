"""Measures how long the energy answers take, over HTTP and one after another.

One database has a day of a whole fleet; in another, the history of a small fleet grows to ten times
as long, which must not matter to an answer about a day.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from random import Random
from statistics import median, quantiles
from time import perf_counter
from zoneinfo import ZoneInfo

import msgspec
import psutil

from fleetmeter_benchmark import rounds as rounds_
from fleetmeter_benchmark.client import Client, client_of, question, timed_ms
from fleetmeter_benchmark.fleet import vehicle_id
from fleetmeter_benchmark.history import HOUR, History, empty_history
from fleetmeter_benchmark.jobs import quiet
from fleetmeter_benchmark.options import AnswersOptions, Progress
from fleetmeter_benchmark.processes import service

PERFORMANCE_MS = 3.0
FLEET_MS = 250.0
DAILY_SERIES_MS = 10.0
HISTORY_RATIO = 1.2
"""Most time that an answer may take with ten times the history, relative to before."""

_DAY = timedelta(days=1)
_SPARSE = timedelta(minutes=10)
"""Time between readings on the days that only the daily series needs."""

_ZONE = ZoneInfo("Europe/Berlin")
_Window = tuple[datetime, datetime]
_WARM_UP = 0.1
"""Share of additional runs before the clock starts."""

_LONGEST_S = 60.0
"""Longest time for one line; a slow answer gets fewer runs."""

_FEWEST = 3


class Answered(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table of answers."""

    scenario: str
    readings: int
    """Readings in history, of all devices."""

    runs: int
    p50_ms: float
    p99_ms: float
    limit_ms: float | None = None
    """Limit of the median."""

    compared_with: str = ""
    ratio: float | None = None
    """Ratio of the medians."""

    limit_ratio: float | None = None


async def measure(
    server_url: str, database: psutil.Process | None, options: AnswersOptions, progress: Progress
) -> list[Answered]:
    """Measure every line, in the order of the table. Raises FleetMeterError for an empty answer."""
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with empty_history(server_url, options.fleet, progress) as history:
        lines = await _of_the_fleet(_Watch(history, database, progress), until, options)
    async with empty_history(server_url, options.history_fleet, progress) as history:
        watch = _Watch(history, database, progress)
        return lines + await _of_long_history(watch, until, options)


def medians(rounds: Sequence[Sequence[Answered]]) -> list[Answered]:
    """Return the median of each line over the rounds."""
    return rounds_.medians(rounds, ("p50_ms", "p99_ms", "ratio"))


async def _of_the_fleet(
    watch: "_Watch", until: datetime, options: AnswersOptions
) -> list[Answered]:
    history, hours = watch.history, options.hours - 2
    start = until - options.hours * HOUR
    await history.fill(f"answers: history of {history.devices:,}", start, until)
    await history.finish(f"answers: rollups of {history.devices:,}", until, account_since=start)
    whole = (until - HOUR - hours * HOUR, until - HOUR)
    cut = (whole[0] + timedelta(minutes=20), whole[1] + timedelta(minutes=20))
    runs, fleet_runs = options.runs, options.fleet_runs
    async with watch.asking():
        return [
            await watch.performance(f"performance, {hours} h", whole, runs),
            await watch.performance(f"performance, {hours} h cut", cut, runs),
            await watch.sessions(f"sessions, {hours} h", whole, runs),
            await watch.fleet(f"fleet, {hours} h", whole, fleet_runs, FLEET_MS),
            await watch.fleet(f"fleet, {hours} h cut", cut, fleet_runs),
        ]


async def _of_long_history(
    watch: "_Watch", until: datetime, options: AnswersOptions
) -> list[Answered]:
    """Ask about the same day while more and more history lies before it."""
    history, runs = watch.history, options.runs
    short, long, longest = options.history_days

    async def grow(start: int, end: int, every: timedelta = timedelta(minutes=1)) -> None:
        before = f"answers: {_days(start)}"
        await history.fill(before, until - start * _DAY, until - end * _DAY, every)
        await history.finish(f"{before}, rollups", until)

    day = (until - _DAY, until)
    await grow(short, 0)
    async with watch.asking():
        first = await watch.performance(f"performance, {_days(short)} of history", day, runs)
    await grow(long, short)
    async with watch.asking():
        second = await watch.performance(f"performance, {_days(long)} of history", day, runs)
    second = msgspec.structs.replace(
        second,
        compared_with=first.scenario,
        ratio=second.p50_ms / first.p50_ms,
        limit_ratio=HISTORY_RATIO,
    )
    await grow(longest, long, _SPARSE)
    async with watch.asking():
        series = await watch.daily_series(longest - 1, until, runs)
    return [first, second, series]


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


class _Watch:
    """Asks a service and measures the time."""

    _client: Client

    def __init__(
        self, history: History, database: psutil.Process | None, progress: Progress
    ) -> None:
        self.history = history
        self._database = database
        self._progress = progress
        self._random = Random(0)  # noqa: S311 - the same vehicles each time, and nothing secret

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Run a service for the block; it has done its own jobs before."""
        async with service(self.history.url, 1) as running:
            await quiet([running.process], self._database)
            async with client_of(running.target) as self._client:
                yield

    async def performance(self, name: str, window: _Window, runs: int) -> Answered:
        """Ask for the energy summary of one vehicle."""
        return await self._time(
            name,
            lambda: question(f"analytics/performance/{self._vehicle()}", window),
            runs,
            PERFORMANCE_MS,
        )

    async def daily_series(self, days: int, until: datetime, runs: int) -> Answered:
        """Ask for the newest whole days of a time zone."""
        end = datetime.combine(until.astimezone(_ZONE).date(), time(), _ZONE)
        window = (end - days * _DAY, end)
        return await self._time(
            f"{_days(days)} by day, one vehicle",
            lambda: question(
                f"vehicles/{self._vehicle()}/energy", window, bucket="day", tz=_ZONE.key
            ),
            runs,
            DAILY_SERIES_MS,
        )

    async def sessions(self, name: str, window: _Window, runs: int) -> Answered:
        """Ask for the charging sessions of one vehicle."""
        return await self._time(
            name, lambda: question(f"vehicles/{self._vehicle()}/sessions", window), runs
        )

    async def fleet(
        self, name: str, window: _Window, runs: int, limit_ms: float | None = None
    ) -> Answered:
        """Ask for the fleet's totals, its first sites, and the vehicles that lose most."""
        return await self._time(name, lambda: question("analytics/fleet", window), runs, limit_ms)

    def _vehicle(self) -> str:
        return vehicle_id(self._random.randint(1, self.history.devices))

    async def _time(
        self, name: str, wire: Callable[[], bytes], runs: int, limit_ms: float | None = None
    ) -> Answered:
        warm_up = max(1, round(runs * _WARM_UP))
        began = perf_counter()
        times_ms: list[float] = []
        for number in range(warm_up + runs):
            self._progress(name, number, warm_up + runs)
            took_ms = await timed_ms(self._client, wire())
            if number >= warm_up:
                times_ms.append(took_ms)
            if len(times_ms) >= _FEWEST and perf_counter() - began > _LONGEST_S:
                break
        self._progress(name, warm_up + runs, warm_up + runs)
        return Answered(
            scenario=name,
            readings=self.history.readings,
            runs=len(times_ms),
            p50_ms=median(times_ms),
            p99_ms=quantiles(times_ms, n=100, method="inclusive")[98],
            limit_ms=limit_ms,
        )
