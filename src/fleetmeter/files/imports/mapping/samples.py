"""Samples the first rows of an undescribed file, for a guess."""

import csv
from collections.abc import Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, Mapping, Time
from fleetmeter.files.imports.tables import delimited, documents
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.validate import Invalid

_ROWS = 500
_HEADER_ROWS = 60


class Sample(NamedTuple):
    """Columns and first rows of a file."""

    names: Sequence[str]
    """Column positions, if the file has no header."""

    rows: Sequence[Sequence[Any]]
    separator: str | None = None
    encoding: str | None = None
    has_header: bool = True
    header: int | None = None
    """The line of the header, when others stand before it."""

    def values(self, place: int) -> list[Any]:
        """Return the values of a column."""
        found = [row[place] for row in self.rows if place < len(row)]
        return [each for each in found if each is not None and str(each).strip()]


def sample_of(file: BinaryIO, reader: str) -> Sample:
    """Return the first rows of a file. Raises SourceError and MappingError."""
    if reader == "csv":
        return _text(file)
    if reader == "xlsx":
        from fleetmeter.files.imports.tables.spreadsheet import check_archive, sheet_rows

        check_archive(file)
        rows = [cells for _, cells in islice(sheet_rows(file, None), _ROWS)]
        header = _header(rows)
        names = [" ".join(str(cell or "").split()) for cell in rows[header]]
        return Sample(names, rows[header + 1 :], header=header + 1 if header else None)
    nothing = Time(columns=[])
    anything = Bound(Mapping(nothing, {}), METER, nothing, None, {})
    if reader == "json":
        table = documents.open_json(file, anything)
    elif reader == "ndjson":
        table = documents.open_ndjson(file, anything)
    else:
        from fleetmeter.files.imports.tables.columnar import open_parquet

        table = open_parquet(file, anything)
    found = [row.cells for row in islice(table.rows(), _ROWS)]
    return Sample(table.columns, [cells for cells in found if not isinstance(cells, Invalid)])


def _text(file: BinaryIO) -> Sample:
    encoding, notes = delimited.encoding_of(file, None)
    lines = [line.text for line in islice(delimited.records(file, encoding), _ROWS)]
    best: tuple[int, str, list[list[str]]] | None = None
    for separator in delimited.SEPARATORS:
        rows = [_split(line, separator) for line in lines]
        widths = [len(row) for row in rows if any(cell.strip() for cell in row)]
        common = max({*widths}, key=widths.count, default=1)
        if common > 1 and (best is None or widths.count(common) * common > best[0]):
            best = (widths.count(common) * common, separator, rows)
    if best is None:
        raise SourceError("it has no columns: no comma, semicolon, tab or bar is between them")
    _, separator, rows = best
    header = _header(rows)
    names = [" ".join(name.split()) for name in rows[header]]
    if any(map(_is_number, names)):
        places = [str(place + 1) for place in range(len(names))]
        return Sample(places, rows, separator, _said(encoding, notes), has_header=False)
    width = len(names)
    data = [row for row in rows[header + 1 :] if len(row) >= width - 1 and len(row) > 1]
    padded = [[*row, *[""] * (width - len(row))] for row in data]
    return Sample(
        names, padded, separator, _said(encoding, notes), header=header + 1 if header else None
    )


def _said(encoding: str, notes: Sequence[str]) -> str | None:
    """Return the encoding, when it had to be guessed."""
    return encoding if notes else None


def _split(line: str, separator: str) -> list[str]:
    try:
        return delimited.split(line, separator)
    except (csv.Error, StopIteration):
        return []


def _header(rows: Sequence[Sequence[Any]]) -> int:
    """Return which row names the columns: the first that is as wide as the rows after it."""
    widths = [sum(bool(str(cell or "").strip()) for cell in row) for row in rows]
    if not widths:
        raise SourceError("it is empty")
    common = max({*widths}, key=widths.count)
    for place, row in enumerate(rows[:_HEADER_ROWS]):
        if widths[place] >= max(common, 2) - 1 and not any(map(_is_number, row)):
            return place
    return next(place for place, width in enumerate(widths) if width >= common)


def _is_number(cell: Any) -> bool:
    text = str(cell or "").strip().replace(",", ".")
    return bool(text) and text.replace(".", "").replace("-", "").isdigit()
