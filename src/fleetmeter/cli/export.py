"""`fleetmeter export`: history as a file."""

from pathlib import Path
from typing import Any, Literal

import click

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.cli.shared.database import database_url
from fleetmeter.cli.shared.parameters import parse_device_id, parse_time
from fleetmeter.files.exports.encode import Selection
from fleetmeter.files.exports.to_file import check, export_to
from fleetmeter.settings import load_settings


@click.command("export")
@click.option(
    "--from", "start", required=True, type=parse_time, metavar="TIME", help="Start, inclusive."
)
@click.option("--to", "end", required=True, type=parse_time, metavar="TIME", help="End, exclusive.")
@click.option(
    "--format",
    "format_",
    default="csv",
    show_default=True,
    type=click.Choice(["csv", "parquet"]),
)
@click.option(
    "--vehicle",
    "vehicle_id",
    type=parse_device_id,
    metavar="ID",
    help="Export this vehicle only.",
)
@click.option(
    "--meter",
    "meter_id",
    type=parse_device_id,
    metavar="ID",
    help="Export this meter only.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write to this file; by default, or with -, to standard output.",
)
def command(format_: Literal["csv", "parquet"], output: Path | None, **what: Any) -> None:
    """Export the readings of a time window.

    Readings are written as they were sent, so that they can be imported again. Times are RFC 3339;
    a date alone means midnight UTC.
    """
    selection = Selection(**what, reach=EVERYTHING)
    if output == Path("-"):
        output = None
    check(selection, format_, output)
    settings = load_settings()
    with database_url(settings) as url:
        export_to(output, url, settings, selection, format_)
