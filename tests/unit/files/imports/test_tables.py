"""Tables are read whatever their encoding, separators, preambles and formats, within limits."""

import io
import json
import tomllib
import zipfile
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.files.imports.mapping.options import MappingOptions
from fleetmeter.files.imports.mapping.source import MappedSource
from fleetmeter.files.imports.tables import spreadsheet, table
from tests.support.imports import Imported, csv
from tests.support.workbooks import workbook

MAPPING = """
time = { column = "Tag", format = ["day-first", "iso"], zone = "UTC" }
decimal = ","
[fields]
meterId = "Zähler"
kwhConsumedAc = "Energie"
"""
ROWS = [["Tag", "Zähler", "Energie"], ["09.02.2026", "Süd", "1,5"], ["10.02.2026", "Nord", "2"]]


def found(read: Imported) -> list[tuple[str, float]]:
    return list(zip(read.column("meter_id"), read.column("kwh_consumed_ac"), strict=True))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_is_read_however_it_was_saved(encoding: str, separator: str, end: str) -> None:
    text = csv(*ROWS, separator=separator).replace("\n", end)
    assert found(Imported(text.encode(encoding), MAPPING)) == [("Süd", 1.5), ("Nord", 2)]


def test_what_is_no_utf_8_is_read_as_windows_writes_it_and_that_is_said() -> None:
    body = csv(*ROWS, separator=";").encode("cp1252")
    read = Imported(body, MAPPING)
    assert found(read) == [("Süd", 1.5), ("Nord", 2)]
    assert "read as cp1252" in read.source.notes[0]
    assert not Imported(body, f'encoding = "cp1252"{MAPPING}').source.notes


def test_one_byte_that_is_no_utf_8_costs_its_line() -> None:
    good = "\n".join(f"{1 + n % 28:02}.02.2026;M;1" for n in range(30_000))
    body = f"Tag;Zähler;Energie\n{good}\n".encode() + b"09.02.2026;S\xfcd;1\n10.02.2026;M;1\n"
    read = Imported(body, MAPPING)
    assert list(read.errors) == [30_002]
    assert "encoding" in read.errors[30_002]


@pytest.mark.parametrize("said", ["latin-99", "hex", "base64"])
def test_an_encoding_that_is_none_is_told(said: str) -> None:
    with pytest.raises(MappingError, match="encoding"):
        Imported(csv(*ROWS, separator=";"), f'encoding = "{said}"{MAPPING}')


def test_lines_before_the_header_and_after_the_data_are_left_out() -> None:
    text = (
        "Lastgang;;\n"
        "erstellt am;09.02.2026;\n"
        "\n"
        f"{csv(*ROWS, separator=';')}"
        ";;\n"
        "# Ende;;\n"
        "Summe;;3,5\n"
    )
    read = Imported(text, f'ignore = ["#", "Summe"]{MAPPING}')
    assert found(read) == [("Süd", 1.5), ("Nord", 2)]
    assert read.numbers == [5, 6]
    assert Imported(text, MAPPING).errors.keys() == {9}, "a line without numbers is nothing"


def test_the_line_for_excel_and_quotes_and_line_breaks_in_them_are_understood() -> None:
    text = (
        'sep=;\n"Tag";"Zähler";"Energie";"Notiz\nzweite Zeile"\n'
        '"09.02.2026";"A;B";"1,5";"sagte ""ja"""\n10.02.2026;"C";"2";"über\nzwei Zeilen"\n'
        "11.02.2026;D;3;\n"
    )
    read = Imported(text, MAPPING)
    assert found(read) == [("A;B", 1.5), ("C", 2), ("D", 3)]
    assert read.numbers == [4, 5, 7]


def test_a_quote_that_is_not_closed_costs_its_line_alone() -> None:
    lines: list[list[Any]] = [["Tag", "Zähler", "Energie"]]
    lines += ([f"{n:02}.02.2026", "M", n] for n in range(1, 29))
    lines[3][1] = '"M'
    read = Imported(csv(*lines, separator=";"), MAPPING)
    assert read.errors == {4: "a quote is not closed"}
    assert len(read.items) == 28


