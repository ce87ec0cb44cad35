"""`fleetmeter export`: history as a file."""

from pathlib import Path
from typing import Any, Literal

import click

from fleetmeter.cli.shared.database import database_url
from fleetmeter.cli.shared.parameters import parse_device_id, parse_time
from fleetmeter.files.exports.encode import Selection
from fleetmeter.files.exports.to_file import check, export_to
from fleetmeter.settings import load_settings


@click.command("export")
@click.option(
    "--from", "start", required=True, type=parse_time, metavar="TIME", help="Begin (inclusive)."
)
@click.option(
    "--to", "end", required=True, type=parse_time, metavar="TIME", help="End (exclusive)."
)
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
    help="Only this vehicle's readings.",
)
@click.option(
    "--meter",
    "meter_id",
    type=parse_device_id,
    metavar="ID",
    help="Only this meter's own readings.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; standard output by default.",
)
def command(format_: Literal["csv", "parquet"], output: Path | None, **what: Any) -> None:
    """Write the readings of a window as they were sent, so that they can be imported again.

    A time is RFC 3339, or a date, which is its midnight in UTC.
    """
    selection = Selection(**what)
    check(selection, format_, output)
    settings = load_settings()
    with database_url(settings) as url:
        export_to(output, url, settings, selection, format_)
