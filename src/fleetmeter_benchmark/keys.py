"""Measures what keys and their limits cost: a service with a key, and one without, at once."""

import secrets
from contextlib import AsyncExitStack

from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import THIS, database_process, service
from fleetmeter_benchmark.sides import BULK, SINGLES, Side, compare, traffics

_VEHICLES = 5000

_TARGETS = {SINGLES: Target(at_most=1.1), BULK: Target(at_most=1.05)}


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
            sides.append(Side(name, running, traffics(key=key)))
        comparison = Comparison([], None, options, progress)
        await compare("keys", comparison, sides, (SINGLES, BULK), options.pairs)
    return comparison.pairs.lines(_TARGETS)


def new_key() -> str:
    """Return a key that no service knows yet."""
    return f"fm_{secrets.token_hex(5)}_{secrets.token_hex(24)}"
