"""Files of readings: each line has its own outcome, and its number."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports import lines, parquet
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.lines import BLOCK_BYTES, MAX_LINE
from fleetmeter.files.imports.sources import ImportFormat, format_of, open_source
from fleetmeter.readings.telemetry import FIELDS, TIMES, Telemetry
from fleetmeter.readings.validate import Invalid

HEADER = "vehicleId,timestamp,soc,kwhDeliveredDc,batteryTemp"
TIME = "2026-11-23T10:00:00Z"
BEGINNING = Position()
GOOD = f"EV-1,{TIME},72,1.2,36"


class Read:
    """What is in a file: readings and errors by line number."""

    def __init__(
        self, content: bytes | str, format_: ImportFormat = "csv", begin: Position = BEGINNING
    ) -> None:
        body = content.encode() if isinstance(content, str) else content
        source = open_source(io.BytesIO(body), format_, len(body))
        self.ignored = list(source.ignored)
        self.readings: dict[int, Telemetry] = {}
        self.errors: dict[int, Invalid] = {}
        self.texts: dict[int, str] = {}
        self.ends = [begin]
        for block in source.blocks(begin):
            for index, (number, item) in enumerate(zip(block.numbers, block.items, strict=True)):
                if isinstance(item, Invalid):
                    self.errors[number] = item
                    self.texts[number] = block.text(index)
                else:
                    self.readings[number] = item
            self.ends.append(block.end)

    @property
    def details(self) -> dict[int, str]:
        return {number: error.detail for number, error in self.errors.items()}


def csv(*records: str, header: str = HEADER) -> str:
    return "\n".join([header, *records]) + "\n"


def reading(**fields: Any) -> Telemetry:
    return msgspec.convert(fields, Telemetry)


EV_1 = reading(vehicleId="EV-1", timestamp=TIME, soc=72, kwhDeliveredDc=1.2, batteryTemp=36)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last_end", ["", "\n"])
@pytest.mark.parametrize("quoted", [False, True])
def test_csv_is_read_however_it_was_saved(
    separator: str, line_end: str, mark: str, last_end: str, quoted: bool
) -> None:
    rows = [line.split(",") for line in (HEADER, GOOD, GOOD)]
    if quoted:
        rows = [[f'"{cell}"' for cell in row] for row in rows]
    content = mark + line_end.join(separator.join(row) for row in rows)
    read = Read(content + (line_end if last_end else ""))
    assert read.readings == {2: EV_1, 3: EV_1}
    assert not read.errors


def test_columns_stand_in_any_order_and_unknown_ones_are_named() -> None:
    header = f"note,batteryTemp,firmware,{HEADER.removesuffix(',batteryTemp')},"
    read = Read(f"{header}\nün,36,2.1,EV-1,{TIME},72,1.2,x\n")
    assert read.readings == {2: EV_1}
    assert read.ignored == ["note", "firmware", "(no name)"]


def test_a_file_says_when_intervals_began_or_leaves_it_empty() -> None:
    header = f"intervalStart,{HEADER}"
    start = "2026-11-23T09:30:00Z"
    read = Read(csv(f",{GOOD}", f"{start},{GOOD}", f"half past nine,{GOOD}", header=header))
    assert read.readings[2] == EV_1
    assert read.readings[3] == msgspec.structs.replace(
        EV_1, interval_start=datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    )
    assert read.errors[4].code == "invalid_timestamp"
    assert "intervalStart must be an RFC 3339 time" in read.details[4]


def test_both_kinds_stand_in_one_file_and_what_is_empty_is_absent() -> None:
    header = "vehicleId,meterId,timestamp,soc,kwhDeliveredDcTotal,batteryTemp,kwhConsumedAc,voltage"
    read = Read(csv(f"EV-1,,{TIME},72,1e3, 1.5 ,,", f",M-1,{TIME},, ,,1.5,230", header=header))
    assert list(read.readings.values()) == [
        reading(
            vehicleId="EV-1", timestamp=TIME, soc=72, kwhDeliveredDcTotal=1000, batteryTemp=1.5
        ),
        reading(meterId="M-1", timestamp=TIME, kwhConsumedAc=1.5, voltage=230),
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("EV-2,nonsense", "the line has 2 fields, the header has 5"),
        (GOOD.replace(",", ";"), "the line has a semicolon between its fields, the header has a c"),
        (GOOD.replace(",", "\t"), "the line has a tab between its fields, the header has a comma"),
        (f"EV-2,{TIME},72,1,2,36", "if a number has a decimal comma, use a decimal point"),
        (f'EV-2,{TIME},72,"1,2",36', "kwhDeliveredDc is 1,2; use a decimal point"),
        (f"\ufeff{GOOD}", "byte order mark"),
        (f"\ufeff{HEADER}", "byte order mark"),
        (HEADER, "the header again"),
        (f'"EV-2,{TIME},72,1.2,36', "a quote is not closed"),
        (f'EV-2"x"",{TIME},72,1.2,36', "a quote is not closed"),
        (f'"EV"-2,{TIME},72,1.2,36', "not CSV"),
        (f"EV-2,{TIME},72,1.2,36\0", "NUL"),
        (f"EV-2,{TIME},nan,1.2,36", "soc is nan; it must be a number"),
        (f"EV-2,{TIME},Infinity,1.2,36", "soc is Infinity; it must be a number"),
        (f"EV-2,{TIME},0x10,1.2,36", "soc is 0x10; it must be a number"),
        (f"EV-2,{TIME},1_000,1.2,36", "soc is 1_000; it must be a number"),
        (f"EV-2,{TIME},[72],1.2,36", "soc is [72]; it must be a number"),
        (f"EV-2,{TIME},true,1.2,36", "soc is true; it must be a number"),
        (f"EV-2,{TIME},1e999,1.2,36", "soc is 1e999; it must be a number"),
        *(
            (f"EV-2,{TIME},{seen},1.2,36", f"soc is {seen}; it is not written as JSON writes it")
            for seen in ("+5", "+.5", ".5", "-.5", "05", "-05.5", "5.")
        ),
        (f"EV-2,{TIME},{'7' * 500}x,1.2,36", f"soc is {'7' * 40}…; it must be a number"),
        ("EV-2,1763892000,72,1.2,36", "timestamp must be an RFC 3339 time"),
        ("EV-2,23.11.2026 10:00,72,1.2,36", "timestamp must be an RFC 3339 time"),
        (f"EV-2,{TIME},72,1.2,36{' ' * MAX_LINE}", "longer than 64 KiB"),
        ("x" * (3 * BLOCK_BYTES), "longer than 64 KiB"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_costs_no_other(bad: str, said: str) -> None:
    read = Read(csv(GOOD, bad, GOOD))
    assert read.readings == {2: EV_1, 4: EV_1}
    assert said in read.details[3]


def test_bytes_that_are_no_text_cost_their_line() -> None:
    read = Read(csv(GOOD).encode() + b"EV-\xff,x,1,1,1\n" + f"{GOOD}\n".encode())
    assert read.details == {3: "the line is not UTF-8 from byte 4 on"}
    assert read.texts == {3: "EV-\\xff,x,1,1,1"}
    assert read.readings == {2: EV_1, 4: EV_1}


def test_bytes_that_are_no_text_are_seen_in_a_column_that_means_nothing_too() -> None:
    read = Read(b"note," + HEADER.encode() + b"\n\xff," + GOOD.encode() + b"\n")
    assert read.details == {2: "the line is not UTF-8 from byte 1 on"}


def test_a_quoted_field_that_runs_on_costs_its_lines_alone() -> None:
    read = Read(csv(f'EV-2,{TIME},72,1.2,"36', 'and more"', GOOD))
    assert set(read.errors) == {2, 3}
    assert read.readings == {4: EV_1}


@pytest.mark.parametrize(
    "bad",
    [
        f'"EV,2",{TIME},72,1.2',  # as many commas as the header has, but a field less
        f'"EV-2,{TIME}",72,1.2,36',
        f'"EV-2","{TIME},72",1.2,36',
        f'"EV-2""",{TIME},72,1.2,36',
    ],
)
def test_a_separator_in_quotes_separates_nothing(bad: str) -> None:
    quoted = GOOD.replace("EV-1", '"EV-1"')
    read = Read(csv(quoted, bad, quoted))
    assert read.readings[2] == read.readings[4] == EV_1
    assert set(read.errors) == {3} or read.readings[3].vehicle_id == 'EV-2"'


