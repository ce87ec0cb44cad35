"""The scenarios of ingest: each on a fresh database, with a service of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import psutil

from fleetmeter.bench.fleet import Traffic
from fleetmeter.bench.load import Job
from fleetmeter.bench.measured import Measured, quantile
from fleetmeter.bench.options import Options, Progress
from fleetmeter.bench.processes import (
    SAMPLE_S,
    Running,
    Usage,
    empty_handler,
    fresh_database,
    load,
    service,
    stored,
)
from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings

_IN_FLIGHT = 40_000
"""Readings that the clients of a closed loop wait for together."""

_SINGLE_CONNECTIONS = 64
_BEHIND = timedelta(minutes=45)
"""Where the readings begin: what is newer than 50 minutes can never have been rolled up."""


class Ingest:
    """Measures one scenario after another, each once."""

    def __init__(
        self,
        server_url: str,
        database: psutil.Process | None,
        settings: Settings,
        options: Options,
        progress: Progress,
    ) -> None:
        """`database`: the server's process, when it runs on this machine."""
        self._server_url = server_url
        self._database = database
        self._settings = settings
        self._options = options
        self._progress = progress
        self._done: dict[str, Measured] = {}

    @property
    def lines(self) -> list[Measured]:
        """What has been measured, in that order."""
        return list(self._done.values())

    async def measure(self, scenario: str) -> None:
        """One of the scenarios of ingest, and what it is compared with."""
        await getattr(self, f"_measure_{scenario}")()

    async def _measure_bulk(self) -> None:
        for batch in (1000, 5000):
            await self._limit(batch)
            await self.bulk(batch)

    async def _limit(self, batch: int) -> Measured:
        """The same rows through bare asyncpg, with as many connections as there are writers."""
        name = f"limit, batches of {batch:,}"
        if name not in self._done:
            job = self._job(
                batch,
                transaction=self._settings.commit_readings,
                connections=min(
                    self._settings.writers * self._options.workers, _IN_FLIGHT // batch
                ),
            )
            async with fresh_database(self._server_url, self._options.devices) as url:
                await self._measure(name, url, msgspec.structs.replace(job, target=url))
        return self._done[name]

    async def bulk(self, batch: int) -> Measured:
        """What requests of so many readings reach; measured once."""
        name = f"bulk, batches of {batch:,}"
        if name not in self._done:
            limit = await self._limit(batch)
            await self._on_service(name, self._job(batch), limit)
        return self._done[name]

    async def _measure_formats(self) -> None:
        bulk = await self.bulk(5000)
        job = self._job(5000)
        for name, traffic in (
            ("NDJSON", msgspec.structs.replace(job.traffic, format="ndjson")),
            ("MessagePack", msgspec.structs.replace(job.traffic, format="msgpack")),
            ("JSON, gzip", msgspec.structs.replace(job.traffic, encoding="gzip")),
        ):
            varied = msgspec.structs.replace(job, traffic=traffic)
            await self._on_service(f"{name}, batches of 5,000", varied, bulk)

    async def _measure_singles(self) -> None:
        job = self._singles()
        async with empty_handler() as running:
            empty = await self._measure(
                "empty handler, 64 connections", "", self._at(job, running), running.process
            )
        await self._on_service("singles, 64 connections", job, empty)

    async def _measure_resend(self) -> None:
        bulk = await self.bulk(1000)
        job = self._job(1000)
        async with self._running() as (url, running):
            await load(self._at(job, running), lambda _: None)
            await self._measure("resend", url, self._at(job, running), running.process, bulk)

    async def _measure_late(self) -> None:
        bulk = await self.bulk(1000)
        for share in (0.01, 0.2):
            job = self._job(1000)
            traffic = msgspec.structs.replace(job.traffic, late=share)
            varied = msgspec.structs.replace(job, traffic=traffic)
            await self._on_service(f"{share:.0%} late", varied, bulk)

    async def _measure_overload(self) -> None:
        bulk = await self.bulk(1000)
        job = self._job(1000, rate=3 * bulk.rate, seconds=self._options.seconds, connections=400)
        await self._on_service("overload, 3 × bulk", job, bulk)

    async def _measure_latency(self) -> None:
        bulk = await self.bulk(1000)
        await self._on_service(
            "half load, batches of 1,000",
            self._job(1000, rate=bulk.rate / 2, seconds=self._options.seconds, connections=100),
            bulk,
        )
        if (singles := self._done.get("singles, 64 connections")) is not None:
            job = msgspec.structs.replace(
                self._singles(),
                rate=singles.rate / 2,
                seconds=self._options.seconds,
                connections=_SINGLE_CONNECTIONS,
            )
            await self._on_service("half load, singles", job, singles)

    async def _measure_soak(self) -> None:
        bulk = await self.bulk(1000)
        seconds = self._options.soak_s
        job = self._job(1000, rate=bulk.rate / 2, seconds=seconds, connections=100)
        await self._on_service(f"soak at half load, {seconds:.0f} s", job, bulk)

    def _job(
        self,
        batch: int,
        *,
        rate: float = 0.0,
        seconds: float = 0.0,
        connections: int = 0,
        transaction: int = 0,
    ) -> Job:
        traffic = Traffic(
            devices=self._options.devices,
            groups=_IN_FLIGHT // batch,
            batch=batch,
            start=datetime.now(UTC).replace(microsecond=0) - _BEHIND,
        )
        return Job(
            target="",
            traffic=traffic,
            readings=self._options.readings,
            rate=rate,
            seconds=seconds,
            connections=connections,
            transaction=transaction,
        )

    def _singles(self) -> Job:
        job = self._job(1000)
        traffic = msgspec.structs.replace(job.traffic, groups=_SINGLE_CONNECTIONS, batch=1)
        return msgspec.structs.replace(
            job,
            traffic=traffic,
            readings=max(self._options.readings // 20, 4 * self._options.devices),
        )

    @staticmethod
    def _at(job: Job, running: Running) -> Job:
        return msgspec.structs.replace(job, target=running.target)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[tuple[str, Running]]:
        async with (
            fresh_database(self._server_url, self._options.devices) as url,
            service(url, self._options.workers) as running,
        ):
            yield url, running

    async def _on_service(self, name: str, job: Job, compared: Measured) -> None:
        async with self._running() as (url, running):
            await self._measure(name, url, self._at(job, running), running.process, compared)

    async def _measure(
        self,
        name: str,
        url: str,
        job: Job,
        process: psutil.Process | None = None,
        compared: Measured | None = None,
    ) -> Measured:
        total = round(job.rate * job.seconds) if job.rate else job.readings
        if total / job.traffic.devices > _BEHIND.total_seconds():
            raise FleetMeterError(
                f"{name}: {total:,} readings of {job.traffic.devices:,} devices, one a second, "
                "reach into the future; take more devices or fewer readings"
            )
        self._progress(name, 0, total)
        before = await stored(url) if url else 0
        async with Usage(process) as used, Usage(self._database) as database:
            result = await load(job, lambda done: self._progress(name, done, total))
        if not result.latencies_ms:
            raise FleetMeterError(f"{name}: nothing was acknowledged: {result.answers}")
        million = result.handled / 1_000_000
        missing = before + result.accepted - await stored(url) if url else 0
        per_minute = round(60 / SAMPLE_S)
        self._done[name] = Measured(
            scenario=name,
            rate=result.readings / result.seconds,
            compared_with=compared.scenario if compared else "",
            ratio=result.readings / result.seconds / compared.rate if compared else None,
            p50_ms=quantile(result, 50),
            p99_ms=quantile(result, 99),
            answers=result.answers,
            missing=max(missing, 0),
            unacknowledged=max(-missing, 0),
            rss_mib=max(used.rss_mib, default=0.0),
            rss_by_minute_mib=used.rss_mib[per_minute - 1 :: per_minute],
            service_cpu_s=used.cpu_s / million,
            database_cpu_s=database.cpu_s / million if self._database and url else None,
            load_cpu_s=result.cpu_s / result.readings * 1_000_000,
        )
        self._progress(name, total, total)
        return self._done[name]
