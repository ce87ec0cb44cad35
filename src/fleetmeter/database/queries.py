"""Every query of sql/queries, by name. Their types are in queries.pyi, which `make queries` writes.

A row is an asyncpg.Record; a name that ends in `Row` is there for annotations.
"""

import aiosql
from asyncpg import Record

from fleetmeter.database.folder import SQL
from fleetmeter.traces import are_wanted, traced_query

_loaded = aiosql.from_path(SQL / "queries", "asyncpg")

available_queries: list[str] = _loaded.available_queries
globals().update({name: getattr(_loaded, name) for name in available_queries})
if are_wanted():
    globals().update({name: traced_query(name, globals()[name]) for name in available_queries})


def __getattr__(name: str) -> type[Record]:
    if name.endswith("Row"):
        return Record
    raise AttributeError(f"unknown query {name}; {SQL / 'queries'} has all of them")
