"""`fleetmeter restore`: brings a backup into an empty database."""

import asyncio
from pathlib import Path

import click

from fleetmeter.cli.shared.database import database_url, migrate_when_reachable
from fleetmeter.operations.backup import restart_jobs, restore
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(folder: Path) -> None:
    """Restore the backup in FOLDER into an empty database, and migrate it to this version.

    Restores all of it or nothing, then compares rows and energy with what was backed up. Do this
    before a service uses the database: `serve` would make its own tables there. TimescaleDB must
    have the version that the backup is of.
    """
    settings = load_settings()
    with database_url(settings) as url:
        manifest = asyncio.run(restore(url, folder))
        migrate_when_reachable(url, settings)
        if manifest.engine == "timescaledb":
            asyncio.run(restart_jobs(url))
    say(
        f"restored the backup of {manifest.created_at:%Y-%m-%d %H:%M} UTC; every table has as many "
        "rows as it had, and readings and days the same energy"
    )
