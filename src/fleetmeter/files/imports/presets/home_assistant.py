"""Reads Home Assistant's energy dashboard file: a row per entity, a column per time."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import BinaryIO

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, convert
from fleetmeter.files.imports.mapping.model import bind as bound_of
from fleetmeter.files.imports.tables.delimited import open_delimited
from fleetmeter.files.imports.tables.table import Row, Table
from fleetmeter.readings.validate import Invalid

_COLUMNS = ("entity_id", "type", "start", "end", "kwh")
_KWH = {"kWh": 1.0, "Wh": 0.001, "MWh": 1000.0}
_NAMES = {"time": "type", "fields": {"meterId": "entity_id", "kwhConsumedAc": "unit"}}


def open_energy_dashboard(file: BinaryIO, bound: Bound) -> Table:
    """Open the file; a value covers the time from its column to the next. Raises SourceError."""
    table = open_delimited(file, bound_of(convert(dict(_NAMES))))
    columns = list(table.columns)
    times = [(place, time) for place, name in enumerate(columns) if (time := _time(name))]
    if len(times) < 2:
        raise SourceError("the header has no times, as the energy dashboard's has")
    ends = [later for (_, _), (_, later) in pairwise(times)]
    ends.append(times[-1][1] + (times[-1][1] - times[-2][1]))
    entity, kind, unit = (columns.index(name) for name in ("entity_id", "type", "unit"))

    def rows() -> Iterator[Row]:
        for row in table.rows():
            cells = row.cells
            if isinstance(cells, Invalid):
                yield row
                continue
            if cells[unit] not in _KWH or not cells[entity]:
                continue  # costs, and what is calculated of the others
            for (place, start), end in zip(times, ends, strict=True):
                if cells[place].strip():
                    yield _row(row, [cells[entity], cells[kind], start, end], cells[place], unit)

    def _row(row: Row, cells: list[object], value: str, unit: int) -> Row:
        text = f"{cells[0]},{cells[1]},{columns[place_of(cells[2])]},{value}"
        try:
            kwh = float(value) * _KWH[row.cells[unit]]  # type: ignore[index]
        except ValueError:
            return Row(row.number, Invalid("invalid_type", f"{value[:40]} is not a number"), text)
        return Row(row.number, [*cells, kwh], text)

    def place_of(time: object) -> int:
        return next(place for place, each in times if each == time)

    return Table(_COLUMNS, rows)


def _time(name: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(name)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
