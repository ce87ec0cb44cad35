"""Writes queries.pyi, the types of the named queries, from what PostgreSQL says of each.

    python -m fleetmeter.database.query_types

A prepared statement has the types of its parameters and columns, but not which may be null:

- A field of a row is `int | Any`: usable as an integer, and nobody is kept from asking whether it
  is None.
- A parameter takes None where its query compares it with null (`:site::text is null`) or where the
  comment of the query ends with "May be null: site, since."; and those of a reach always do.
- A query for one row (`^`) or one value (`$`) gives None where its comment says "no row: …" or
  "null: …" and thereby when that is.

Queries with the same columns share the class of the first one's rows.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import NamedTuple

import aiosql
import asyncpg
from aiosql.types import SQLOperationType

from fleetmeter.database import embedded, migrations
from fleetmeter.database.folder import SQL

STUB = Path(__file__).with_name("queries.pyi")

_WIDTH = 100

_RETENTION_DAYS = 400
"""For a database that is never written to."""

_PYTHON = {
    "bool": "bool",
    "bytea": "bytes",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "float8": "float",
    "numeric": "Decimal",
    "text": "str",
    "json": "str",
    "jsonb": "str",
    "uuid": "UUID",
    "interval": "timedelta",
    "timestamptz": "datetime",
    "void": "None",
}
"""Python types that asyncpg uses for the types of PostgreSQL."""

_MAY_BE_NULL = re.compile(r"May be null: ([\w, ]+)\.")

_REACH = {"reach_ids", "reach_sites"}
"""Parameters that are null for an unlimited reach."""

_ROWS = {SQLOperationType.SELECT, SQLOperationType.SELECT_ONE}

_HEAD = '''\
"""The types of the named queries. Written by `make queries`; query_types.py explains them."""
# fmt: off
# ruff: noqa

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

import asyncpg
from asyncpg import Record

_Connection = asyncpg.Connection[Record] | asyncpg.pool.PoolConnectionProxy[Record]
_P = ParamSpec("_P")
_T = TypeVar("_T")

class _Query(Generic[_P, _T]):
    sql: str
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...

def _query(function: Callable[_P, _T]) -> _Query[_P, _T]: ...

available_queries: list[str]
'''


class _Signature(NamedTuple):
    """The parameters and columns of a query, as Python types."""

    name: str
    comment: str
    operation: SQLOperationType
    parameters: dict[str, str]
    columns: dict[str, str]

    @property
    def row(self) -> str:
        """Return the name of the class of its rows."""
        return "".join(word.title() for word in self.name.split("_")) + "Row"


async def written(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return the text of queries.pyi, asked of a migrated database."""
    signatures = [signature async for signature in _signatures(connection)]
    parts = [_HEAD]
    rows: dict[tuple[tuple[str, str], ...], str] = {}
    for signature in signatures:
        if signature.operation in _ROWS:
            columns = tuple(signature.columns.items())
            if columns in rows:
                parts.append(f"{signature.row} = {rows[columns]}\n")
            else:
                rows[columns] = signature.row
                parts.append(_row_class(signature))
        parts.append(_function(signature))
    return "\n".join(parts)


