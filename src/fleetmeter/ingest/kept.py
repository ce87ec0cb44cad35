"""From when on history is whole: readings before it are refused, as retention would drop them."""

from datetime import datetime

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries


async def kept_since(database: Database) -> dict[str, datetime]:
    """By table, "vehicle_readings" and "meter_readings". Raises DatabaseUnavailableError."""
    async with database.connection() as connection:
        return {row["source"]: row["since"] async for row in queries.kept_history(connection)}
