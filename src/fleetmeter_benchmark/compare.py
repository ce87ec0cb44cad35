"""Compares two versions of FleetMeter, measured in turn in one run.

Machines differ and are disturbed, but ratios of figures measured one after the other hardly do.
Both versions are driven as their users do, by HTTP and the command line, with the load of this
version.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from fleetmeter_benchmark.columnstore import CLOCKS
from fleetmeter_benchmark.compare_answers import compare_answers
from fleetmeter_benchmark.compare_columnstore import compare_columnstore
from fleetmeter_benchmark.compare_ingest import compare_bulk, compare_singles
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import Version, database_process

BASELINE = "19b41f4"
"""The last version with a table of readings for each kind of device; targets are relative to it."""


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
        comparison = Comparison(contenders, database, options, progress)
        for _ in range(rounds):
            if "bulk" in options.only:
                await compare_bulk(comparison)
            if "singles" in options.only:
                await compare_singles(comparison)
        if "answers" in options.only:
            await compare_answers(comparison)
        if "columnstore" in options.only:
            await compare_columnstore(comparison)
    is_baseline = versions[0].name.startswith(BASELINE)
    return comparison.pairs.lines(targets(options) if is_baseline else {})
