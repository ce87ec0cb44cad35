"""Measures how long the energy answers take: what the service asks the database.

They run one after another, without HTTP, whose cost is the same for each. One database has a day of
a whole fleet; in another, the history of a small fleet grows to ten times as long, which must not
matter to an answer about a day.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from random import Random
from statistics import median, quantiles
from time import perf_counter
from zoneinfo import ZoneInfo

import msgspec

from fleetmeter.energy import answers
from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.history import HOUR, History, empty_history
from fleetmeter_benchmark.options import AnswersOptions, Progress

PERFORMANCE_MS = 3.0
FLEET_MS = 250.0
DAILY_SERIES_MS = 10.0
HISTORY_RATIO = 1.2
"""How much slower an answer may be with ten times the history."""

_DAY = timedelta(days=1)
_SPARSE = timedelta(minutes=10)
"""Time between readings on the days that only the daily series needs."""

_ZONE = ZoneInfo("Europe/Berlin")
_PAGE = 100
"""Items per page, the service's default; it asks for one more to learn whether there is one."""

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


async def measure(server_url: str, options: AnswersOptions, progress: Progress) -> list[Answered]:
    """Measure every line, in the order of the table. Raises FleetMeterError for an empty answer."""
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with empty_history(server_url, options.fleet, progress) as history:
        lines = await _of_the_fleet(_Watch(history, progress), until, options)
    async with empty_history(server_url, options.history_fleet, progress) as history:
        return lines + await _of_long_history(_Watch(history, progress), until, options)


def medians(rounds: Sequence[Sequence[Answered]]) -> list[Answered]:
    """Return the median of each line over the rounds."""
    return [
        msgspec.structs.replace(
            same[0],
            p50_ms=median(line.p50_ms for line in same),
            p99_ms=median(line.p99_ms for line in same),
            ratio=None
            if same[0].ratio is None
            else median(line.ratio for line in same if line.ratio is not None),
        )
        for same in zip(*rounds, strict=True)
    ]


async def _of_the_fleet(
    watch: "_Watch", until: datetime, options: AnswersOptions
) -> list[Answered]:
    history, hours = watch.history, options.hours - 2
    await history.fill(
        f"answers: history of {history.devices:,}", until - options.hours * HOUR, until
    )
    await history.finish(f"answers: rollups of {history.devices:,}", until, account=True)
    whole = (until - HOUR - hours * HOUR, until - HOUR)
    cut = tuple(edge + timedelta(minutes=20) for edge in whole)
    return [
        await watch.performance(f"performance, {hours} h", whole, options.runs),
        await watch.performance(f"performance, {hours} h cut", cut, options.runs),
        await watch.sessions(f"sessions, {hours} h", whole, options.runs),
        await watch.fleet(f"fleet, {hours} h", whole, options.fleet_runs, limit_ms=FLEET_MS),
        await watch.fleet(f"fleet, {hours} h cut", cut, options.fleet_runs),
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
        await history.finish(f"{before}, rollups", until, account=False)

    day = (until - _DAY, until)
    await grow(short, 0)
    first = await watch.performance(f"performance, {_days(short)} of history", day, runs)
    await grow(long, short)
    second = await watch.performance(f"performance, {_days(long)} of history", day, runs)
    second = msgspec.structs.replace(
        second,
        compared_with=first.scenario,
        ratio=second.p50_ms / first.p50_ms,
        limit_ratio=HISTORY_RATIO,
    )
    await grow(longest, long, _SPARSE)
    series = await watch.daily_series(longest - 1, until, runs)
    return [first, second, series]


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


class _Watch:
    """Asks and measures the time."""

    def __init__(self, history: History, progress: Progress) -> None:
        self.history = history
        self._connection = history.connection
        self._progress = progress
        self._random = Random(0)  # noqa: S311 - the same vehicles each time, and nothing secret

    async def performance(self, name: str, window: Sequence[datetime], runs: int) -> Answered:
        """Ask for the energy summary of one vehicle."""
        start, end = window

        async def ask() -> int:
            found = await answers.performance(self._connection, self._vehicle(), start, end)
            return int(found.quality.status != "no_data")

        return await self._time(name, ask, runs, PERFORMANCE_MS)

    async def daily_series(self, days: int, until: datetime, runs: int) -> Answered:
        """Ask for the newest whole days of a time zone."""
        end = datetime.combine(until.astimezone(_ZONE).date(), time(), _ZONE)
        start = end - days * _DAY

        async def ask() -> int:
            found = await answers.vehicle_series(
                self._connection,
                self._vehicle(),
                start.astimezone(UTC),
                end.astimezone(UTC),
                "day",
                _ZONE,
                _PAGE + 1,
            )
            return len(found)

        return await self._time(f"{_days(days)} by day, one vehicle", ask, runs, DAILY_SERIES_MS)

    async def sessions(self, name: str, window: Sequence[datetime], runs: int) -> Answered:
        """Ask for the charging sessions of one vehicle."""
        start, end = window

        async def ask() -> int:
            found = await answers.charging_sessions(
                self._connection, self._vehicle(), start, end, _PAGE + 1
            )
            return len(found)

        return await self._time(name, ask, runs, None)

    async def fleet(
        self, name: str, window: Sequence[datetime], runs: int, limit_ms: float | None = None
    ) -> Answered:
        """Ask for the fleet's totals, its first sites, and the vehicles that lose most."""
        start, end = window

        async def ask() -> int:
            report = await answers.fleet_report(
                self._connection,
                start,
                end,
                sites=_PAGE + 1,
                vehicles=_PAGE + 1,
                sort="-loss",
            )
            return len(report.vehicles)

        return await self._time(name, ask, runs, limit_ms)

    def _vehicle(self) -> str:
        return f"EV-{self._random.randint(1, self.history.devices):06}"

    async def _time(
        self, name: str, ask: Callable[[], Awaitable[int]], runs: int, limit_ms: float | None
    ) -> Answered:
        warm_up = max(1, round(runs * _WARM_UP))
        began = perf_counter()
        times_ms: list[float] = []
        found = 0
        for number in range(warm_up + runs):
            self._progress(name, number, warm_up + runs)
            started = perf_counter()
            found += await ask()
            ended = perf_counter()
            if number >= warm_up:
                times_ms.append((ended - started) * 1000)
            if len(times_ms) >= _FEWEST and ended - began > _LONGEST_S:
                break
        if not found:
            raise FleetMeterError(f"{name}: every answer was empty")
        self._progress(name, warm_up + runs, warm_up + runs)
        return Answered(
            scenario=name,
            readings=self.history.readings,
            runs=len(times_ms),
            p50_ms=median(times_ms),
            p99_ms=quantiles(times_ms, n=100, method="inclusive")[98],
            limit_ms=limit_ms,
        )
