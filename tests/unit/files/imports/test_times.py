"""Times are read however they are written."""

from datetime import UTC, date, datetime

import pytest

from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.files.imports.mapping.times import parser, time_reader
from fleetmeter.readings.validate import Invalid

AT = datetime(2026, 2, 9, 10, 5, tzinfo=UTC)
WALL = AT.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("format_", "text", "time"),
    [
        ("iso", "2026-02-09T10:05:00Z", AT),
        ("iso", "2026-02-09T11:05:00.000+0100", AT),
        ("iso", "2026-02-09 10:05", WALL),
        ("iso", "2026-02-09", WALL.replace(hour=0, minute=0)),
        ("iso", "2026-02-08 24:00", WALL.replace(hour=0, minute=0)),
        ("epoch", "1770631500", AT),
        ("epoch", "1770631500.25", AT.replace(microsecond=250_000)),
        ("epoch", 1770631500, AT),
        ("epoch", 1770631500.0, AT),
        ("epoch_ms", "1770631500000", AT),
        ("epoch_us", "1770631500000000", AT),
        ("day-first", "9.2.2026 10:05", WALL),
        ("day-first", "09/02/2026 10:05:00", WALL),
        ("day-first", "09-02-26, 10:05", WALL),
        ("day-first", "08.02.2026 24:00", WALL.replace(hour=0, minute=0)),
        ("month-first", "2/9/2026 10:05:00 AM", WALL),
        ("month-first", "02/09/2026 12:05 am", WALL.replace(hour=0)),
        ("month-first", "02/09/2026 12:05 PM", WALL.replace(hour=12)),
        ("rfc2822", "Mon, 09 Feb 2026 10:05:00 GMT", AT),
        ("excel", "46062.4201388889", WALL),
        ("%Y%m%d%H%M", "202602091005", WALL),
        ("%d %b %Y %H:%M %z", "09 Feb 2026 11:05 +0100", AT),
        ("iso", WALL, WALL),
        ("iso", date(2026, 2, 9), WALL.replace(hour=0, minute=0)),
    ],
)
def test_a_time_is_read(format_: str, text: object, time: datetime) -> None:
    found = time_reader([format_])(text, "when")
    assert found == time
    assert found is not None
    assert (found.tzinfo is None) == (time.tzinfo is None)


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("epoch", "1770631500000"),
        ("epoch_ms", "1770631500"),
        ("epoch", "2026-02-09"),
        ("epoch", "nan"),
        ("day-first", "13.13.2026 10:00"),
        ("month-first", "31/12/2026 10:00"),
        ("day-first", "31.02.2026"),
        ("iso", "09.02.2026 10:05"),
        ("iso", "2026-02-09 25:00"),
        ("iso", "2026-02-09 24:30"),
        ("rfc2822", "Mon"),
        ("excel", "5"),
        ("iso", "x" * 5000),
    ],
)
def test_what_is_no_time_of_a_format_is_told_with_what_helps(format_: str, text: str) -> None:
    with pytest.raises(Invalid, match=r"time = \{ format") as told:
        time_reader([format_])(text, "when")
    assert told.value.code == "invalid_timestamp"
    assert len(told.value.detail) < 250


def test_the_first_format_that_fits_is_taken() -> None:
    read = time_reader(["epoch", "epoch_ms", "iso", "day-first"])
    for text in ("1770631500", "1770631500000", "2026-02-09T10:05:00Z"):
        assert read(text, "") == AT
    assert read("09/02/2026 10:05:00", "") == WALL


def test_an_empty_cell_is_no_time() -> None:
    assert time_reader(["iso"])(" ", "") is None
    assert time_reader(["iso"])(None, "") is None


@pytest.mark.parametrize("format_", ["isoo", "%Q", "dd.mm.yyyy", "%d.%d"])
def test_an_unknown_format_is_told(format_: str) -> None:
    with pytest.raises(MappingError, match="time format"):
        parser(format_)
