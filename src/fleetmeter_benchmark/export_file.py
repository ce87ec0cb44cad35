"""Measures how fast history is exported by HTTP, and that memory does not grow with it.

The database writes a few days of a fleet by SQL; where it has a columnstore, all days but the
newest are in it. A client asks a running service for a tenth of the time and then for all of it.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from importlib.util import find_spec
from time import perf_counter
from typing import Literal

import msgspec
import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import Client, question
from fleetmeter_benchmark.file_results import SAMPLE_S, Moved, compared, grown
from fleetmeter_benchmark.history import History, empty_history
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.processes import Running, Usage, service

_DAY = timedelta(days=1)
_SPAN = 3 * _DAY
"""Longest time that the readings fill, unless a reading a minute fills more."""

_STEPS = [timedelta(minutes=m) for m in (60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)]
"""Time between the readings of a device: history is written by the hour."""

ExportFormat = Literal["csv", "parquet"]

_NAMES: dict[ExportFormat, str] = {"csv": "CSV", "parquet": "Parquet"}
_REPORT_LINES = 100_000
_TAIL_BYTES = 16 * 1024 * 1024
"""Bytes kept of the end of a Parquet file, which says how many readings it has."""


async def measure(
    server_url: str, database: psutil.Process | None, options: Options, progress: Progress
) -> list[Moved]:
    """Measure the lines of each format. Raises FleetMeterError if a file lacks a reading."""
    times = max(1, options.exported * options.readings // options.devices)
    every = next((step for step in _STEPS if step * times <= _SPAN), _STEPS[-1])
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    start = midnight - ((every * times) // _DAY + 2) * _DAY
    async with empty_history(server_url, options.devices // 2, progress) as history:
        await history.fill("export: history", start, start + every * times, every)
        await history.finish("export: rollups", start + every * times)
        exporting = _Exporting(history, database, options.workers, progress)
        exporting.windows = [
            (2 * history.devices * some, start, start + every * some)
            for some in (max(1, times // 10), times)
        ]
        note = await _to_columnstore(history)
        lines = await exporting.lines("csv")
        if find_spec("pyarrow") is None:
            note = f"{note} Parquet was not measured: pyarrow is not installed.".strip()
        else:
            csv = lines[-1]
            small, whole = await exporting.lines("parquet")
            lines += [small, compared(whole, csv.scenario, csv.rate)]
    return [*lines[:-1], msgspec.structs.replace(lines[-1], note=note)]


async def _to_columnstore(history: History) -> str:
    """Convert all days but the newest; return what to print about it."""
    if not history.rolls_up:
        return ""
    chunks = await history.connection.fetch(_CHUNKS)
    old = [chunk for chunk, newest in chunks if not newest]
    for chunk in old:
        await history.connection.execute(_CONVERT, chunk)
    return f"Of the exported history, {len(old)} of {len(chunks)} chunks are in the columnstore."


class _Exporting:
    """Asks for files and measures the time."""

    windows: list[tuple[int, datetime, datetime]]
    """Number of readings, from when, to when."""

    def __init__(
        self, history: History, database: psutil.Process | None, workers: int, progress: Progress
    ) -> None:
        self._url = history.url
        self._database = database
        self._workers = workers
        self._progress = progress

    async def lines(self, format_: ExportFormat) -> list[Moved]:
        """Export a tenth and the whole, from one service."""
        async with service(self._url, self._workers) as running:
            small, whole = [await self._line(running, format_, *each) for each in self.windows]
        return grown(small, whole)

    async def _line(
        self, running: Running, format_: ExportFormat, readings: int, start: datetime, end: datetime
    ) -> Moved:
        name = f"export {_NAMES[format_]}, {readings:,}"
        self._progress(name, 0, readings)
        wire = question("export", (start, end), format=format_)

        def count(lines: int) -> None:
            self._progress(name, min(lines, readings), readings)

        target = running.target
        async with (
            Usage(self._database) as database,
            Usage(running.process, SAMPLE_S) as used,
            _Download(target, None if format_ == "parquet" else count) as download,
        ):
            started = perf_counter()
            try:
                answer = await download.send(wire)
            except OSError as error:
                raise FleetMeterError(f"{name}: the export was cut: {error}") from error
            seconds = perf_counter() - started
        if answer.status != 200:
            raise FleetMeterError(f"{name}: {answer.status}, {download.tail.decode()}")
        found = download.lines - 1 if format_ == "csv" else _parquet_readings(download.tail)
        if found != readings:
            raise FleetMeterError(
                f"{name}: the file has {found:,} readings; {readings - found:,} are MISSING"
            )
        self._progress(name, readings, readings)
        million = readings / 1_000_000
        return Moved(
            scenario=name,
            readings=readings,
            bytes=download.bytes,
            rate=readings / seconds,
            rss_mib=max(used.rss_mib, default=0.0),
            process_cpu_s=used.cpu_s / million,
            database_cpu_s=database.cpu_s / million if self._database else None,
        )


class _Download(Client):
    """Counts what arrives, and drops it."""

    def __init__(self, target: str, progress: Callable[[int], None] | None) -> None:
        """Start a download; `progress` receives the lines so far; without it, the end is kept."""
        host, _, port = target.rpartition(":")
        super().__init__(host, int(port))
        self.bytes = self.lines = 0
        self._progress = progress
        self._reported = 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._keep_bytes = _TAIL_BYTES if progress is None else 0

    @property
    def tail(self) -> bytes:
        """Return the end of the download, at least one piece."""
        return b"".join(self._kept)

    def on_body(self, body: bytes) -> None:
        self.bytes += len(body)
        self._kept.append(body)
        self._kept_bytes += len(body)
        while self._kept_bytes - len(self._kept[0]) > self._keep_bytes:
            self._kept_bytes -= len(self._kept.popleft())
        if self._progress is not None:
            self.lines += body.count(b"\n")
            if self.lines >= self._reported + _REPORT_LINES:
                self._reported = self.lines
                self._progress(self.lines)


def _parquet_readings(tail: bytes) -> int:
    """Return how many readings a Parquet file has, by its end."""
    import pyarrow
    from pyarrow import parquet

    try:
        readings: int = parquet.read_metadata(pyarrow.BufferReader(tail)).num_rows
    except pyarrow.ArrowInvalid as error:
        raise FleetMeterError(f"the export is not a complete Parquet file: {error}") from error
    return readings


_CHUNKS = """
select
    format('%I.%I', chunk_schema, chunk_name),
    range_end = max(range_end) over ()
from timescaledb_information.chunks
where hypertable_name = 'readings'
"""

_CONVERT = "call convert_to_columnstore($1::text::regclass)"
