"""Writes the lists of columns that SQL has to spell out, from what kinds.py describes.

A list stands in a .sql file between two comments:

    -- each measurement of vehicle, last: s.{column},
    s.soc_bp,
    s.battery_temp_cdeg
    -- end

`measurement` or `rollup`, of all kinds or `of` one (`but` those that another one has too), and
after the colon what is written for each, which may go on in comments that are indented further;
`last` leaves out the comma at the end of the list. A
measurement has {column}, {type}, {scale} and {field}; a rollup has {name}, {type}, {of_history}
(made from readings) and {of_rollup} (made from a finer rollup).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from fleetmeter.database.sql import SQL
from fleetmeter.readings.kinds import KIND_OF, MEASUREMENTS, Measurement

_WIDTH = 120
"""Longest line of SQL."""

_LIST = re.compile(
    r"^(?P<indent> *)-- each (?P<what>measurement|rollup)"
    r"(?: of (?P<kind>\w+)(?: but (?P<but>\w+))?)?(?P<last>, last)?: "
    r"(?P<pattern>.+(?:\n *--    .+)*)\n(?:(?!\s*-- end).*\n)*?(?P<end> *-- end)$",
    re.MULTILINE,
)

_GOES_ON = re.compile(r"\n *-- +")


def rollups_of(measurement: Measurement) -> Iterator[dict[str, str]]:
    """Yield what a rollup keeps of a measurement: names, types and how each is made."""
    column = measurement.column
    value = measurement.of_history or column
    parts: dict[str, tuple[str, str, str]] = {}
    if measurement.rollup == "mean":
        parts["count"] = ("bigint", f"count({value})", f"sum({column}_count)::bigint")
        parts["sum"] = (
            "bigint",
            f"coalesce(sum({value}), 0)::bigint",
            f"sum({column}_sum)::bigint",
        )
    if measurement.rollup != "none":
        for extreme in ("min", "max"):
            made = f"{extreme}({value})", f"{extreme}({column}_{extreme})"
            parts[extreme] = (measurement.sql_type, *made)
    for part, (sql_type, of_history, of_rollup) in parts.items():
        name = f"{column}_{part}"
        yield {"name": name, "type": sql_type, "of_history": of_history, "of_rollup": of_rollup}


def _entry(measurement: Measurement) -> dict[str, str]:
    """Return what a list may have of a measurement itself."""
    return {
        "column": measurement.column,
        "type": measurement.sql_type,
        "scale": str(measurement.scale),
        "field": measurement.field,
    }


def written(text: str) -> str:
    """Return a .sql file's text with its lists as they must be now."""

    def lines(match: re.Match[str]) -> str:
        measurements = KIND_OF[kind].measurements if (kind := match["kind"]) else MEASUREMENTS
        others = KIND_OF[other].measurements if (other := match["but"]) else ()
        entries = [
            entry
            for each in measurements
            if each not in others
            for entry in ([_entry(each)] if match["what"] == "measurement" else rollups_of(each))
        ]
        pattern = _GOES_ON.sub(" ", match["pattern"])
        items = [pattern.format(**entry) for entry in entries]
        if match["last"] and items:
            items[-1] = items[-1].removesuffix(",")
        body = _filled(items, match["indent"])
        head = match[0][: match.end("pattern") - match.start()]
        return "\n".join([head, *body, match["end"]])

    return _LIST.sub(lines, text)


def _filled(items: list[str], indent: str) -> list[str]:
    """Return the items in lines of at most 120 characters."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 1 + len(item) <= _WIDTH:
            lines[-1] += f" {item}"
        else:
            lines += wrap(item, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
    return lines


def main(folder: Path = SQL) -> None:
    """Regenerate every list that is out of date."""
    for path in sorted([*folder.glob("routines/*.sql"), *folder.glob("queries/*.sql")]):
        text = path.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(folder)}\n")


if __name__ == "__main__":
    main()
