"""Measures how small a day of readings becomes, and what late and resent readings then cost.

A day of a fleet (`fleetmeter_benchmark.realistic_day`) is sent to the service minute by minute,
once on exact minutes and once with jitter. Then 1 % is sent again, and 1 % arrives late, half a
minute after others: while the day is stored as rows and, where the database has a columnstore, once
its own policy has converted the day.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from time import perf_counter

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark import rounds as rounds_
from fleetmeter_benchmark.client import Client, ask, client_of, request
from fleetmeter_benchmark.jobs import convert_to_columnstore, pause_jobs
from fleetmeter_benchmark.options import ColumnstoreOptions, Progress
from fleetmeter_benchmark.processes import (
    THIS,
    Version,
    connected,
    fresh_database,
    made_template,
    new_database,
    service,
)
from fleetmeter_benchmark.realistic_day import MINUTES, Day, Reading, minutes
from fleetmeter_benchmark.storage import history_of

CLOCKS = (("exact minutes", 0, 8.0), ("jitter of a second", 1000, 12.0))
"""Name, largest delay of a reading in milliseconds, and target in bytes a reading."""

AGE = timedelta(days=10)
"""Age of the day: the policy converts what is older than a week."""

_SHARE = 100
"""One in so many readings is sent again, and one arrives late."""

_LATE_BY = timedelta(seconds=30)
_BATCH = 1000
"""Readings in a request, as a gateway would send them; at least a minute of the day."""


class Packed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table of the columnstore: bytes and microseconds a reading."""

    scenario: str
    readings: int
    rows_bytes: float
    """Size as rows, before conversion, with indexes and what is stored beside them."""

    rows_resend_us: float
    rows_late_us: float
    columnstore_bytes: float | None = None
    limit_bytes: float | None = None
    resend_us: float | None = None
    late_us: float | None = None
    late_bytes: float | None = None
    """Size with the late readings beside it."""

    updated_bytes: float | None = None
    """Size once the policy has packed them, and the database has cleaned up."""

    rewritten_bytes: float | None = None
    """Size after the whole day was converted again."""


_FIGURES = tuple(name for name in Packed.__struct_fields__ if name.endswith(("_bytes", "_us")))


def days(devices: int) -> list[tuple[str, Day, float]]:
    """Return the name of each line, its day, and its target in bytes a reading."""
    start = datetime.combine(datetime.now(UTC).date(), time(), UTC) - AGE
    return [
        (name, Day(devices=devices, start=start, jitter_ms=jitter_ms), limit)
        for name, jitter_ms, limit in CLOCKS
    ]


