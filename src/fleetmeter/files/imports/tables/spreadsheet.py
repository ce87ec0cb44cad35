"""Reads Excel workbooks: one sheet, row by row, distrusting the archive's own sizes."""

import warnings
import zipfile
from collections.abc import Iterator
from datetime import datetime, time
from itertools import islice
from typing import Any, BinaryIO

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, MappingError
from fleetmeter.files.imports.mapping.table_columns import TableColumns
from fleetmeter.files.imports.tables.delimited import missing_columns_error
from fleetmeter.files.imports.tables.table import MAX_DOCUMENT, Row, Table
from fleetmeter.readings.validate import Invalid

_MOST_COLUMNS = 1000
_LONGEST_CELL = 32_767
"""Maximum length of a cell, characters; Excel's own limit."""

_HEADER_ROWS = 200
_BROKEN = (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError, SyntaxError)
"""Errors raised for a file that is not a workbook; invalid XML is a SyntaxError."""


def open_spreadsheet(file: BinaryIO, bound: Bound) -> Table:
    """Open the sheet of a workbook that a mapping needs. Raises SourceError and MappingError."""
    check_archive(file)
    mapping = bound.mapping
    if mapping.header is False:
        width = max((len(cells) for _, cells in sheet_rows(file, mapping.sheet, 20)), default=0)
        begin, names = 0, [str(place + 1) for place in range(width)]
    else:
        begin, names = _header(file, bound)

    def rows() -> Iterator[Row]:
        for number, cells in sheet_rows(file, mapping.sheet):
            if number <= begin or all(cell is None or cell == "" for cell in cells):
                continue
            text = "\t".join(map(_shown, cells))
            if mapping.ignore and text.startswith(tuple(mapping.ignore)):
                continue
            if any(isinstance(cell, str) and len(cell) > _LONGEST_CELL for cell in cells):
                yield Row(number, Invalid("malformed", "a cell is too long"), text[:1000])
                continue
            padded = [*cells[: len(names)], *[None] * (len(names) - len(cells))]
            yield Row(number, padded, text)

    return Table(names, rows)


def check_archive(file: BinaryIO) -> None:
    """Raise SourceError for an archive that unpacks to more than the limit."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(each.file_size for each in archive.infolist())
    except _BROKEN as error:
        raise SourceError(f"this is not an Excel workbook (.xlsx): {error}") from None
    if total > MAX_DOCUMENT:
        raise SourceError(
            f"the workbook unpacks to {total // 1024**2} MiB, and "
            f"the limit is {MAX_DOCUMENT // 1024**2} MiB; save the sheet as CSV"
        )


def sheet_rows(
    file: BinaryIO, sheet: str | int | None, most: int | None = None
) -> Iterator[tuple[int, list[Any]]]:
    """Yield rows with their numbers. Raises SourceError and MappingError."""
    file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):  # of styles, which do not matter
            book = load_workbook(file, read_only=True, data_only=True)
        try:
            names = book.sheetnames
            if isinstance(sheet, str) and sheet not in names:
                raise MappingError(f"unknown sheet '{sheet}'; choose from {', '.join(names)}")
            if isinstance(sheet, int) and not 1 <= sheet <= len(names):
                raise MappingError(f"unknown sheet {sheet}; the workbook has {len(names)}")
            chosen = book[sheet] if isinstance(sheet, str) else book.worksheets[(sheet or 1) - 1]
            chosen.reset_dimensions()  # what the file says of them need not be true
            for number, cells in enumerate(chosen.iter_rows(max_row=most, values_only=True), 1):
                if len(cells) > _MOST_COLUMNS:
                    raise SourceError(f"row {number} has more than {_MOST_COLUMNS} columns")
                yield number, list(cells)
        finally:
            book.close()
    except _BROKEN as error:
        raise SourceError(f"the workbook cannot be read: {error}") from None


def _header(file: BinaryIO, bound: Bound) -> tuple[int, list[str]]:
    said = bound.mapping.header
    best: TableColumns | None = None
    least = None
    for number, cells in islice(sheet_rows(file, bound.mapping.sheet), _HEADER_ROWS):
        if said is not True and number != said:
            continue
        columns = TableColumns([" ".join(_shown(cell).split()) for cell in cells])
        missing = columns.missing(bound)
        if not missing:
            return number, list(columns.names)
        rank = (len(missing), -sum(map(bool, columns.names)))
        if least is None or rank < least:
            best, least = columns, rank
    raise missing_columns_error(best, bound)


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, time) else str(cell)[:_LONGEST_CELL]
