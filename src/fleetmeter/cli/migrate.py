"""`fleetmeter migrate`: brings the schema up to date."""

import click

from fleetmeter.cli.shared.database import database_url, migrate_when_reachable
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("migrate")
def command() -> None:
    """Migrate the database to this version's schema. Safe to repeat and to run concurrently."""
    settings = load_settings()
    with database_url(settings) as url:
        done = migrate_when_reachable(url, settings)
    for name in done.applied:
        say(f"applied {name}")
    say(f"the database is up to date (engine: {done.engine})")
