"""Connections: one pool, and driver errors translated once, here at the boundary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING, TypeVar, cast

import asyncpg
import structlog

from fleetmeter.database.budget import Budget
from fleetmeter.database.sql import queries
from fleetmeter.database.urls import split_password
from fleetmeter.database.waits import Waits
from fleetmeter.errors import (
    DatabaseUnavailableError,
    NotMigratedError,
    NotPermittedError,
    SettingsError,
)
from fleetmeter.settings import Settings

if TYPE_CHECKING:
    Connection = (
        asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
    )
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy
    _Base = asyncpg.Connection

_ATTEMPTS = 4
"""Attempts at a transaction that collides with another."""

_LONG_WORKERS = 2

_EXPORTS = 2

_CONNECT_S = 10
"""Maximum time for a server to accept a connection, seconds."""

LONG_S = 3600
"""Timeout of statements that commit as they go, seconds."""

_SERVER_SETTINGS = {
    "application_name": "fleetmeter",
    "timezone": "UTC",
    "jit": "off",  # compiling takes longer than any of our queries
}

_log = structlog.get_logger()

T = TypeVar("T")

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection was lost in the middle of something
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement timeout
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.TransactionRollbackError,  # deadlock, serialization: nothing was stored
    asyncpg.ReadOnlySQLTransactionError,  # a replica after a failover
    asyncpg.ObjectNotInPrerequisiteStateError,  # it takes no connections right now
    asyncpg.InvalidCatalogNameError,  # dropped, renamed
    asyncpg.InvalidAuthorizationSpecificationError,  # role or password changed
)

_REFUSED = (
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,  # and its child, a wrong password
)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate the driver's errors.

    Raises DatabaseUnavailableError when the database is away or overloaded, NotMigratedError when
    it lacks a table or routine, and NotPermittedError when the role lacks a privilege.
    """
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError) as error:
        raise NotMigratedError(str(error).partition("\n")[0]) from error  # without its hint
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotPermittedError(
            f"the role of FLEETMETER_DATABASE_URL lacks a privilege: {error}"
        ) from error
    except _UNAVAILABLE as error:
        if isinstance(error, ValueError):  # the driver refused a value: a defect, not an outage
            raise
        raise DatabaseUnavailableError(f"{type(error).__name__}: {error}") from error