def test_quotes_and_separators_of_several_lines_do_not_add_up() -> None:
    rows = ['"x;1', 'y";2', '"p","q";3', '"EV-1";4', '"Z2" ;5', "EV-2;6"]
    header = "vehicleId;soc;timestamp;kwhDeliveredDc;batteryTemp"
    read = Read(csv(*(f"{row};{TIME};1;1" for row in rows), header=header))
    assert {n: (each.vehicle_id, each.soc) for n, each in read.readings.items()} == {
        5: ("EV-1", 4),
        6: ("Z2", 5),
        7: ("EV-2", 6),
    }
    assert set(read.errors) == {2, 3, 4}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("bad", [[], ["nonsense"]])
def test_spaces_around_cells_are_nothing(separator: str, quote: str, bad: list[str]) -> None:
    cells = [f" {quote}{cell}{quote}  " for cell in GOOD.split(",")]
    read = Read(csv(separator.join(cells), *bad, header=HEADER.replace(",", separator)))
    assert read.readings == {2: EV_1}
    assert set(read.errors) == {3} & {2 + len(bad)}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line", ["sep=;", "SEP=;\r", '"sep=;"'])
def test_the_line_that_tells_excel_the_separator_is_skipped(mark: str, line: str) -> None:
    content = mark + csv(GOOD, "nonsense", header=f"{line}\n{HEADER}").replace(",", ";")
    read = Read(content)
    assert read.readings == {3: EV_1}
    assert set(read.errors) == {4}
    with pytest.raises(SourceError, match=r"^line 2: the header lacks"):
        Read(content.replace("timestamp", "when"))


