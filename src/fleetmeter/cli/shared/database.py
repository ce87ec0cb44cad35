"""Provides the database a command works on: the configured one, or an embedded one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import structlog

from fleetmeter.database.embedded import embedded_postgresql
from fleetmeter.database.migrations import Accounting, Migrated, migrate, missing_from
from fleetmeter.errors import DatabaseUnavailableError, FleetMeterError
from fleetmeter.settings import Settings

_DATABASE_WAIT_S = 30.0
"""Maximum time to wait for a database that is still starting, seconds."""


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the configured database, or run the embedded one for the block."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        with embedded_postgresql(settings.data_dir) as url:
            yield url


@contextmanager
def throwaway_server(settings: Settings) -> Iterator[str]:
    """Yield the URL of the configured server, or of a temporary embedded one."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix="bench-", dir=settings.data_dir) as folder,
            embedded_postgresql(Path(folder)) as url,
        ):
            yield url


def migrate_when_reachable(url: str, settings: Settings) -> Migrated:
    """Migrate; wait for a database that is still starting."""
    deadline = monotonic() + _DATABASE_WAIT_S
    warned = False
    accounting = Accounting(
        settings.reporting_interval_s, settings.coverage_tolerance, settings.session_gap_s
    )
    while True:
        try:
            return asyncio.run(migrate(url, settings.retention_days, accounting))
        except DatabaseUnavailableError as error:
            if monotonic() > deadline:
                raise
            if not warned:
                structlog.get_logger().warning("waiting for the database", reason=str(error))
                warned = True
            sleep(0.5)


def migrate_when_new(url: str, settings: Settings) -> None:
    """Migrate an empty database; leave one that is in use to the settings of its service.

    Raises FleetMeterError when a database in use has another version's schema.
    """
    missing = asyncio.run(missing_from(url))
    if missing == ["all"]:
        migrate_when_reachable(url, settings)
    elif missing:
        raise FleetMeterError(
            f"the database lacks {', '.join(missing)}; run: fleetmeter migrate (with the settings "
            "of its service)"
        )
