"""Where the SQL files are, and the named queries as attributes."""

from pathlib import Path
from typing import Any

import aiosql

_PACKAGE = Path(__file__).resolve().parents[1]

SQL: Path = next(
    folder for folder in (_PACKAGE / "sql", _PACKAGE.parents[1] / "sql") if folder.is_dir()
)
"""The folder of the SQL files: inside an installed wheel, or at the top of a checkout."""

queries: Any = aiosql.from_path(SQL / "queries", "asyncpg")
"""Every query of sql/queries by name: `await queries.vehicle(connection, vehicle_id="EV-1")`."""
