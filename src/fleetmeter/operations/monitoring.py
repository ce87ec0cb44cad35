"""Metrics: samples what is not counted as it happens, and shows all of them to Prometheus."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import psutil
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from fleetmeter import metrics
from fleetmeter.background import repeat, running
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError

FILES = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several processes count together."""

_INTERVAL_S = 1.0
_TICK_S = 0.25
_LAG_SAMPLES = 60

_FIGURES_S = 5.0
"""For how long figures of the database are shown again, seconds."""

_TIMEOUT_S = 3.0
"""Maximum time to wait for figures of the database, seconds."""

FIGURES = {
    "late_hours": ("Hours that late readings changed and whose rollups have not followed.", None),
    "rollup_lag_seconds": ("How far the rollup of quarter hours is behind.", None),
    "failing_jobs": ("Jobs of the database whose last run failed.", None),
    "disabled_webhooks": ("Webhooks that were disabled after too many failures.", None),
    "open_anomalies": ("Anomalies that are not resolved.", "kind"),
    "devices": ("Devices that have ever reported.", "kind"),
}
"""Metrics of the query database_figures: their text, and their label."""


@asynccontextmanager
async def sampling(sources: Mapping[Gauge, Callable[[], float]]) -> AsyncIterator[None]:
    """Keep the gauges of this process current for the length of the block."""
    process = psutil.Process()
    metrics.PROCESSES.set(1)
    counted_s = 0.0

    async def sample() -> None:
        nonlocal counted_s
        for gauge, read in sources.items():
            gauge.set(read())
        times = process.cpu_times()
        metrics.CPU_SECONDS.inc(times.user + times.system - counted_s)
        counted_s = times.user + times.system
        metrics.MEMORY.set(process.memory_info().rss)
        metrics.OPEN_FILES.set(process.num_fds())

    async with running(repeat("metrics", sample, _INTERVAL_S), _watch_loop()):
        yield


async def _watch_loop() -> None:
    """Measure how late the event loop wakes what sleeps."""
    lags: deque[float] = deque(maxlen=_LAG_SAMPLES)
    while True:
        began = monotonic()
        await asyncio.sleep(_TICK_S)
        lags.append(monotonic() - began - _TICK_S)
        metrics.LOOP_LAG.set(max(lags))


class Monitor:
    """Shows the metrics of all processes, and what the database knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = asyncio.Lock()
        self._asked_at = -_FIGURES_S
        self._figures: list[Metric] = []

    async def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        figures = await self._database_figures()
        return await asyncio.to_thread(_exposition, figures)

    async def _database_figures(self) -> list[Metric]:
        """Ask the database, or show what it answered just before; without it, only `up` is."""
        async with self._asking:
            if monotonic() - self._asked_at < _FIGURES_S:
                return self._figures
            try:
                async with asyncio.timeout(_TIMEOUT_S), self._database.connection() as connection:
                    rows = [
                        (row["name"], row["label"], row["value"])
                        async for row in queries.database_figures(connection)
                    ]
            except (FleetMeterError, TimeoutError):
                rows = None
            self._figures = [*_families(rows)]
            self._asked_at = monotonic()
            return self._figures


def _families(rows: list[tuple[str, str | None, float]] | None) -> Iterable[Metric]:
    up = "1 if the database answered within some seconds."
    yield GaugeMetricFamily("fleetmeter_database_up", up, value=float(rows is not None))
    if rows is None:
        return
    for name, (text, label) in FIGURES.items():
        family = GaugeMetricFamily(f"fleetmeter_{name}", text, labels=[label] if label else [])
        for _, value_of, value in (row for row in rows if row[0] == name):
            family.add_metric([value_of] if value_of else [], value)
        yield family


class _Shown(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _exposition(figures: list[Metric]) -> bytes:
    registry = metrics.REGISTRY
    if folder := os.environ.get(FILES):
        _forget_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    shown = CollectorRegistry()
    shown.register(_Shown(figures))
    return generate_latest(registry) + generate_latest(shown)


def _forget_dead(folder: Path) -> None:
    """Remove the gauges of processes that have ended; what they counted stays."""
    pids = {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}
    for pid in map(int, pids):
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