def test_commas_are_decimal_only_by_mistake_under_a_semicolon_too() -> None:
    read = Read(csv(GOOD, f"EV-2,{TIME},72,5,1.2,36").replace(",", ";").replace("72;5", "72,5"))
    assert read.details == {3: "soc is 72,5; use a decimal point"}
    assert read.errors[3].path == "$.soc"


def test_blank_lines_are_nothing() -> None:
    read = Read(csv("", GOOD, "  ", "\t\r", GOOD, ""))
    assert set(read.readings) == {3, 6}
    assert not read.errors


@pytest.mark.parametrize("cut", [f"EV-1,{TIME},72", "EV-1,2026-11-23T10:0", f"EV-1,{TIME},7."])
def test_a_last_line_that_is_cut_off_is_told_so(cut: str) -> None:
    read = Read(csv(GOOD) + cut)
    assert set(read.readings) == {2}
    assert read.details[3].endswith("; the file seems to be cut off here")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "no column is known by name"),
        (GOOD, "no column is known by name; the columns found are EV-1"),
        ("vehicleId,timestamp", "lacks kwhDeliveredDc or another measurement"),
        ("meterId,kwhConsumedAcTotal", "lacks timestamp"),
        ("timestamp,soc,kwhDeliveredDc,batteryTemp", "lacks vehicleId or meterId"),
        (
            "Zeitpunkt,Stand T1",
            "the columns found are Zeitpunkt, Stand T1; a vehicle lacks vehicleId, timestamp, "
            "kwhDeliveredDc, a meter lacks meterId, timestamp, kwhConsumedAc (or another "
            "measurement). Where columns have other names or units, --map FILE.toml",
        ),
        (f"{HEADER},soc", "has soc twice"),
        (f"{HEADER}\r{GOOD}\r{GOOD}", "save the file with LF or CRLF line ends"),
        (
            "vehicle_id;TIMESTAMP;Soc;kwh_delivered_dc;Battery Temp",
            "vehicle_id: did you mean vehicleId? TIMESTAMP: did you mean timestamp? "
            "Soc: did you mean soc? kwh_delivered_dc: did you mean kwhDeliveredDc? "
            "Battery Temp: did you mean batteryTemp?",
        ),
        (HEADER.replace("vehicleId", "VehicleID"), "line 1: VehicleID: did you mean vehicleId?"),
        ("vehicleId," + "x" * MAX_LINE, "longer than"),
    ],
)
def test_a_wrong_header_is_an_error_of_the_file(header: str, said: str) -> None:
    with pytest.raises(SourceError, match=r"^line 1: ") as error:
        Read(csv(GOOD, header=header))
    assert said in str(error.value)


def test_a_column_that_almost_has_a_name_is_told() -> None:
    read = Read(f"meter_id,Soc,{HEADER}\nM-1,,{GOOD}\n")
    assert read.ignored == ["meter_id (did you mean meterId?)", "Soc"]


