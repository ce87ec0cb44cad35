"""Reads TeslaMate's backup: charges and their cars, two tables of a plain PostgreSQL dump."""

from collections.abc import Iterator
from typing import BinaryIO

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.tables.delimited import text_lines
from fleetmeter.files.imports.tables.table import Row, Table
from fleetmeter.readings.validate import Invalid

_MOST_PROCESSES = 1_000_000


def open_dump(file: BinaryIO, bound: Bound) -> Table:
    """Open a dump. Raises SourceError."""
    cars: dict[str, str] = {}
    names: list[str] | None = None
    for table, columns, _, cells in _records(file, ("charges", "charging_processes")):
        if table == "charges":
            names = names or columns
        elif len(cars) < _MOST_PROCESSES and {"id", "car_id"} <= {*columns}:
            cars[cells[columns.index("id")]] = cells[columns.index("car_id")]
    if names is None or "charging_process_id" not in names:
        raise SourceError("this is not a plain dump of PostgreSQL with TeslaMate's table charges")
    process = names.index("charging_process_id")

    def rows() -> Iterator[Row]:
        for _, columns, number, cells in _records(file, ("charges",)):
            text = "\t".join(cells)
            if len(cells) != len(columns):
                yield Row(number, Invalid("malformed", "the line has too few fields"), text)
                continue
            own = [None if cell == "\\N" else cell for cell in cells]
            yield Row(number, [*own, cars.get(cells[process])], text)

    return Table([*names, "car_id"], rows)


def _records(
    file: BinaryIO, tables: tuple[str, ...]
) -> Iterator[tuple[str, list[str], int, list[str]]]:
    """Yield table, columns, line and fields of the records of some tables."""
    table: str | None = None
    columns: list[str] = []
    for line in text_lines(file, "utf-8"):
        if table is None:
            if line.text.startswith("COPY "):
                name, _, rest = line.text[5:].partition(" (")
                columns = [each.strip().strip('"') for each in rest.partition(")")[0].split(",")]
                found = name.rpartition(".")[2].strip('"')
                table = found if found in tables else None
        elif line.text == "\\.":
            table = None
        else:
            yield table, columns, line.number, line.text.split("\t")