async def load_day(
    version: Version, url: str, workers: int, day: Day, name: str, progress: Progress
) -> float:
    """Send a day to a service of its own; return bytes a reading as a row, with its indexes."""
    before = (await history_of(version, url)).bytes
    together = max(1, _BATCH // (2 * day.devices))
    stream = minutes(day)
    async with service(url, workers, version) as running, client_of(running.target) as client:
        for number in range(0, MINUTES, together):
            progress(name, number, MINUTES)
            some = [each for minute in islice(stream, together) for each in minute]
            await ask(client, request("POST", "/v1/ingest", some))
    progress(name, MINUTES, MINUTES)
    return ((await history_of(version, url)).bytes - before) / (2 * day.devices * MINUTES)


async def measure(server_url: str, options: ColumnstoreOptions, progress: Progress) -> list[Packed]:
    """Measure every line, in the order of the table. Raises FleetMeterError if a reading is
    missing.
    """
    lines = []
    for name, day, limit in days(options.devices):
        async with fresh_database(server_url, 2 * options.devices) as url:
            has_columnstore = await pause_jobs(url)
            loading = f"columnstore: a day, {name}"
            rows_bytes = await load_day(THIS, url, 1, day, loading, progress)
            template = await made_template(server_url, url)
            figures = {"rows_bytes": rows_bytes}
            async with new_database(server_url, template) as copy:
                figures |= await _Packing(copy, name, day, progress).as_rows()
            if has_columnstore:
                async with new_database(server_url, template) as copy:
                    figures |= await _Packing(copy, name, day, progress).packed()
                    figures["limit_bytes"] = limit
        readings = 2 * day.devices * MINUTES
        lines.append(Packed(scenario=name, readings=readings, **figures))
    return lines


def medians(rounds: Sequence[Sequence[Packed]]) -> list[Packed]:
    """Return the median of each line over the rounds."""
    return rounds_.medians(rounds, _FIGURES)


class _Packing:
    """Sends some readings of a day that is stored again, and late ones."""

    def __init__(self, url: str, name: str, day: Day, progress: Progress) -> None:
        self._url = url
        self._name = name
        self._progress = progress
        self._readings = 2 * day.devices * MINUTES
        self._some = [
            each for n, minute in enumerate(minutes(day)) for each in minute[n % _SHARE :: _SHARE]
        ]

    async def as_rows(self) -> dict[str, float]:
        """Return what readings cost beside rows, µs a reading."""
        resend_us, late_us = await self._send()
        return {"rows_resend_us": resend_us, "rows_late_us": late_us}

    async def packed(self) -> dict[str, float]:
        """Return sizes in the columnstore, bytes a reading, and what readings cost there."""
        steps = 4
        name = f"columnstore: {self._name}"
        self._progress(name, 0, steps)
        figures = {"columnstore_bytes": await self._convert() / self._readings}
        self._progress(name, 1, steps)
        figures["resend_us"], figures["late_us"] = await self._send()
        self._progress(name, 2, steps)
        whole = self._readings + len(self._some)
        figures["late_bytes"] = (await history_of(THIS, self._url)).bytes / whole
        await self._convert()
        async with connected(self._url) as connection:
            await connection.execute("vacuum readings")
            figures["updated_bytes"] = (await history_of(THIS, self._url)).bytes / whole
            self._progress(name, 3, steps)
            for (chunk,) in await connection.fetch(_CHUNKS):
                await connection.execute(_REWRITE, chunk)
            figures["rewritten_bytes"] = (await history_of(THIS, self._url)).bytes / whole
        await self._all_found()
        self._progress(name, steps, steps)
        return figures

    async def _send(self) -> tuple[float, float]:
        """Send some readings again and some late; return the times, µs a reading."""
        late = [{**each, "timestamp": each["timestamp"] + _LATE_BY} for each in self._some]
        async with service(self._url, 1) as running, client_of(running.target) as client:
            resend_us = await self._timed_us(client, self._some, 0)
            late_us = await self._timed_us(client, late, len(late))
            await self._timed_us(client, late, 0)
        await self._all_found()
        return resend_us, late_us

    async def _timed_us(self, client: Client, readings: Sequence[Reading], expected: int) -> float:
        """Return µs a reading. Raises FleetMeterError unless so many were stored as new."""
        new, seconds = 0, 0.0
        for at in range(0, len(readings), _BATCH):
            wire = request("POST", "/v1/ingest", readings[at : at + _BATCH])
            started = perf_counter()
            body = await ask(client, wire)
            seconds += perf_counter() - started
            new += msgspec.json.decode(body, type=_Outcome).accepted
        if new != expected:
            raise FleetMeterError(
                f"{self._name}: of {len(readings):,} readings {new:,} were stored as new, "
                f"not {expected:,}"
            )
        return seconds * 1_000_000 / len(readings)

    async def _convert(self) -> int:
        """Let the policies convert; return the size of history, bytes."""
        await convert_to_columnstore(self._url)
        history = await history_of(THIS, self._url)
        if history.chunks != history.columnstore_chunks:
            raise FleetMeterError("the columnstore policy left a chunk")
        return history.bytes

    async def _all_found(self) -> None:
        late = len(self._some)
        async with connected(self._url) as connection:
            [found] = await connection.fetch(_FOUND)
        if tuple(found) != (self._readings + late, late):
            raise FleetMeterError(f"{self._name}: readings are missing or there twice")


class _Outcome(msgspec.Struct):
    accepted: int


_CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name)
from timescaledb_information.chunks
where hypertable_name = 'readings'
"""

_REWRITE = "call convert_to_columnstore($1::text::regclass, recompress => true)"

_FOUND = """
select count(*), count(*) filter (where extract(second from time) >= 30)
from readings
"""
