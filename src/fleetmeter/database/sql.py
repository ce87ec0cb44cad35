"""Provides the SQL folder and the named queries: `await queries.device(connection, kind=…)`."""

from fleetmeter.database import queries
from fleetmeter.database.folder import SQL

__all__ = ["SQL", "queries"]