def test_utf_16_is_told_in_the_header() -> None:
    with pytest.raises(SourceError, match="save the file as CSV in UTF-8"):
        Read(csv(GOOD).encode("utf-16"))


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        (b'{"vehicleId": "EV-2",', "malformed", "truncated"),
        (b"nonsense", "malformed", "cannot be decoded"),
        (b'\xef\xbb\xbf{"vehicleId": "EV-2"}', "malformed", "byte order mark"),
        (b'{"x": "\xff"}', "malformed", "not UTF-8 from byte 8 on"),
        (b'{"x": "\0"}', "malformed", "NUL"),
        (b'{"vehicleId": 7}', "invalid_type", "vehicleId: Expected `str`, got `int`"),
        (b'{"timestamp": "x"}', "invalid_timestamp", "RFC 3339"),
        (b"[]", "not_an_object", "a reading is an object"),
        (b'{"vehicleId": "EV-2"} {"vehicleId": "EV-3"}', "malformed", "trailing"),
        (b'{"x": ' + b"[" * 50_000, "malformed", "nested too deeply"),
        (b'{"x": "' + b"x" * BLOCK_BYTES + b'"}', "malformed", "longer than 64 KiB"),
    ],
)
def test_a_bad_line_of_ndjson_is_told_with_its_number(bad: bytes, code: str, said: str) -> None:
    good = msgspec.json.encode(EV_1)
    read = Read(b"\xef\xbb\xbf" + good + b"\n\n" + bad + b"\r\n" + good, "ndjson")
    assert read.readings == {1: EV_1, 4: EV_1}
    assert read.errors[3].code == code
    assert said in read.details[3]


GOOD_JSON = msgspec.json.encode(EV_1)


@pytest.mark.parametrize(
    "bad",
    [
        [GOOD_JSON + b"," + GOOD_JSON],
        [GOOD_JSON + GOOD_JSON],
        [b'{"vehicleId": "EV-2"', b'"soc": 1}'],
        [b'{"vehicleId": "EV-2",', b'"soc": 1}'],
        [b'{"vehicleId":', b'"EV-2"}', GOOD_JSON + b" " + GOOD_JSON],
        [b'{"vehicleId": "EV-2"', b'"soc": 1}', GOOD_JSON + b"," + GOOD_JSON],
        [b'{"x": [{}', b"{}]}"],
        [b'{"x": [{}', b"{}]}", GOOD_JSON + b"," + GOOD_JSON],
    ],
)
def test_a_line_of_ndjson_is_one_object(bad: list[bytes]) -> None:
    read = Read(b"\n".join([GOOD_JSON, *bad, GOOD_JSON]), "ndjson")
    assert read.readings == {1: EV_1, len(bad) + 2: EV_1}
    assert list(read.errors) == list(range(2, len(bad) + 2))


def test_ndjson_that_is_cut_off_is_told_so() -> None:
    read = Read(msgspec.json.encode(EV_1) + b'\n{"vehicleId": "EV-2", "soc', "ndjson")
    assert set(read.readings) == {1}
    assert read.details[2].endswith("; the file seems to be cut off here")


def parquet_file(columns: dict[str, Any], row_group: int = 1000) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, row_group_size=row_group)
    return sink.getvalue()


def vehicle_columns(times: Any, **other: Any) -> dict[str, Any]:
    count = len(times)
    return {
        "vehicleId": ["EV-1"] * count,
        "timestamp": times,
        "soc": [72] * count,
        "kwhDeliveredDc": [1.2] * count,
        "batteryTemp": [36.0] * count,
    } | other


@pytest.mark.parametrize(
    "times",
    [
        [TIME] * 2,
        pyarrow.array([TIME] * 2).dictionary_encode(),
        pyarrow.array([datetime(2026, 11, 23, 10, tzinfo=UTC)] * 2, pyarrow.timestamp("s", "UTC")),
        pyarrow.array(
            [datetime(2026, 11, 23, 10, tzinfo=UTC)] * 2, pyarrow.timestamp("ns", "Europe/Berlin")
        ),
    ],
)
def test_parquet_has_times_as_text_or_with_a_zone(times: Any) -> None:
    assert Read(parquet_file(vehicle_columns(times)), "parquet").readings == {1: EV_1, 2: EV_1}


def test_a_bad_row_of_parquet_is_told_with_its_number() -> None:
    columns = vehicle_columns([TIME, "yesterday", 'x","y', TIME], note=["", "", "", ""])
    read = Read(parquet_file(columns), "parquet")
    assert read.ignored == ["note"]
    assert read.readings == {1: EV_1, 4: EV_1}
    assert {error.code for error in read.errors.values()} == {"invalid_timestamp"}
    assert json.loads(read.texts[2])["timestamp"] == "yesterday"


