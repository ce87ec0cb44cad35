"""Buckets: quarter hours and hours of UTC, local days of 23, 24, 24.5 and 25 hours."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.energy.buckets import Bucket, bounds

HOUR = timedelta(hours=1)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def day(start: datetime, zone: str) -> list[timedelta]:
    """How long the days after `start` are, for three of them."""
    edges = bounds(start, start + 72 * HOUR, "day", ZoneInfo(zone))[1:-1]
    return [after - before for before, after in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("start", "zone", "hours"),
    [
        (datetime(2026, 3, 28, 22, tzinfo=UTC), "Europe/Berlin", 23),
        (datetime(2026, 10, 24, 21, tzinfo=UTC), "Europe/Berlin", 25),
        (datetime(2026, 10, 3, 12, tzinfo=UTC), "Australia/Lord_Howe", 23.5),
        (datetime(2026, 4, 4, 12, tzinfo=UTC), "Australia/Lord_Howe", 24.5),
        (datetime(2026, 2, 1, tzinfo=UTC), "Asia/Kolkata", 24),
        (datetime(2026, 2, 1, tzinfo=UTC), "UTC", 24),
    ],
)
def test_a_local_day_is_as_long_as_it_is(start: datetime, zone: str, hours: float) -> None:
    assert day(start, zone)[0] == timedelta(hours=hours)


def test_a_day_begins_when_its_date_does_where_daylight_saving_skips_midnight() -> None:
    # in Beirut the clock went from 23:59 on the 25th to 01:00 on the 26th of March 2022
    edges = bounds(
        datetime(2022, 3, 26, tzinfo=UTC),
        datetime(2022, 3, 28, tzinfo=UTC),
        "day",
        ZoneInfo("Asia/Beirut"),
    )
    assert edges[1:-1] == [
        datetime(2022, 3, 26, 22, tzinfo=UTC),
        datetime(2022, 3, 27, 21, tzinfo=UTC),
    ]


def test_a_date_that_a_zone_left_out_has_no_bucket() -> None:
    # Samoa went from the 29th to the 31st of December 2011
    edges = bounds(
        datetime(2011, 12, 29, 12, tzinfo=UTC),
        datetime(2012, 1, 1, 12, tzinfo=UTC),
        "day",
        ZoneInfo("Pacific/Apia"),
    )
    assert len(edges[1:-1]) == 3
    assert edges == sorted(set(edges))


@given(
    TIMES,
    st.timedeltas(timedelta(microseconds=1), timedelta(days=40)),
    st.sampled_from(sorted(available_timezones())),
)
def test_days_cover_the_window_and_each_has_one_date(
    start: datetime, length: timedelta, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    edges = bounds(start, start + length, "day", zone)
    assert (edges[0], edges[-1]) == (start, start + length)
    assert edges == sorted(set(edges))
    microsecond = timedelta(microseconds=1)
    dates = [
        (at.astimezone(zone).date(), (until - microsecond).astimezone(zone).date())
        for at, until in itertools.pairwise(edges)
    ]
    assert all(first == last for first, last in dates)
    assert len({first for first, _ in dates}) == len(dates)


@pytest.mark.parametrize(("bucket", "length"), [("15min", HOUR / 4), ("hour", HOUR)])
@given(start=TIMES, window=st.timedeltas(timedelta(microseconds=1), timedelta(days=4)))
def test_hours_and_quarter_hours_are_those_of_utc(
    bucket: Bucket, length: timedelta, start: datetime, window: timedelta
) -> None:
    edges = bounds(start, start + window, bucket, ZoneInfo("UTC"))
    assert (edges[0], edges[-1]) == (start, start + window)
    midnight = datetime(2020, 1, 1, tzinfo=UTC)
    assert all((edge - midnight) % length == timedelta() for edge in edges[1:-1])
    assert all(length >= b - a > timedelta() for a, b in itertools.pairwise(edges))
    assert len(edges) == len(set(edges))
