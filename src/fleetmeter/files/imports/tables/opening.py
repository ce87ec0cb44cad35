"""Opens files as tables: finds the reader by name, and the first mapping that fits."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import PurePath
from typing import BinaryIO

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, MappingError
from fleetmeter.files.imports.mapping.table_columns import TableColumns
from fleetmeter.files.imports.tables.delimited import missing_columns_error
from fleetmeter.files.imports.tables.table import MissingColumnsError, Table

Reader = Callable[[BinaryIO, Bound], Table]

_READERS = {
    "csv": "tables.delimited:open_delimited",
    "json": "tables.documents:open_json",
    "ndjson": "tables.documents:open_ndjson",
    "xlsx": "tables.spreadsheet:open_spreadsheet",
    "parquet": "tables.columnar:open_parquet",
    "green-button": "presets.green_button:open_green_button",
    "dsmr": "presets.dsmr:open_telegrams",
    "ocpp": "presets.ocpp:open_log",
    "home-assistant-energy": "presets.home_assistant:open_energy_dashboard",
    "postgresql-dump": "presets.postgresql_dump:open_dump",
}
"""The module and function of each; its dependencies are loaded when a file needs them."""

_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".parquet": "parquet",
}

_PACKED = (".gz", ".zst")


def reader_of(name: str) -> str:
    """Return the reader for a file's extension, by default that of CSV."""
    endings = [ending for ending in PurePath(name.lower()).suffixes if ending not in _PACKED]
    return _ENDINGS.get(endings[-1] if endings else "", "csv")


def open_table(file: BinaryIO, bound: Bound, default: str) -> tuple[Table, TableColumns]:
    """Open a file with a mapping. Raises SourceError and MappingError."""
    name = bound.mapping.reader or default
    if name not in _READERS:
        raise MappingError(f"unknown reader '{name}'; choose from {', '.join(_READERS)}")
    module, _, function = _READERS[name].partition(":")
    reader: Reader = getattr(import_module(f"fleetmeter.files.imports.{module}"), function)
    table = reader(file, bound)
    columns = TableColumns(table.columns)
    if columns.missing(bound):
        raise missing_columns_error(columns, bound)
    return table, columns


def open_first(
    file: BinaryIO, candidates: Mapping[str, Bound | MappingError], default: str
) -> tuple[str, Bound, Table, TableColumns]:
    """Open a file with the first mapping that fits. Raises SourceError."""
    wrong: dict[str, FleetMeterError] = {}
    for name, bound in candidates.items():
        if isinstance(bound, MappingError):
            wrong[name] = bound
            continue
        try:
            return (name, bound, *open_table(file, bound, default))
        except SourceError as error:
            wrong[name] = error
    if len(wrong) == 1:
        raise next(iter(wrong.values()))
    said, found = [], ""
    for name, why in wrong.items():
        if isinstance(why, MissingColumnsError):
            found = f". The columns found are {why.found}"
            said.append(f"{name} needs {why.needed}")
        else:
            said.append(f"{name}: {why}")
    raise SourceError(f"none of the layouts fits: {'; '.join(said)}{found}")