NOT_TEXT = pyarrow.Array.from_buffers(
    pyarrow.string(),
    2,
    [None, pyarrow.py_buffer(b"\0\0\0\0\4\0\0\0\6\0\0\0"), pyarrow.py_buffer(b"EV-1A\xff")],
)
AT = 1_795_428_000
"""TIME, in seconds since 1970."""


@pytest.mark.parametrize(
    ("change", "wrong", "shown"),
    [
        ({"vehicleId": NOT_TEXT}, "malformed", {"vehicleId": "A\\xff"}),
        ({"vehicleId": NOT_TEXT.dictionary_encode()}, "malformed", {"vehicleId": "A\\xff"}),
        ({"timestamp": pyarrow.array([TIME, "x"])}, "invalid_timestamp", {"timestamp": "x"}),
        (
            {"timestamp": pyarrow.array([AT * 1000, 9 * 10**17], pyarrow.timestamp("ms", "UTC"))},
            "malformed",
            {"timestamp": "900000000000000000 ms since 1970"},
        ),
        (
            {"timestamp": pyarrow.array([AT * 10**6, 9 * 10**17], pyarrow.timestamp("us", "UTC"))},
            "invalid_timestamp",
            {"timestamp": "900000000000000000 us since 1970"},
        ),
    ],
)
def test_a_row_that_python_cannot_hold_costs_no_other(
    change: Any, wrong: str, shown: dict[str, str]
) -> None:
    read = Read(parquet_file(vehicle_columns([TIME, TIME]) | change), "parquet")
    assert read.readings == {1: EV_1}
    assert read.errors[2].code == wrong
    assert json.loads(read.texts[2]).items() >= shown.items()


@pytest.mark.parametrize(
    ("unit", "zone", "at", "shown"),
    [
        ("ns", "UTC", AT * 10**9 + 1, TIME),
        ("us", "Mars/Olympus", AT * 10**6, TIME),
        ("us", "UTC", 9 * 10**17, "900000000000000000 us since 1970"),
        ("ms", "UTC", None, None),
    ],
)
def test_any_row_of_parquet_can_be_shown(unit: str, zone: str, at: int | None, shown: Any) -> None:
    times = pyarrow.array([at], pyarrow.timestamp(unit, zone))
    body = parquet_file(vehicle_columns(times))
    [block] = open_source(io.BytesIO(body), "parquet", len(body)).blocks(BEGINNING)
    assert json.loads(block.text(0))["timestamp"] == shown


def test_a_column_that_is_there_twice_is_an_error_of_the_file() -> None:
    table = pyarrow.table(vehicle_columns([TIME]))
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table.append_column("soc", [[1]]), sink)
    with pytest.raises(SourceError, match="has the column soc twice"):
        Read(sink.getvalue(), "parquet")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"timestamp": [datetime(2026, 11, 23)]}, "must be a timestamp with a time zone"),
        ({"vehicleId": [7]}, "the column vehicleId is int64; it must be a string"),
        ({"soc": ["72"]}, "the column soc is string; it must be a number"),
        ({"soc": [True]}, "the column soc is bool; it must be a number"),
    ],
)
def test_a_column_of_another_type_is_an_error_of_the_file(change: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        Read(parquet_file(vehicle_columns([TIME]) | change), "parquet")


def test_what_is_no_parquet_is_told_so() -> None:
    with pytest.raises(SourceError, match="this is not a Parquet file"):
        Read(b"PAR1 or not", "parquet")
    columns = vehicle_columns([TIME])
    del columns["timestamp"]
    body = parquet_file(columns)
    with pytest.raises(SourceError, match="lacks the columns timestamp"):
        Read(body, "parquet")


def test_a_format_is_known_by_the_ending() -> None:
    assert [format_of(name) for name in ("a.CSV", "a.tsv", "a.jsonl", "a.parquet")] == [
        "csv",
        "csv",
        "ndjson",
        "parquet",
    ]


numbers = st.floats(-1e6, 1e6).map(lambda number: number + 0.0)  # no negative zero
times = st.datetimes(
    datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)
) | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=0)
)
ids = st.text(st.characters(exclude_characters="\0\n\r\ufeff", codec="utf-8"), min_size=1).filter(
    lambda id_: id_ == id_.strip(" ")
)
telemetry = st.builds(
    Telemetry,
    **{
        name: st.none() | (ids if kind == "id" else times if kind == "time" else numbers)
        for name, kind in zip(
            Telemetry.__struct_fields__,
            ["id", "id", "id", *["number"] * (len(FIELDS) - 5), "time", "time"],
            strict=True,
        )
    },
)


