"""Measures what keys and their limits cost: a service with a key, and one without, at once."""

import secrets
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.fleet import Traffic
from fleetmeter_benchmark.ingest_jobs import IN_FLIGHT, SINGLE_CONNECTIONS
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import THIS, database_process, service
from fleetmeter_benchmark.sides import BULK, SINGLES, Side, compare

_VEHICLES = 5000

_TARGETS = {SINGLES: Target(at_most=1.1), BULK: Target(at_most=1.05)}


def traffics(key: str) -> dict[str, Traffic]:
    """Return both kinds of load, with a key or an empty one; each has minutes of its own."""
    now = datetime.now(UTC)
    return {
        SINGLES: Traffic(
            devices=1000,
            groups=SINGLE_CONNECTIONS,
            batch=1,
            start=now - timedelta(minutes=4),
            key=key,
        ),
        BULK: Traffic(
            devices=10_000,
            groups=IN_FLIGHT // 1000,
            batch=1000,
            start=now - timedelta(minutes=3),
            key=key,
        ),
    }


async def measure(server_url: str, options: Options, progress: Progress) -> list[Compared]:
    """Compare the CPU time of services without keys and with one. Raises FleetMeterError."""
    database = await database_process(server_url)
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(
            prepared(THIS, server_url, database, _VEHICLES, options.workers, progress)
        )
        sides = []
        for name, key in (("without keys", ""), ("with a key", new_key())):
            url = await stack.enter_async_context(fleet.database())
            running = await stack.enter_async_context(service(url, options.workers, key=key))
            sides.append(Side(name, running, traffics(key)))
        comparison = Comparison([], None, options, progress)
        await compare("keys", comparison, sides, (SINGLES, BULK), options.pairs)
    return comparison.pairs.lines(_TARGETS)


def new_key() -> str:
    """Return a key that no service knows yet."""
    return f"fm_{secrets.token_hex(5)}_{secrets.token_hex(24)}"
