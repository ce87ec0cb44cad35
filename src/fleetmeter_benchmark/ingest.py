"""Measures the scenarios of ingest, each on a fresh database with a service of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import psutil

from fleetmeter.settings import Settings
from fleetmeter_benchmark import mqtt, ocpp
from fleetmeter_benchmark.fleet import AGES
from fleetmeter_benchmark.ingest_jobs import (
    IN_FLIGHT,
    SINGLE_CONNECTIONS,
    at,
    bulk_job,
    paced_job,
    singles_job,
)
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.jobs import roll_up_earlier
from fleetmeter_benchmark.load_job import Job
from fleetmeter_benchmark.measured_load import measure_load
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.processes import (
    Running,
    empty_handler,
    fresh_database,
    load,
    service,
    stored,
)

_KNOWN = 1_000_000
"""Most devices that a service knows, and how many of them for each one that sends."""


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
        """Prepare to measure; `database` is the server's process, if it runs on this machine."""
        self._server_url = server_url
        self._database = database
        self._settings = settings
        self._options = options
        self._progress = progress
        self._done: dict[str, Measured] = {}

    @property
    def lines(self) -> list[Measured]:
        """Return what has been measured, in that order."""
        return list(self._done.values())

    async def measure(self, scenario: str) -> None:
        """Measure one of the scenarios of ingest, and what it is compared with."""
        await getattr(self, f"_measure_{scenario}")()

    async def _measure_bulk(self) -> None:
        for batch in (1000, 5000):
            await self._limit(batch)
            await self.bulk(batch)

    async def _limit(self, batch: int) -> Measured:
        """Send the same rows through bare asyncpg, with as many connections as writers."""
        name = f"limit, batches of {batch:,}"
        if name not in self._done:
            job = msgspec.structs.replace(
                bulk_job(self._options, batch),
                transaction=self._settings.commit_readings,
                connections=min(self._settings.writers * self._options.workers, IN_FLIGHT // batch),
            )
            async with fresh_database(self._server_url, self._options.devices) as url:
                await self._measure(name, url, msgspec.structs.replace(job, target=url))
        return self._done[name]

    async def bulk(self, batch: int) -> Measured:
        """Measure requests of so many readings, once."""
        name = f"bulk, batches of {batch:,}"
        if name not in self._done:
            limit = await self._limit(batch)
            await self._on_service(name, bulk_job(self._options, batch), limit)
        return self._done[name]

    async def singles(self) -> Measured:
        """Measure requests of one reading, once."""
        name = f"singles, {SINGLE_CONNECTIONS} connections"
        if name not in self._done:
            job = singles_job(self._options)
            async with empty_handler() as running:
                empty = await self._measure(
                    f"empty handler, {SINGLE_CONNECTIONS} connections",
                    "",
                    at(job, running),
                    running.process,
                )
            await self._on_service(name, job, empty)
        return self._done[name]

    async def _measure_ocpp(self) -> None:
        singles = await self.singles()
        async with (
            fresh_database(self._server_url, self._options.devices) as url,
            service(
                url,
                self._options.workers,
                key="",
                environ=ocpp.settings_of(self._options.charge_points),
            ) as running,
        ):
            await roll_up_earlier(url, running)
            before = await stored(url)
            line, idle = await ocpp.measure(running, self._database, self._options, self._progress)
            missing = before + ocpp.sent(line) - await stored(url)
        self._done[line.scenario] = msgspec.structs.replace(
            line,
            compared_with=singles.scenario,
            ratio=line.rate / singles.rate,
            missing=max(missing, 0),
            unacknowledged=max(-missing, 0),
        )
        self._done[idle.scenario] = idle

    async def _measure_mqtt(self) -> None:
        singles = await self.singles()
        async with (
            fresh_database(self._server_url, self._options.devices) as url,
            mqtt.broker() as (port, settings),
            service(url, self._options.workers, environ=settings) as running,
        ):
            await roll_up_earlier(url, running)
            before = await stored(url)
            line = await mqtt.measure(port, running, self._database, self._options, self._progress)
            missing = before + line.answers["PUBACK"] + self._options.devices - await stored(url)
        self._done[mqtt.NAME] = msgspec.structs.replace(
            line,
            compared_with=singles.scenario,
            ratio=line.rate / singles.rate,
            missing=max(missing, 0),
            unacknowledged=max(-missing, 0),
        )

    async def _measure_formats(self) -> None:
        bulk = await self.bulk(5000)
        job = bulk_job(self._options, 5000)
        for name, traffic in (
            ("NDJSON", msgspec.structs.replace(job.traffic, format="ndjson")),
            ("MessagePack", msgspec.structs.replace(job.traffic, format="msgpack")),
            ("JSON, gzip", msgspec.structs.replace(job.traffic, encoding="gzip")),
        ):
            varied = msgspec.structs.replace(job, traffic=traffic)
            await self._on_service(f"{name}, batches of 5,000", varied, bulk)

    async def _measure_singles(self) -> None:
        await self.singles()

    async def _measure_ages(self) -> None:
        bulk, singles = await self.bulk(5000), await self.singles()
        for age in AGES[1:]:
            job = bulk_job(self._options, 5000, age)
            await self._on_service(f"bulk, {age.name}, batches of 5,000", job, bulk)
            job = singles_job(self._options, age)
            await self._on_service(f"singles, {age.name}", job, singles)

    async def _measure_resend(self) -> None:
        bulk = await self.bulk(1000)
        job = bulk_job(self._options, 1000)
        async with self._running() as (url, running):
            await load(at(job, running), lambda _: None)
            await self._measure("resend", url, at(job, running), running.process, bulk)

    async def _measure_late(self) -> None:
        bulk = await self.bulk(1000)
        for share in (0.01, 0.2):
            job = bulk_job(self._options, 1000)
            traffic = msgspec.structs.replace(job.traffic, late=share)
            varied = msgspec.structs.replace(job, traffic=traffic)
            await self._on_service(f"{share:.0%} late", varied, bulk)

    async def _measure_overload(self) -> None:
        bulk = await self.bulk(1000)
        seconds = self._options.seconds
        job = paced_job(
            bulk_job(self._options, 1000), rate=3 * bulk.rate, seconds=seconds, connections=400
        )
        await self._on_service("overload, 3 × bulk", job, bulk)

    async def _measure_latency(self) -> None:
        await self._half_load("half load, batches of 1,000", self._options.seconds)
        if (singles := self._done.get(f"singles, {SINGLE_CONNECTIONS} connections")) is not None:
            job = paced_job(
                singles_job(self._options),
                rate=singles.rate / 2,
                seconds=self._options.seconds,
                connections=SINGLE_CONNECTIONS,
            )
            await self._on_service("half load, singles", job, singles)

    async def _measure_known(self) -> None:
        known = min(100 * self._options.devices, _KNOWN)
        options = msgspec.structs.replace(self._options, devices=known, readings=2 * known)
        job = bulk_job(options, 5000)
        async with self._running(known) as (url, running):
            name = f"{known:,} known devices, batches of 5,000"
            await self._measure(name, url, at(job, running), running.process)

    async def _measure_soak(self) -> None:
        seconds = self._options.soak_s
        await self._half_load(f"soak at half load, {seconds:.0f} s", seconds)

    async def _half_load(self, name: str, seconds: float) -> None:
        bulk = await self.bulk(1000)
        job = bulk_job(self._options, 1000)
        paced = paced_job(job, rate=bulk.rate / 2, seconds=seconds, connections=100)
        await self._on_service(name, paced, bulk)

    @asynccontextmanager
    async def _running(self, devices: int = 0) -> AsyncIterator[tuple[str, Running]]:
        async with (
            fresh_database(self._server_url, devices or self._options.devices) as url,
            service(url, self._options.workers) as running,
        ):
            await roll_up_earlier(url, running)
            yield url, running

    async def _on_service(self, name: str, job: Job, compared: Measured) -> None:
        async with self._running() as (url, running):
            await self._measure(name, url, at(job, running), running.process, compared)

    async def _measure(
        self,
        name: str,
        url: str,
        job: Job,
        process: psutil.Process | None = None,
        compared: Measured | None = None,
    ) -> Measured:
        before = await stored(url) if url else 0
        database = self._database if url else None
        line, _, accepted = await measure_load(name, job, process, database, self._progress)
        missing = before + accepted - await stored(url) if url else 0
        self._done[name] = msgspec.structs.replace(
            line,
            compared_with=compared.scenario if compared else "",
            ratio=line.rate / compared.rate if compared else None,
            missing=max(missing, 0),
            unacknowledged=max(-missing, 0),
        )
        return self._done[name]
