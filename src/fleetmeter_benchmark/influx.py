"""Measures bulk by line protocol: a service that gets it, and one that gets JSON, at once."""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.fleet import INFLUX_RULES, Format
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import THIS, database_process, service, stored
from fleetmeter_benchmark.sides import BULK, SINGLES, Side, compare, traffics

_VEHICLES = 5000

_TARGETS = {BULK: Target(at_most=1.25)}
"""0.8 of the readings in the same time."""

_FORMATS: tuple[Format, ...] = ("json", "influx")


async def measure(server_url: str, options: Options, progress: Progress) -> list[Compared]:
    """Compare the CPU time of services that get JSON and line protocol. Raises FleetMeterError."""
    database = await database_process(server_url)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        mapping = Path(folder) / "mapping.toml"
        mapping.write_text(INFLUX_RULES)
        fleet = await stack.enter_async_context(
            prepared(THIS, server_url, database, _VEHICLES, options.workers, progress)
        )
        sides, urls = [], []
        for format_ in _FORMATS:
            urls.append(await stack.enter_async_context(fleet.database()))
            running = await stack.enter_async_context(
                service(urls[-1], options.workers, environ={"FLEETMETER_MAPPING": str(mapping)})
            )
            sides.append(
                (Side(format_, running, traffics(format_=format_)), await stored(urls[-1]))
            )
        comparison = Comparison([], None, options, progress)
        both = [side for side, _ in sides]
        await compare("influx", comparison, both, (SINGLES, BULK), options.pairs)
        for (side, before), url in zip(sides, urls, strict=True):
            found = await stored(url) - before
            if found != side.acknowledged:
                raise FleetMeterError(
                    f"{side.name}: {found:,} of {side.acknowledged:,} acknowledged readings are "
                    "stored"
                )
    return comparison.pairs.lines(_TARGETS)
