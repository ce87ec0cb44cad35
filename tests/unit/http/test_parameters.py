"""Windows of time, cursors and pages."""

from datetime import UTC, datetime, timedelta

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from fleetmeter.http.shared.parameters import after_id, from_time, page, parse_time, window

NOW = datetime(2026, 2, 9, 10, 17, tzinfo=UTC)


def test_the_default_window_is_the_last_24_hours() -> None:
    span = window(None, None, NOW)
    assert (span.start, span.end) == (NOW - timedelta(hours=24), NOW)


def test_from_defaults_to_24_hours_before_to() -> None:
    assert window(None, "2026-02-01T00:00:00Z").start == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_plus_that_was_not_percent_encoded_is_understood() -> None:
    assert parse_time("from", "2026-02-09T12:00:00 02:00") == datetime(2026, 2, 9, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("from_", "to"),
    [
        ("2026-02-09T10:00:00Z", "2026-02-09T10:00:00Z"),
        ("2026-02-09T10:00:00Z", "2026-02-09T09:00:00Z"),
        ("2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-02-09", None),
        ("2026-02-09T10:00:00", None),
        ("1770631200", None),
        ("now", None),
        (None, "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+23:59", "0001-01-02T00:00:00Z"),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_a_window_that_cannot_be_is_refused(from_: str | None, to: str | None) -> None:
    with pytest.raises(ProblemDetailsException) as caught:
        window(from_, to, NOW)
    assert caught.value.status_code == 400


def test_a_page_has_a_cursor_only_when_there_is_more() -> None:
    assert page(["a", "b"], 2, key=str).next_cursor is None
    first = page(["a", "b", "c"], 2, key=str)
    assert first.items == ["a", "b"]
    assert after_id(first.next_cursor) == "b"


def test_a_cursor_of_time_never_leaves_the_window() -> None:
    later = page([NOW, NOW], 1, key=lambda time: time).next_cursor
    assert from_time(later, NOW - timedelta(hours=1)) == NOW
    assert from_time(later, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)
    assert from_time(None, NOW) == NOW


@pytest.mark.parametrize("cursor", ["x", "é", "bm90IGpzb24", "IlxuIg", "MQ", "ImEgIg", "////"])
def test_a_cursor_that_we_never_gave_is_refused(cursor: str) -> None:
    for read in (after_id, lambda text: from_time(text, NOW)):
        with pytest.raises(ProblemDetailsException) as caught:
            read(cursor)
        assert caught.value.status_code == 400
