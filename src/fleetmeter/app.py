"""create_app(): the only place where everything meets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from fleetmeter.api.analytics import analytics
from fleetmeter.api.assignments import assignments
from fleetmeter.api.ingest import ingest
from fleetmeter.api.meters import meters
from fleetmeter.api.openapi import describe_problems
from fleetmeter.api.service import (
    index,
    live,
    openapi_config,
    openapi_json,
    ready,
    swagger_ui_files,
)
from fleetmeter.api.vehicles import vehicles
from fleetmeter.database.pool import Database, connect
from fleetmeter.database.sql import queries
from fleetmeter.errors import NotMigratedError
from fleetmeter.ingest.queue import CommitQueue
from fleetmeter.ingest.writer import DatabaseWriter
from fleetmeter.maintenance import maintenance
from fleetmeter.problems import problem_details
from fleetmeter.settings import Settings


def create_app(url: str, settings: Settings) -> Litestar:
    """The service on the database at `url`, which must be migrated before it can be ready."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        database = await connect(url, settings)
        writers = [DatabaseWriter(database) for _ in range(settings.writers)]
        try:
            async with maintenance(database), CommitQueue(writers, settings).running() as queue:
                app.state.database = database
                app.state.queue = queue
                app.state.kept_since = await _kept_since(database)
                yield
        finally:
            await database.close()

    def provide_database(state: State) -> Database:
        database: Database = state.database
        return database

    def provide_queue(state: State) -> CommitQueue:
        queue: CommitQueue = state.queue
        return queue

    def provide_kept_since(state: State) -> dict[str, datetime]:
        since: dict[str, datetime] = state.kept_since
        return since

    def provide_settings() -> Settings:
        return settings

    app = Litestar(
        route_handlers=[
            ingest,
            vehicles,
            meters,
            assignments,
            analytics,
            index,
            live,
            ready,
            openapi_json,
            swagger_ui_files,
        ],
        lifespan=[lifespan],
        dependencies={
            "database": Provide(provide_database, sync_to_thread=False),
            "queue": Provide(provide_queue, sync_to_thread=False),
            "kept_since": Provide(provide_kept_since, sync_to_thread=False),
            "settings": Provide(provide_settings, sync_to_thread=False),
        },
        openapi_config=openapi_config,
        plugins=[problem_details],
        request_max_body_size=settings.max_body_bytes,
        logging_config=None,
    )
    describe_problems(app)
    return app


async def _kept_since(database: Database) -> dict[str, datetime]:
    """From when on history is whole, by table; readings before it are refused."""
    try:
        async with database.connection() as connection:
            return {row["source"]: row["since"] async for row in queries.kept_history(connection)}
    except NotMigratedError:  # it will answer 503 to everything
        beginning = datetime.min.replace(tzinfo=UTC)
        return {"vehicle_readings": beginning, "meter_readings": beginning}
