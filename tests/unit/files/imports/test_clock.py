"""Wall times of a file become instants, whatever its clock did."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.files.imports.mapping.clock import Clock, Length
from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.readings.validate import Invalid

BERLIN = "Europe/Berlin"
SUMMER_ENDS = datetime(2026, 10, 25, 1, tzinfo=UTC)
SUMMER_BEGINS = datetime(2026, 3, 29, 1, tzinfo=UTC)


def wall(time: datetime, zone: str) -> datetime:
    """What a clock in a zone shows."""
    return time.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@settings(deadline=None)  # a busy machine is no fault
@given(
    zone=st.sampled_from(
        [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]
    ),
    step_min=st.sampled_from([5, 10, 15, 30, 60]),
    begin_h=st.integers(-24 * 370, 0),
    rows=st.integers(1, 3),
    newest_first=st.booleans(),
)
def test_a_sequence_of_wall_times_is_understood_through_every_change_of_clocks(
    zone: str, step_min: int, begin_h: int, rows: int, newest_first: bool
) -> None:
    """Days around both changes of a year; of each time there may be several rows."""
    begin = SUMMER_ENDS + timedelta(days=3, hours=begin_h)
    begin -= timedelta(minutes=begin.astimezone(ZoneInfo(zone)).minute % step_min)
    if wall(begin, zone) != wall(begin.astimezone(UTC), zone):  # pragma: no cover
        return
    first = begin.astimezone(ZoneInfo(zone))
    ambiguous = first.replace(fold=0).utcoffset() != first.replace(fold=1).utcoffset()
    times = [begin + timedelta(minutes=step_min * n) for n in range(400)]
    if newest_first:
        times.reverse()
        last = times[0].astimezone(ZoneInfo(zone))
        ambiguous = last.replace(fold=0).utcoffset() != last.replace(fold=1).utcoffset()
    if ambiguous:  # a file that begins in a doubled hour does not say in which one
        return
    clock = Clock(zone, newest_first=newest_first)
    found = [clock.instant(wall(time, zone)) for time in times for _ in range(rows)]
    assert found == [time for time in times for _ in range(rows)]


def test_hourly_times_that_come_twice_are_summers_and_then_winters() -> None:
    clock = Clock(BERLIN)
    hours = [datetime(2026, 10, 25, hour) for hour in (1, 2, 2, 3)]
    assert [clock.instant(each).hour for each in hours] == [23, 0, 1, 2]


def test_devices_of_one_file_have_sequences_of_their_own() -> None:
    clock = Clock(BERLIN)
    half_past = datetime(2026, 10, 25, 2, 30)
    found = [clock.instant(half_past, device) for device in ("A", "B", "A", "B")]
    assert [each.hour for each in found] == [0, 0, 1, 1]


@pytest.mark.parametrize("minute", [1, 30, 59])
def test_a_time_that_never_was_is_refused_with_what_helps(minute: int) -> None:
    never = datetime(2026, 3, 29, 2, minute)
    with pytest.raises(Invalid, match="does not exist in Europe/Berlin") as told:
        Clock(BERLIN).instant(never)
    assert '"+01:00"' in told.value.detail
    assert Clock("+01:00").instant(never) == datetime(2026, 3, 29, 1, minute, tzinfo=UTC)


def test_the_moment_of_the_change_may_be_written_by_either_clock() -> None:
    for hour in (2, 3):
        at = datetime(2026, 3, 29, hour)
        assert Clock(BERLIN).instant(at) == SUMMER_BEGINS


def test_a_time_with_an_offset_needs_no_zone_and_one_without_does() -> None:
    assert Clock(None).instant(datetime.fromisoformat("2026-05-01T12:00+05:30")).hour == 6
    with pytest.raises(Invalid, match="--zone Europe/Berlin"):
        Clock(None).instant(datetime(2026, 5, 1, 12))


@pytest.mark.parametrize("name", ["Europe/Berlim", "MEZ?", "../etc/passwd", "+25:00", ""])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(MappingError, match="is unknown"):
        Clock(name)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_is_one_of_the_calendar(day: str, hours: int) -> None:
    clock = Clock(BERLIN)
    begin = clock.instant(datetime.fromisoformat(day))
    end = clock.later(begin, Length("day"))
    assert end - begin == timedelta(hours=hours)
    assert clock.later(end, Length("day"), -1) == begin


def test_a_month_ends_where_the_next_begins() -> None:
    clock = Clock(BERLIN)
    begin = clock.instant(datetime(2026, 2, 1))
    assert clock.later(begin, Length("month")) == datetime(2026, 2, 28, 23, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "quarter", "-1h", "0 min", "1 fortnight"])
def test_a_length_that_is_none_is_told(text: str) -> None:
    with pytest.raises(MappingError, match="15min"):
        Length(text)
