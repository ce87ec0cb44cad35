"""`fleetmeter bench`: measures speed, size and detection."""

from pathlib import Path
from typing import Any

import click

from fleetmeter.cli.shared.database import throwaway_server
from fleetmeter.settings import load_settings
from fleetmeter_benchmark import run
from fleetmeter_benchmark.options import SCENARIOS


@click.command("bench")
@click.option(
    "--devices",
    default=10_000,
    type=click.IntRange(1000, 900_000),
    show_default=True,
    help="Devices that send readings.",
)
@click.option(
    "--readings",
    default=1_000_000,
    type=click.IntRange(200_000, 20_000_000),
    show_default=True,
    help="Readings in each scenario that runs at full speed.",
)
@click.option(
    "--seconds",
    default=30.0,
    type=click.FloatRange(1, 600),
    show_default=True,
    help="Length of each scenario that runs at a given rate.",
)
@click.option(
    "--fleet",
    default=10_000,
    type=click.IntRange(100, 100_000),
    show_default=True,
    help="Vehicles (and meters) in the answers scenario; columnstore uses a tenth of it.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=int,
    default=(101,),
    show_default=True,
    help="Seed of a simulated fleet in the anomalies scenario; can be repeated.",
)
@click.option(
    "--vehicles",
    default=200,
    type=click.IntRange(1, 10_000),
    show_default=True,
    help="Vehicles in each simulated fleet.",
)
@click.option(
    "--days",
    default=30,
    type=click.IntRange(1, 90),
    show_default=True,
    help="Days that each simulated fleet runs.",
)
@click.option(
    "--faults",
    default=20,
    type=click.IntRange(1, 100),
    show_default=True,
    help="Faults of each kind in each simulated fleet.",
)
@click.option(
    "--rounds",
    default=1,
    type=click.IntRange(1, 20),
    show_default=True,
    help="Run this many rounds and report medians.",
)
@click.option(
    "--workers",
    default=1,
    type=click.IntRange(1, 64),
    show_default=True,
    help="Processes of the service.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="SCENARIO",
    help=f"Run only this scenario; can be repeated. Scenarios: {', '.join(SCENARIOS)}, soak.",
)
@click.option(
    "--soak",
    default=0.0,
    metavar="SECONDS",
    help="Then run this long at half load.",
)
@click.option(
    "--against",
    is_flag=False,
    flag_value="19b41f4",
    metavar="[REVISION]",
    help="Measure this version and a git revision in turn; 19b41f4 if none is given.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Run for a few minutes: a fifth of the devices and readings, a twentieth of the fleet.",
)
@click.option(
    "--out",
    default="bench.json",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default=True,
    help="File to write the results to, as JSON.",
)
def command(out: Path, rounds: int, **options: Any) -> None:
    """Measure speed, storage size and detection.

    Uses databases of its own, created on the server of FLEETMETER_DATABASE_URL and dropped
    afterwards, or an embedded server in a temporary folder.
    """
    settings = load_settings()
    with throwaway_server(settings) as url:
        run.bench(url, settings, rounds=rounds, out=out, **options)