async def _signatures(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> AsyncIterator[_Signature]:
    """Prepare every query, in a session that has the temporary tables of a writer."""
    loaded = aiosql.from_path(SQL / "queries", "asyncpg")
    await loaded.prepare_session(connection)
    for name in loaded.available_queries:
        if name.endswith("_cursor"):
            continue
        query = getattr(loaded, name)
        names: list[str] = []
        parameters: dict[str, str] = {}
        columns: dict[str, str] = {}
        if query.operation != SQLOperationType.SCRIPT:
            prepared = await connection.prepare(query.sql)
            names = loaded.driver_adapter.var_sorted[name]
            types = dict(zip(names, prepared.get_parameters(), strict=True))
            parameters = {each: _python(types[each], "Sequence") for each in query.parameters}
            columns = {a.name: _python(a.type, "list") for a in prepared.get_attributes()}
        comment = " ".join((query.__doc__ or "").split())
        for each in _nullable(comment, query.sql, names):
            parameters[each] += " | None"
        yield _Signature(name, comment, query.operation, parameters, columns)


def _nullable(comment: str, sql: str, names: Sequence[str]) -> set[str]:
    """Return which parameters may be null, by the comment or by a comparison in the query."""
    stated = {name for found in _MAY_BE_NULL.findall(comment) for name in found.split(", ")}
    if unknown := stated - set(names):
        raise ValueError(f"the comment of a query calls null what it does not have: {unknown}")
    compared = {int(number) for number in re.findall(r"\$(\d+)(?:::[a-z\[\]]+)? is null", sql)}
    reach = _REACH & set(names)
    return stated | reach | {name for number, name in enumerate(names, 1) if number in compared}


def _python(type_: asyncpg.Type, many: str) -> str:
    if type_.kind == "array":
        return f"{many}[{_PYTHON[type_.name.removesuffix('[]')]}]"
    return _PYTHON[type_.name]


def _row_class(signature: _Signature) -> str:
    """Return the class of a query's rows: a subscript for each type, and one for dict(row)."""
    by_type: dict[str, list[str]] = {}
    for column, python in signature.columns.items():
        by_type.setdefault(f"{python} | Any", []).append(column)
    if len(by_type) > 1:
        by_type["Any"] = list(signature.columns)
    lines = [f"class {signature.row}(Record):"]
    for python, columns in by_type.items():
        if len(by_type) > 1:
            lines.append("    @overload")
        subscript = f"def __getitem__(self, key: {_literal(columns)}) -> {python}: ..."
        lines += _filled(subscript, indent=4).splitlines()
    lines[1] += "  # type: ignore[override]"  # a Record would take any key
    lines.append(_filled(f"def keys(self) -> Iterator[{_literal(signature.columns)}]: ...", 4))
    return "\n".join(lines) + "\n"


def _literal(columns: Iterable[str]) -> str:
    names = ", ".join(f'"{column}"' for column in dict.fromkeys(columns))
    return f"Literal[{names}]"


def _function(signature: _Signature) -> str:
    parameters = ["connection: _Connection", "/"]
    if signature.parameters:
        parameters.append("*")
        parameters += [f"{name}: {python}" for name, python in signature.parameters.items()]
    comment = signature.comment.lower()
    head, result = "async def", "str"
    if signature.operation == SQLOperationType.SELECT:
        head, result = "def", f"AsyncGenerator[{signature.row}, None]"
    elif signature.operation == SQLOperationType.SELECT_ONE:
        result = f"{signature.row} | None" if "no row:" in comment else signature.row
    elif signature.operation == SQLOperationType.SELECT_VALUE:
        (value,) = signature.columns.values()
        result = f"{value} | None" if re.search(r"\bnull:", comment) else value
    text = f"{head} {signature.name}({', '.join(parameters)}) -> {result}: ..."
    return f"@_query\n{_filled(text)}\n"


def _filled(text: str, indent: int = 0) -> str:
    """Break lines that are too long, after commas alone."""
    start = " " * indent
    lines = wrap(
        text.replace(" ", "\0").replace(",\0", ", "),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=f"{start}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ")


def main() -> None:
    """Write queries.pyi, as an embedded PostgreSQL has the types."""
    with (
        TemporaryDirectory(prefix="fleetmeter-queries-") as folder,
        embedded.embedded_postgresql(Path(folder)) as url,
    ):
        text = asyncio.run(_asked(url))
    STUB.write_text(text, encoding="utf-8")


async def _asked(url: str) -> str:
    await migrations.migrate(url, _RETENTION_DAYS)
    connection = await asyncpg.connect(url)
    try:
        return await written(connection)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