def spelled(item: Telemetry, separator: str, quote: bool) -> str:
    cells = []
    for name, value in zip(FIELDS, msgspec.structs.astuple(item), strict=True):
        cell = "" if value is None else value.isoformat() if name in TIMES else str(value)
        if quote or '"' in cell or separator in cell:
            cell = '"' + cell.replace('"', '""') + '"'
        cells.append(cell)
    return separator.join(cells)


@given(st.lists(telemetry, min_size=1), st.sampled_from(",;\t"), st.booleans())
def test_readings_written_as_csv_come_back(
    items: list[Telemetry], separator: str, quote: bool
) -> None:
    records = [spelled(item, separator, quote) for item in items]
    read = Read(csv(*records, header=separator.join(FIELDS)))
    blank = not quote and separator == "\t"  # a line of tabs is none
    expected = {
        number: item
        for number, item in enumerate(items, 2)
        if not (blank and not spelled(item, separator, quote).strip())
    }
    assert read.readings == expected
    assert not read.errors


@given(st.lists(telemetry, min_size=1))
def test_readings_written_as_ndjson_come_back(items: list[Telemetry]) -> None:
    read = Read(b"\n".join(map(msgspec.json.encode, items)), "ndjson")
    assert list(read.readings.values()) == items


@given(st.lists(telemetry, min_size=1), st.integers(1, 5), st.data())
def test_readings_written_as_parquet_come_back(
    items: list[Telemetry], row_group: int, data: st.DataObject
) -> None:
    columns: Sequence[Sequence[Any]] = list(zip(*map(msgspec.structs.astuple, items), strict=True))
    kinds = dict.fromkeys(FIELDS, pyarrow.float64()) | {
        "vehicleId": pyarrow.string(),
        "meterId": pyarrow.string(),
        "sessionId": pyarrow.string(),
        "intervalStart": pyarrow.timestamp("us", "UTC"),
        "timestamp": pyarrow.timestamp("us", "UTC"),
    }
    body = parquet_file(
        {
            name: pyarrow.array(column, kinds[name])
            for name, column in zip(FIELDS, columns, strict=True)
        },
        row_group,
    )
    assert list(Read(body, "parquet").readings.values()) == items
    begin = data.draw(st.integers(0, len(items)))
    rest = Read(body, "parquet", Position(begin, begin))
    assert list(rest.readings.items()) == list(enumerate(items, 1))[begin:]


garbage = st.lists(
    st.binary().map(lambda line: line.replace(b"\n", b""))
    | st.sampled_from([b'"', b"{", b"[", b'{"vehicleId":', b'",\\', b",,,,", b"\xef\xbb\xbf"])
)


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
@given(garbage, garbage, garbage, st.integers(1, 200), st.booleans())
def test_garbage_never_costs_a_good_line(
    format_: ImportFormat,
    before: list[bytes],
    between: list[bytes],
    after: list[bytes],
    block: int,
    last_end: bool,
) -> None:
    good = GOOD.encode() if format_ == "csv" else msgspec.json.encode(EV_1)
    head = [HEADER.encode()] if format_ == "csv" else []
    content = b"\n".join([*head, *before, good, *between, good, *after]) + b"\n" * last_end
    first = len(head) + len(before) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        read = Read(content, format_)
        assert read.readings[first] == EV_1
        assert read.readings[first + len(between) + 1] == EV_1
        assert read.ends[-1].offset == len(content)
        for end in read.ends[1:]:  # from wherever an import was stopped, the rest comes
            rest = Read(content, format_, end)
            for whole, part in ((read.readings, rest.readings), (read.details, rest.details)):
                assert part == {number: it for number, it in whole.items() if number > end.lines}


def test_parquet_goes_on_in_the_middle_of_a_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 3)
    times = [
        (datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=n)).isoformat() for n in range(20)
    ]
    body = parquet_file(vehicle_columns(times), row_group=7)
    whole = Read(body, "parquet")
    assert list(whole.readings) == list(range(1, 21))
    for end in whole.ends:
        rest = Read(body, "parquet", end)
        assert rest.readings == {n: r for n, r in whole.readings.items() if n > end.lines}
