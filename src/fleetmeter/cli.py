"""The command line."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from urllib.parse import urlsplit

import click
import structlog
import uvicorn

from fleetmeter import __version__
from fleetmeter.app import create_app
from fleetmeter.database.embedded import embedded_postgresql
from fleetmeter.database.migrations import Migrated, migrate
from fleetmeter.errors import DatabaseUnavailableError, FleetMeterError
from fleetmeter.log import configure_logging
from fleetmeter.settings import Settings, load_settings

_DATABASE_WAIT_S = 30.0
"""How long a start waits for a database that is still starting itself."""


class _Commands(click.Group):
    """Shows our own errors as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FleetMeterError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleetmeter")
def main() -> None:
    """FleetMeter: energy accounting for electric fleets.

    Settings are environment variables, FLEETMETER_…; the README lists them.
    """


@main.command("serve")
def serve_command() -> None:
    """Migrate the database and answer HTTP until SIGINT or SIGTERM."""
    settings = load_settings()
    configure_logging(settings)
    with _database_url(settings) as url:
        if settings.migrate:
            done = _migrate(url, settings)
            structlog.get_logger().info("database ready", engine=done.engine, migrated=done.applied)
        serve(url, settings)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database to this version's schema; safe to repeat and to run at the same time."""
    settings = load_settings()
    with _database_url(settings) as url:
        done = _migrate(url, settings)
    for name in done.applied:
        click.echo(f"applied {name}")
    click.echo(f"the database is up to date (engine: {done.engine})")


def serve(url: str, settings: Settings) -> None:
    """Answer HTTP until a signal; requests in flight are finished first."""
    config = uvicorn.Config(
        create_app(url, settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        raise FleetMeterError("the service did not start; the log says why")


@contextmanager
def _database_url(settings: Settings) -> Iterator[str]:
    """The configured database, or the embedded one for the length of the block."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        with embedded_postgresql(settings.data_dir) as url:
            yield url


def _migrate(url: str, settings: Settings) -> Migrated:
    """Migrate, waiting for a database that is still starting."""
    deadline = monotonic() + _DATABASE_WAIT_S
    while True:
        try:
            return asyncio.run(migrate(url, settings.retention_days))
        except DatabaseUnavailableError as error:
            if monotonic() > deadline:
                raise DatabaseUnavailableError(
                    f"the database at {_shown(url)} cannot be reached ({error}); "
                    "check FLEETMETER_DATABASE_URL"
                ) from error
            sleep(0.5)


def _shown(url: str) -> str:
    """A database URL without its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 5432}{parts.path}"
