"""How Grafana asks: its macros and variables, and the role that it reads with."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg

from tests.support.repository import ROOT

GRANTS = (ROOT / "sql" / "routines" / "90_grants.sql").read_text(encoding="utf-8")

_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")


def expand(
    raw_sql: str,
    start: datetime,
    end: datetime,
    variables: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The SQL of a panel for the time range and the chosen values of variables.

    Raises KeyError for a macro or a variable that is not known.
    """

    def literal(time: datetime) -> str:
        return "'" + time.astimezone(UTC).isoformat().replace("+00:00", "Z") + "'"

    def replace(macro: re.Match[str]) -> str:
        return {
            "__timeFrom": literal(start),
            "__timeTo": literal(end),
            "__timeFilter": f"{macro[2].strip()} BETWEEN {literal(start)} AND {literal(end)}",
        }[macro[1]]

    def quoted(variable: re.Match[str]) -> str:
        values = (variables or {})[variable[1]]
        return ",".join("'" + value.replace("'", "''") + "'" for value in values)

    sql = _VARIABLE.sub(quoted, _MACRO.sub(replace, raw_sql))
    return sql.replace("$__searchFilter", "%")


async def read_as_grafana(connection: asyncpg.Connection) -> None:
    """Give the rest of the transaction the role that Grafana has, which is made if need be."""
    if not await connection.fetch("select from pg_roles where rolname = 'fleetmeter_reader'"):
        await connection.execute("create role fleetmeter_reader")
    await connection.execute(GRANTS)
    await connection.execute("set local role fleetmeter_reader")
