"""`fleetmeter bench`, on the command line."""

from pathlib import Path
from typing import Any

import click

from fleetmeter.cli.shared.database import throwaway_server
from fleetmeter.settings import load_settings
from fleetmeter_benchmark import run


@click.command("bench")
@click.option("--devices", default=10_000, type=click.IntRange(1000, 900_000), show_default=True)
@click.option(
    "--readings",
    default=1_000_000,
    type=click.IntRange(200_000, 20_000_000),
    show_default=True,
    help="Of each scenario that goes as fast as it can.",
)
@click.option(
    "--seconds",
    default=30.0,
    type=click.FloatRange(1, 600),
    show_default=True,
    help="Of each scenario that has a rate.",
)
@click.option(
    "--fleet",
    default=10_000,
    type=click.IntRange(100, 100_000),
    show_default=True,
    help="Vehicles of the answers, and as many meters; of the columnstore a tenth.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=int,
    default=(101,),
    show_default=True,
    help="Of a fleet whose anomalies are looked for; can be given several times.",
)
@click.option("--vehicles", default=200, type=click.IntRange(1, 10_000), help="Of each of them.")
@click.option("--days", default=30, type=click.IntRange(1, 90), help="Of each of them.")
@click.option("--faults", default=20, type=click.IntRange(1, 100), help="Of each kind in each.")
@click.option("--rounds", default=1, type=click.IntRange(1, 20), help="Take medians of so many.")
@click.option("--workers", default=1, type=click.IntRange(1, 64), help="Of the service.")
@click.option("--only", multiple=True, help="A scenario; can be given several times.")
@click.option("--soak", default=0.0, help="Seconds at half load, beside the scenarios.")
@click.option(
    "--against",
    is_flag=False,
    flag_value="19b41f4",
    metavar="[REVISION]",
    help="Compare this version with one of the git repository, 19b41f4 unless given, in turn.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="A fifth of the devices and readings, and a twentieth of the fleet, in some minutes.",
)
@click.option(
    "--out",
    default="bench.json",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default=True,
)
def command(out: Path, rounds: int, **options: Any) -> None:
    """Measure how fast readings are stored and asked about, and how small they become.

    On a database of its own, created on the server of FLEETMETER_DATABASE_URL and dropped again, or
    on an embedded server in a temporary folder.
    """
    settings = load_settings()
    with throwaway_server(settings) as url:
        run.bench(url, settings, rounds=rounds, out=out, **options)