def test_columns_by_number_need_no_header() -> None:
    mapping = """
        header = false
        time = { column = 1, format = "epoch" }
        [fields]
        meterId = { constant = "M" }
        kwhConsumedAcTotal = 2
    """
    read = Imported("1770631500,5.5\n1770635100,null\n1770638700,6\n", mapping)
    assert read.column("kwh_consumed_ac_total") == [5.5, 6]
    assert read.source.left_out == 1


def test_the_header_may_be_said_to_be_a_line() -> None:
    text = "Tag;Zähler;Energie\n" + csv(*ROWS, separator=";")
    assert found(Imported(text, f"header = 2{MAPPING}")) == [("Süd", 1.5), ("Nord", 2)]
    with pytest.raises(SourceError, match="no such header line"):
        Imported(text, f"header = 99{MAPPING}")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x" * 200_000, "longer than 64 KiB"),
        ("09.02.2026;M;1\0", "NUL"),
        ("09.02.2026;M;1;2;3", "5 fields, the header has 3"),
        ("Summe", "ignore ="),
        ("09.02.2026;M;eins", "Energie is eins, which is not a number"),
        (";M;1", "Tag, which is the time, is empty"),
    ],
)
def test_a_bad_line_costs_no_other(line: str, said: str) -> None:
    text = f"Tag;Zähler;Energie\n09.02.2026;M;1\n{line}\n10.02.2026;M;1\n"
    read = Imported(text, MAPPING)
    assert list(read.errors) == [3]
    assert said in read.errors[3]
    assert len(read.items) == 3
    assert len(read.texts[1]) < 2000


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(max_size=2000))
def test_any_bytes_are_readings_or_an_error(body: bytes) -> None:
    for reader in ("csv", "json", "ndjson", "xlsx", "parquet"):
        with suppress(SourceError):
            Imported(b"Tag;Z\xc3\xa4hler;Energie\n" * (reader == "csv") + body, MAPPING, reader)


def test_a_large_text_needs_little_memory() -> None:
    class Endless(io.RawIOBase):
        """So many bytes of lines that none of them has to be held."""

        left = 60_000_000

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.left = 60_000_000
            return 0

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = (b"x" * size) if self.left < 60_000_000 else head[:size].ljust(size)
            self.left -= size
            return size

    head = csv(*ROWS, separator=";").encode()
    before = psutil.Process().memory_info().rss
    said = tomllib.loads(MAPPING)
    source = MappedSource(io.BufferedReader(Endless()), MappingOptions(said), "csv", 0)
    items = [item for block in source.blocks(Position()) for item in block.items]
    assert len(items) == 3
    assert psutil.Process().memory_info().rss - before < 30_000_000


# -- documents ------------------------------------------------------------------------------------

DOCUMENT = """
time = "at.end"
[fields]
meterId = "meter.id"
kwhConsumedAc = "kwh"
"""
ITEMS = [
    {"at": {"end": "2026-02-09T10:00Z"}, "meter": {"id": f"M-{n}"}, "kwh": n, "log": [1, 2]}
    for n in range(3)
]


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (json.dumps(ITEMS), ""),
        ("\ufeff" + json.dumps(ITEMS), ""),
        (json.dumps([ITEMS[:1], ITEMS[1:]]), ""),
        (json.dumps({"meta": 1, "items": ITEMS}), ""),
        (json.dumps({"data": {"rows": ITEMS}, "items": [1]}), 'records = "data.rows"'),
    ],
)
def test_a_document_has_an_array_somewhere(body: str, more: str) -> None:
    read = Imported(body, more + DOCUMENT, "json")
    assert read.column("meter_id") == ["M-0", "M-1", "M-2"]
    assert read.numbers == [1, 2, 3]


