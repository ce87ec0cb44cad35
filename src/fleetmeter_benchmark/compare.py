"""Compares two versions of FleetMeter, measured in turn in one run.

Machines differ and are disturbed, but ratios of figures measured one after the other hardly do.
Both versions are driven as their users do, by HTTP and the command line, with the load of this
version.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import Client, ask, ask_all, client_of, request
from fleetmeter_benchmark.columnstore import AGE, CLOCKS
from fleetmeter_benchmark.contenders import Contender, prepared
from fleetmeter_benchmark.fleet import AGES, FRESH, Age, meter_id, rfc3339, vehicle_id
from fleetmeter_benchmark.fleet_history import write_history
from fleetmeter_benchmark.history import HOUR
from fleetmeter_benchmark.ingest import at, bulk_job, measure_load, singles_job
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.jobs import (
    account_hours,
    connected,
    convert_to_columnstore,
    quiet,
    refresh_rollups,
)
from fleetmeter_benchmark.load import Job
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Pairs, Target
from fleetmeter_benchmark.processes import Running, Version, database_process, empty_handler
from fleetmeter_benchmark.realistic_day import MINUTES, Day, minutes

BASELINE = "19b41f4"
"""The last version with a table of readings for each kind of device; targets are relative to it."""

_BATCH = 5000
_SITES = 100
_FILE_READINGS = 1_500_000
"""Readings in a file of history, unless an hour of the fleet has more."""

_REQUEST_READINGS = 1000
"""Readings in a request of the day to be packed, unless a minute of it has more."""

_WARM_UP = 0.1
"""Share of additional questions before the clock starts."""

_Each = TypeVar("_Each")
_Result = TypeVar("_Result")


def targets(options: Options) -> dict[str, Target]:
    """Return what the version after BASELINE is to reach, by figure."""
    hours = options.answers.hours - 2
    return {
        "bulk, fresh": Target(at_least=1.7),
        "bulk, fresh, CPU of the service": Target(at_most=0.4),
        "bulk, fresh, CPU of the database": Target(at_most=0.75),
        "bulk, an hour old ÷ fresh": Target(of="new", at_least=0.85),
        "bulk, a day old ÷ fresh": Target(of="new", at_least=0.85),
        "singles, fresh ÷ empty handler": Target(of="new", at_least=0.6),
        "singles, an hour old ÷ fresh": Target(of="new", at_least=0.8),
        "singles, a day old ÷ fresh": Target(of="new", at_least=0.8),
        f"performance, {hours} h": Target(at_most=1),
        f"performance, {hours} h cut": Target(at_most=0.9),
        f"fleet, {hours} h": Target(at_most=0.9),
        f"fleet, {hours} h cut": Target(at_most=0.5),
        **{f"a row with its index, {name}": Target(of="new", at_most=115) for name, _, _ in CLOCKS},
        **{f"in the columnstore, {name}": Target(at_most=1) for name, _, _ in CLOCKS},
    }


async def measure(
    server_url: str,
    versions: Sequence[Version],
    options: Options,
    rounds: int,
    progress: Progress,
) -> list[Compared]:
    """Compare an old version with a new one. Raises FleetMeterError."""
    database = await database_process(server_url)
    vehicles = max(options.devices // 2, options.answers.fleet, options.columnstore.devices)
    async with AsyncExitStack() as stack:
        contenders = [
            await stack.enter_async_context(
                prepared(version, server_url, database, vehicles, options.workers, progress)
            )
            for version in versions
        ]
        comparison = _Comparison(contenders, database, options, progress)
        for _ in range(rounds):
            if "bulk" in options.only:
                await comparison.bulk()
            if "singles" in options.only:
                await comparison.singles()
        if "answers" in options.only:
            await comparison.answers()
        if "columnstore" in options.only:
            await comparison.columnstore()
    is_baseline = versions[0].name.startswith(BASELINE)
    return comparison.pairs.lines(targets(options) if is_baseline else {})


class _Comparison:
    """Measures the old and the new version in turn; the first one changes from pair to pair."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        database: psutil.Process | None,
        options: Options,
        progress: Progress,
    ) -> None:
        self.pairs = Pairs()
        self._contenders = contenders
        self._database = database
        self._options = options
        self._progress = progress
        self._turns: Counter[str] = Counter()

    async def bulk(self) -> None:
        """Measure batches of readings of each age."""
        await self._ages("bulk", partial(bulk_job, self._options, _BATCH))

    async def singles(self) -> None:
        """Measure single readings of each age, and an empty handler."""
        async with empty_handler() as running:
            job = at(singles_job(self._options), running)
            empty = (
                await measure_load("empty handler", job, running.process, None, self._progress)
            ).line
        fresh = await self._ages("singles", partial(singles_job, self._options))
        ratios = [line.rate / empty.rate for line in fresh]
        self.pairs.add("singles, fresh ÷ empty handler", "", *ratios)

    async def _ages(self, scenario: str, job_of: Callable[[Age], Job]) -> list[Measured]:
        """Measure fresh readings and old ones; return the lines of the fresh ones."""
        fresh: list[Measured] = []
        for age in AGES:
            name = f"{scenario}, {age.name}"
            load = partial(self._load, name, job_of, age)
            lines = await self._in_turn(name, load, self._contenders)
            self.pairs.add(name, "readings/s", *(line.rate for line in lines))
            for process, seconds in (
                ("service", [line.service_cpu_s for line in lines]),
                ("database", [line.database_cpu_s for line in lines]),
            ):
                self.pairs.add(f"{name}, CPU of the {process}", "s a million", *seconds)
            if age is FRESH:
                fresh = lines
            else:
                ratios = (line.rate / of.rate for line, of in zip(lines, fresh, strict=True))
                self.pairs.add(f"{name} ÷ fresh", "", *ratios)
        return fresh

    async def _load(
        self, name: str, job_of: Callable[[Age], Job], age: Age, contender: Contender
    ) -> Measured:
        """Return what a load reached."""
        name = f"{name}: {contender.version.name}"
        async with contender.database() as url, contender.running(url) as running:
            job = at(job_of(age), running)
            line, handled, accepted = await measure_load(
                name, job, running.process, self._database, self._progress
            )
        if set(line.answers) != {"200"} or accepted != handled:
            raise FleetMeterError(f"{name}: {accepted:,} of {handled:,} were new: {line.answers}")
        return line

    async def answers(self) -> None:
        """Measure the energy of one vehicle and of the fleet, over whole and over cut hours."""
        until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        hours = self._options.answers.hours - 2
        whole = (until - HOUR - hours * HOUR, until - HOUR)
        cut = (whole[0] + timedelta(minutes=20), whole[1] + timedelta(minutes=20))
        random = Random(0)  # noqa: S311 - the same vehicles each time, and nothing secret

        def vehicle() -> str:
            number = random.randrange(self._options.answers.fleet)
            return f"performance/{vehicle_id(number)}"

        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(each.database()) for each in self._contenders]
            await self._fill(urls, until)
            running = [
                await stack.enter_async_context(each.running(url))
                for each, url in zip(self._contenders, urls, strict=True)
            ]
            await self._finish(urls, running, whole)
            clients = [await stack.enter_async_context(client_of(each.target)) for each in running]
            runs, fleet_runs = self._options.answers.runs, self._options.answers.fleet_runs
            for name, window in ((f"{hours} h", whole), (f"{hours} h cut", cut)):
                await self._time(f"performance, {name}", clients, vehicle, window, runs)
            for name, window in ((f"{hours} h", whole), (f"{hours} h cut", cut)):
                await self._time(f"fleet, {name}", clients, lambda: "fleet", window, fleet_runs)

    async def _fill(self, urls: Sequence[str], until: datetime) -> None:
        """Import the same files into both databases, some hours each."""
        hours, vehicles = self._options.answers.hours, self._options.answers.fleet
        together = max(1, _FILE_READINGS // (2 * 60 * vehicles))
        name = f"answers: history of {vehicles:,}"
        with TemporaryDirectory(prefix="fleetmeter-bench-") as folder:
            for left in range(hours, 0, -together):
                self._progress(name, hours - left, hours)
                path = Path(folder) / f"{left}.csv"
                start, end = until - left * HOUR, until - max(left - together, 0) * HOUR
                await asyncio.to_thread(write_history, path, start, end, vehicles)
                for contender, url in zip(self._contenders, urls, strict=True):
                    beside = Path(folder) / contender.version.name
                    beside.mkdir(exist_ok=True)
                    await contender.version.run(url, "import", str(path), "--out", str(beside))
                path.unlink()
        self._progress(name, hours, hours)

    async def _finish(
        self,
        urls: Sequence[str],
        running: Sequence[Running],
        accounted: tuple[datetime, datetime],
    ) -> None:
        """Add what services in use have: sites, rollups, accounts, statistics."""
        name = "answers: rollups"
        self._progress(name, 0, 4)
        for each in running:
            await ask_all(each.target, map(_site, range(self._options.answers.fleet)))
        self._progress(name, 1, 4)
        for url in urls:
            await refresh_rollups(url)
        self._progress(name, 2, 4)
        for url in urls:
            await account_hours(url, *accounted)
        await quiet([each.process for each in running], self._database)
        self._progress(name, 3, 4)
        for url in urls:
            async with connected(url) as connection:
                await connection.execute("vacuum (analyze)")
        self._progress(name, 4, 4)

    async def _time(
        self,
        name: str,
        clients: Sequence[Client],
        what: Callable[[], str],
        window: tuple[datetime, datetime],
        runs: int,
    ) -> None:
        """Ask both the same, again and again."""
        start, end = window
        query = urlencode({"from": rfc3339(start), "to": rfc3339(end)})
        warm_up = max(1, round(runs * _WARM_UP))
        for number in range(-warm_up, runs):
            self._progress(name, max(number, 0), runs)
            wire = request("GET", f"/v1/analytics/{what()}?{query}")
            times_ms = await self._in_turn(name, partial(_timed_ms, name, wire), clients)
            if number >= 0:
                self.pairs.add(name, "ms", *times_ms)
        self._progress(name, runs, runs)

    async def columnstore(self) -> None:
        """Measure what a day of readings takes as rows and in the columnstore."""
        start = datetime.combine(datetime.now(UTC).date(), time(), UTC) - AGE
        for name, jitter_ms, _ in CLOCKS:
            devices = self._options.columnstore.devices
            day = Day(devices=devices, start=start, jitter_ms=jitter_ms)
            sizes = await self._in_turn(name, partial(self._pack, name, day), self._contenders)
            self.pairs.add(f"a row with its index, {name}", "bytes", *(size[0] for size in sizes))
            self.pairs.add(f"in the columnstore, {name}", "bytes", *(size[1] for size in sizes))

    async def _pack(self, name: str, day: Day, contender: Contender) -> tuple[float, float | None]:
        """Return bytes a reading, before and after the policies have converted the day."""
        name = f"{name}: {contender.version.name}"
        readings = 2 * day.devices * MINUTES
        async with contender.database() as url:
            before = await _bytes(contender, url)
            async with contender.running(url) as running, client_of(running.target) as client:
                together = max(1, _REQUEST_READINGS // (2 * day.devices))
                stream = minutes(day)
                for number in range(0, MINUTES, together):
                    self._progress(name, number, MINUTES)
                    some = [
                        each for minute in islice(stream, together) for each in minute.readings()
                    ]
                    await ask(client, request("POST", "/v1/ingest", some))
            self._progress(name, MINUTES, MINUTES)
            rows = (await _bytes(contender, url) - before) / readings
            await convert_to_columnstore(url)
            history = await contender.history(url)
            packed = sum(each.columnstore_rows or 0 for each in history)
            if not packed:
                return rows, None
            if packed != readings:
                raise FleetMeterError(f"{name}: {packed:,} of {readings:,} readings were converted")
            return rows, sum(each.columnstore_bytes or 0 for each in history) / readings

    async def _in_turn(
        self, name: str, measured: Callable[[_Each], Awaitable[_Result]], both: Sequence[_Each]
    ) -> list[_Result]:
        """Measure the old and the new version, in either order."""
        self._turns[name] += 1
        if self._turns[name] % 2:
            return [await measured(each) for each in both]
        return [await measured(each) for each in reversed(both)][::-1]


async def _timed_ms(name: str, wire: bytes, client: Client) -> float:
    """Return how long an answer takes, in milliseconds. Raises FleetMeterError if it is empty."""
    started = perf_counter()
    body = await ask(client, wire)
    elapsed_ms = (perf_counter() - started) * 1000
    if msgspec.json.decode(body, type=_Answer).quality.status == "no_data":
        raise FleetMeterError(f"{name}: an answer is empty")
    return elapsed_ms


class _Quality(msgspec.Struct):
    status: str


class _Answer(msgspec.Struct):
    quality: _Quality


async def _bytes(contender: Contender, url: str) -> int:
    """Return the size of history, with its indexes."""
    return sum(each.bytes for each in await contender.history(url))


def _site(number: int) -> bytes:
    return request(
        "PATCH", f"/v1/meters/{meter_id(number)}", {"site": f"site-{number % _SITES:02}"}
    )
