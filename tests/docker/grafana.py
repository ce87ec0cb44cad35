"""What Grafana makes of a query's macros before PostgreSQL sees it."""

import re
from datetime import UTC, datetime

_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def expand(raw_sql: str, start: datetime, end: datetime) -> str:
    """The SQL of a panel for the time range; raises KeyError for a macro that is not known here."""

    def literal(time: datetime) -> str:
        return "'" + time.astimezone(UTC).isoformat().replace("+00:00", "Z") + "'"

    def replace(macro: re.Match[str]) -> str:
        return {
            "__timeFrom": literal(start),
            "__timeTo": literal(end),
            "__timeFilter": f"{macro[2].strip()} BETWEEN {literal(start)} AND {literal(end)}",
        }[macro[1]]

    return _MACRO.sub(replace, raw_sql)