async def retried(transaction: Callable[[], Awaitable[T]]) -> T:
    """Run a transaction, and again a few times when it collides with another (deadlock)."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return await transaction()
        except DatabaseUnavailableError as error:
            if not isinstance(error.__cause__, asyncpg.TransactionRollbackError):
                raise
            waited = getattr(error.__cause__, "detail", None)  # who waited for whom, by process
            _log.info(
                "a transaction is tried again", error=str(error), waited=waited, attempt=attempt
            )
            await asyncio.sleep(0.01 * attempt)
    return await transaction()


class _Connection(_Base):
    """Leaves nothing behind in its session, but for the procedures that hold advisory locks."""

    __slots__ = ("_holds_locks",)

    def will_hold_locks(self) -> None:
        """Reset the session when this block ends."""
        self._holds_locks = True

    async def reset_when_needed(self) -> None:
        """Reset the session only if it held locks, which saves batches a round trip."""
        if getattr(self, "_holds_locks", False):
            self._holds_locks = False
            await self.reset()


class Database:
    """A pool of prepared connections."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", settings: Settings) -> None:
        size = settings.pool_size
        self._pool = pool
        self._settings = settings
        self.timeout_s = settings.database_timeout_s
        """Longest wait for a connection or for one statement, seconds."""
        self._answers = self._budget(size // 2)
        self._requests: Budget | None = None
        self.waits = Waits(pool)
        """Reports statements that have waited too long for the database."""
        self.long_work = asyncio.Semaphore(_LONG_WORKERS)
        """Limits long work, so that connections remain for everything else."""
        self.exports = asyncio.Semaphore(_EXPORTS if size > _EXPORTS else 1)
        """Limits exports, which last as long as their clients take to read them."""

    def for_requests(self) -> "Database":
        """Return the same database, with all connections but those of ingest and exports."""
        others = self._settings.writers + _EXPORTS
        return self.limited_to(max(2, self._settings.pool_size - others))

    def limited_to(self, connections: int) -> "Database":
        """Return the same database, with so many connections at a time."""
        view = copy(self)
        view._requests = self._budget(connections)
        return view

    def _budget(self, size: int) -> Budget:
        return Budget(max(1, size), self._settings.queries_waiting, self.timeout_s)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """Lend a connection for a few statements. Raises DatabaseUnavailableError and BusyError."""
        if self._requests is None:
            async with self._lent() as connection:
                yield connection
        else:
            async with self._requests.taken(), self._lent() as connection:
                yield connection

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator["Connection"]:
        try:
            async with translated(), self._pool.acquire(timeout=self.timeout_s) as connection:
                yield connection
        except DatabaseUnavailableError as error:
            if isinstance(error.__cause__, TimeoutError):
                self.waits.note("a statement")
            raise

    @asynccontextmanager
    async def answering(self) -> AsyncIterator["Connection"]:
        """Lend a connection for an answer that may be slow; they get half of the connections.

        Raises DatabaseUnavailableError and BusyError.
        """
        async with self._answers.taken(), self.connection() as connection:
            yield connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Connection"]:
        """Lend a connection to procedures that commit as they go and hold locks all the while."""
        async with self._lent() as connection:
            connection.will_hold_locks()  # type: ignore[union-attr]
            yield connection

    async def run(self, statement: str) -> None:
        """Run a statement without a time limit. Raises DatabaseUnavailableError."""
        async with self.session() as connection:
            await connection.execute(statement, timeout=LONG_S)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Connection"]:
        """Run the block in a transaction, committed at its end. Raises DatabaseUnavailableError."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return self._pool.get_size()

    @property
    def idle_connections(self) -> int:
        """Return how many of them nothing uses."""
        return self._pool.get_idle_size()

    async def close(self) -> None:
        """Wait for running statements, a few seconds at most, and close every connection."""
        await self.waits.close()
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await queries.prepare_session(connection)


async def _reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await cast(_Connection, connection).reset_when_needed()


async def connect(url: str, settings: Settings) -> Database:
    """Open the pool. Raises DatabaseUnavailableError."""
    async with translated():
        pool = await asyncpg.create_pool(
            url,
            min_size=2,
            max_size=settings.pool_size,
            timeout=min(settings.database_timeout_s, _CONNECT_S),
            command_timeout=settings.database_timeout_s,
            init=_prepare,
            reset=_reset,
            connection_class=_Connection,
            server_settings=_SERVER_SETTINGS,
        )
    return Database(pool, settings)


@asynccontextmanager
async def apart(url: str, timeout_s: float) -> AsyncIterator["Connection"]:
    """Connect beside the pool, for short statements that must not wait for its connections.

    Raises DatabaseUnavailableError, also for a statement that takes longer than `timeout_s`.
    """
    async with translated():
        connection = await asyncpg.connect(
            url,
            server_settings=_SERVER_SETTINGS,
            timeout=min(timeout_s, _CONNECT_S),
            command_timeout=timeout_s,
        )
    try:
        async with translated():
            yield connection
    finally:
        with suppress(*_UNAVAILABLE):  # what is not closed in time is cut
            await connection.close(timeout=timeout_s)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Connection"]:
    """Connect a command to the database for the length of the block; statements may take long.

    Raises SettingsError when the URL cannot be used, and what `translated` raises.
    """
    try:
        async with translated():
            connection = await asyncpg.connect(
                url, server_settings=_SERVER_SETTINGS, timeout=_CONNECT_S
            )
    except ValueError as error:
        raise SettingsError(f"FLEETMETER_DATABASE_URL cannot be used: {error}") from error
    except DatabaseUnavailableError as error:
        if isinstance(error.__cause__, _REFUSED):
            raise SettingsError(
                f"FLEETMETER_DATABASE_URL cannot be used: {error.__cause__}"
            ) from error
        raise DatabaseUnavailableError(
            f"the database at {split_password(url)[0]} cannot be reached: {error}; "
            "check FLEETMETER_DATABASE_URL"
        ) from error
    async with translated():
        try:
            yield connection
        finally:
            await connection.close()
