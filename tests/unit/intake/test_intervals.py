"""Energy that is spread over quarter hours: pieces that lie in one each and add up."""

from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.intake.intervals import MAX_SPAN_MS, QUARTER_US, is_spread, pieces
from fleetmeter.intake.rows import NULL

MS_US = 1000
DAY_MS = 86_400_000


class Interval(NamedTuple):
    """A reading of a device; times are microseconds, and it is stamped at the end."""

    ends: int
    span_ms: int
    energy_mwh: int

    @property
    def starts(self) -> int:
        return self.ends - self.span_ms * MS_US

    @property
    def crosses(self) -> bool:
        """Return whether it crosses into the quarter hour where it ends; (11:00, 11:15] is one."""
        return self.starts // QUARTER_US < (self.ends - 1) // QUARTER_US


NOW_US = 27 * 365 * DAY_MS * MS_US
times = st.integers(0, NOW_US) | st.integers(0, NOW_US // QUARTER_US).flatmap(
    lambda quarter: st.integers(-1500, 1500).map(lambda off: quarter * QUARTER_US + off)
)
spans = (
    st.sampled_from([1, 1000, 60_000, 900_000, 1_800_000, 3_600_000, DAY_MS, MAX_SPAN_MS - 1])
    | st.integers(1, 3_600_000)
    | st.integers(1, MAX_SPAN_MS - 1)
)
energies = st.integers(0, 10**9) | st.integers(0, 10**15) | st.just(0)
intervals = st.builds(Interval, times, spans, energies)


def columns(rows: list[Interval]) -> Any:
    return tuple(
        np.array(column, np.int64)
        for column in (
            range(1, len(rows) + 1),
            [NULL if number % 2 else number for number in range(len(rows))],
            [row.ends for row in rows],
            [row.energy_mwh for row in rows],
            [row.span_ms for row in rows],
        )
    )


@given(st.lists(intervals, min_size=1, max_size=5))
def test_an_interval_is_spread_that_begins_before_the_quarter_hour_in_which_it_ends(
    rows: list[Interval],
) -> None:
    _, _, ends, _, span_ms = columns(rows)
    assert is_spread(ends, span_ms).tolist() == [row.crosses for row in rows]
    assert not is_spread(ends, np.full_like(span_ms, NULL)).any(), "there is no interval"


def test_an_interval_that_ends_with_a_quarter_hour_lies_in_it() -> None:
    quarter = 1_000 * QUARTER_US
    inside = Interval(quarter, 900_000, 1)
    rows = [inside, inside._replace(span_ms=900_001), inside._replace(ends=quarter + 1)]
    _, _, ends, _, span_ms = columns(rows)
    assert is_spread(ends, span_ms).tolist() == [False, True, True]


@given(st.lists(intervals, min_size=1, max_size=5))
def test_pieces_lie_in_one_quarter_hour_each_and_are_together_the_interval(
    rows: list[Interval],
) -> None:
    found = pieces(*columns(rows))
    assert set(found["device"].tolist()) == set(range(1, len(rows) + 1))
    for number, row in enumerate(rows, 1):
        chosen = found["device"] == number
        values = zip(*(column[chosen].tolist() for column in found.values()), strict=True)
        mine = [dict(zip(found, piece, strict=True)) for piece in values]
        assert {(each["ends"], each["meter"]) for each in mine} == {
            (row.ends, NULL if number % 2 == 0 else number - 1)
        }
        quarters = [each["bucket"] - 1 for each in mine]
        until = [min(quarter + QUARTER_US, row.ends) for quarter in quarters]
        assert all(quarter % QUARTER_US == 0 for quarter in quarters)
        assert [each["starts"] for each in mine] == [row.starts, *until[:-1]]
        assert until[-1] == row.ends
        assert all(
            quarter <= each["starts"] < end
            for quarter, each, end in zip(quarters, mine, until, strict=True)
        )
        assert sum(each["energy_mwh"] for each in mine) == row.energy_mwh
        assert sum(each["covered_ms"] for each in mine) == row.span_ms
        for each, end in zip(mine, until, strict=True):
            # even to the milliwatt-hour; lengths are whole milliseconds
            assert abs(each["covered_ms"] - Fraction(end - each["starts"], MS_US)) < 1
            share = Fraction(row.energy_mwh * each["covered_ms"], row.span_ms)
            assert abs(each["energy_mwh"] - share) < 1
            assert each["energy_mwh"] >= 0


@given(intervals)
def test_what_has_been_used_by_the_end_of_a_quarter_hour_is_rounded_down(row: Interval) -> None:
    found = pieces(*columns([row]))
    used = np.cumsum(found["energy_mwh"]).tolist()
    after = np.cumsum(found["covered_ms"]).tolist()
    assert used == [row.energy_mwh * ms // row.span_ms for ms in after]
    assert all(a <= b for a, b in pairwise(used))
