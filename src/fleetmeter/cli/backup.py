"""`fleetmeter backup`: copies a database into a folder."""

import asyncio
from pathlib import Path

import click

from fleetmeter.cli.shared.database import database_url
from fleetmeter.operations.backup import back_up
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Number of tables to copy at a time, each with a connection of its own.",
)
def command(folder: Path, jobs: int) -> None:
    """Copy the whole database into a new FOLDER, while the service goes on.

    Needs pg_dump of the server's version or a newer one; the embedded PostgreSQL brings its own.
    FOLDER holds everything, also secrets of webhooks: keep it as safe as the database.
    """
    with database_url(load_settings()) as url:
        manifest = asyncio.run(back_up(url, folder, jobs))
    readings = sum(each.rows for each in manifest.sums if each.relation == "readings")
    say(f"{folder}: {readings:,} readings, engine {manifest.engine}")
