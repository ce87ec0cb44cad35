"""Prepares the versions to compare: each with databases of its own, copied from one in use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from fleetmeter_benchmark.client import ask_all, request
from fleetmeter_benchmark.fleet import meter_id, meter_of, vehicle_id
from fleetmeter_benchmark.jobs import quiet, roll_up_earlier
from fleetmeter_benchmark.options import Progress
from fleetmeter_benchmark.processes import Running, Version, made_template, new_database, service

_ASSIGNED_SINCE = "2020-01-01T00:00:00Z"


class Contender:
    """Holds a version with a database to copy, which knows its fleet and is rolled up."""

    def __init__(self, version: Version, server_url: str, template: str, workers: int) -> None:
        self.version = version
        self._server_url = server_url
        self._template = template
        self.workers = workers

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Copy its database for the block."""
        async with new_database(self._server_url, self._template) as url:
            yield url

    @asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[Running]:
        """Run its service on a database."""
        async with service(url, self.workers, self.version) as running:
            yield running


@asynccontextmanager
async def prepared(
    version: Version,
    server_url: str,
    database: psutil.Process | None,
    vehicles: int,
    workers: int,
    progress: Progress,
) -> AsyncIterator[Contender]:
    """Prepare a version whose database knows a fleet. Raises FleetMeterError."""
    name = f"the fleet of {version.name}"
    progress(name, 0, 3)
    async with new_database(server_url) as url:
        async with service(url, workers, version) as running:
            await roll_up_earlier(url, running)
            progress(name, 1, 3)
            await ask_all(running.target, map(_assignment, range(vehicles)))
            progress(name, 2, 3)
            await quiet([running.process], database)
        template = await made_template(server_url, url)
        progress(name, 3, 3)
        yield Contender(version, server_url, template, workers)


def _assignment(number: int) -> bytes:
    return request(
        "PUT",
        f"/v1/vehicles/{vehicle_id(number)}/meter",
        {"meterId": meter_id(meter_of(number)), "since": _ASSIGNED_SINCE},
    )