def test_lines_of_objects_are_rows() -> None:
    body = "\n".join([json.dumps(ITEMS[0]), "", "{", "[5]", '"x"', json.dumps(ITEMS[1])])
    read = Imported(body, DOCUMENT, "ndjson")
    assert list(read.errors) == [3, 5]
    assert [each.meter_id for each in read.items if hasattr(each, "meter_id")] == ["M-0", "M-1"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not a JSON document"),
        ("[" * 100_000, "not a JSON document"),
        ('{"a": [1], "b": [2]}', "several arrays, a, b; say which one with records"),
        ("[{}]", "the columns found are"),
    ],
)
def test_a_document_of_another_shape_is_told(body: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        Imported(body, DOCUMENT, "json")


def test_a_document_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_DOCUMENT", 1024 * 1024)
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        Imported(b" " * 2_000_000, DOCUMENT, "json")
    monkeypatch.setattr(table, "MAX_VALUES", 1000)
    with pytest.raises(SourceError, match=r"more than 1,000 values; convert it to NDJSON"):
        Imported(f"[{'[],' * 2000}1]", DOCUMENT, "json")


def test_parquet_has_columns_too() -> None:
    rows = [{"Tag": datetime(2026, 2, 9), "Zähler": "Süd", "Energie": 1.5}]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    read = Imported(file.getvalue(), MAPPING, "parquet")
    assert found(read) == [("Süd", 1.5)]
    assert read.times == ["02-09 00:00"]


# -- workbooks ------------------------------------------------------------------------------------


def test_a_workbook_is_read_with_its_own_dates_and_numbers() -> None:
    body = workbook(
        ["Lastgang"],
        [],
        ["Tag", "Zähler", "Energie"],
        [datetime(2026, 2, 9, 10, 15), 4711.0, 1.5],
        [date(2026, 2, 10), "Nord", "2,5"],
        [None, None, None],
        ["11.02.2026 10:00", "Süd", 3],
        ["Summe", None, 7],
    )
    read = Imported(body, f'sheet = "Daten"\nignore = ["Summe"]{MAPPING}', "xlsx")
    assert found(read) == [("4711", 1.5), ("Nord", 2.5), ("Süd", 3)]
    assert read.times == ["02-09 10:15", "02-10 00:00", "02-11 10:00"]
    assert read.numbers == [4, 5, 7]
    assert found(Imported(body, f'sheet = 2\nignore = ["Summe"]{MAPPING}', "xlsx")) == found(read)


def test_a_workbook_has_dates_and_times_of_day_apart() -> None:
    mapping = MAPPING.replace('column = "Tag"', 'columns = ["Tag", "Zeit"]')
    body = workbook(
        ["Tag", "Zeit", "Zähler", "Energie"],
        [datetime(2026, 2, 9), time(10, 15), "M", 1],
    )
    assert Imported(body, f"sheet = 2{mapping}", "xlsx").times == ["02-09 10:15"]


@pytest.mark.parametrize(
    ("body", "more", "said"),
    [
        (b"Tag;Energie\n", "", "not an Excel workbook"),
        (b"PK\x03\x04" + b"\0" * 100, "", "not an Excel workbook"),
        (workbook(["Tag"]), "", "the columns found are"),
        (workbook(["Tag"]), "sheet = 2", "needs the columns Zähler, Energie"),
        (workbook(["Tag", *range(2000)]), "sheet = 2", "more than 1000 columns"),
    ],
)
def test_what_is_no_such_workbook_is_told(body: bytes, more: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        Imported(body, more + MAPPING, "xlsx")


@pytest.mark.parametrize(
    ("sheet", "said"), [('"Blatt"', "choose from Sheet, Daten"), ("3", "workbook has 2")]
)
def test_a_sheet_that_is_not_there_is_told(sheet: str, said: str) -> None:
    with pytest.raises(MappingError, match=said):
        Imported(workbook(*ROWS), f"sheet = {sheet}{MAPPING}", "xlsx")


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w") as member,
    ):
        for _ in range(table.MAX_DOCUMENT // 1024**2 + 1):
            member.write(b"0" * 1024**2)
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(SourceError, match="save the sheet as CSV"):
        Imported(file.getvalue(), MAPPING, "xlsx")


def test_entities_in_a_workbook_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(*ROWS))) as whole,
        zipfile.ZipFile(file, "w") as changed,
    ):
        for name in whole.namelist():
            content = whole.read(name).decode()
            if name.startswith("xl/worksheets/"):
                content = bomb + content.removeprefix('<?xml version="1.0"?>')
            changed.writestr(name, content)
    with pytest.raises(SourceError, match="cannot be read"):
        Imported(file.getvalue(), f"sheet = 2{MAPPING}", "xlsx")


def test_a_cell_that_is_too_long_costs_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "_LONGEST_CELL", 20)
    body = workbook(ROWS[0], ["09.02.2026", "M" * 21, 1], ["10.02.2026", "M", 1])
    assert Imported(body, f"sheet = 2{MAPPING}", "xlsx").errors == {2: "a cell is too long"}
