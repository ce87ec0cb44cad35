"""Accounting rules at their boundaries, in the functions of the database."""

import pytest

from tests.conftest import Db

KWH = 1_000_000


@pytest.mark.parametrize(
    ("meter_s", "least_s", "most_s", "expected"),
    [
        (3600, 3600, 3600, True),
        (3240, 3600, 3600, True),
        (3239, 3600, 3600, False),
        (3600, 3240, 3600, True),
        (3600, 3239, 3600, False),
        (3600, 3600, 4000, True),
        (3600, 3600, 4001, False),
        (4000, 3600, 3700, True),
        (4001, 3600, 3700, False),
        (60, 60, 60, True),
        (0, 60, 60, False),
        (60, 0, 60, False),
        (0, 0, 0, False),
        (None, 60, 60, False),
        (60, None, None, False),
    ],
)
def test_both_sides_can_be_compared_when_the_shortest_has_nine_tenths_of_the_longest(
    db: Db, meter_s: int | None, least_s: int | None, most_s: int | None, expected: bool
) -> None:
    assert db.value("select comparable($1, $2, $3, 0.9)", meter_s, least_s, most_s) is expected


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("rise", "span_ms", "expected"),
    [
        # 1,000 kWh at once, and 10 MW all the while
        (1000 * KWH, 0, False),
        (1000 * KWH + 1, 0, True),
        (11_000 * KWH, HOUR_MS, False),
        (11_000 * KWH + 1, HOUR_MS, True),
        (10**15, HOUR_MS, True),
        (10**15, 400 * 24 * HOUR_MS, True),
    ],
)
def test_a_rise_above_the_limit_is_a_jump(db: Db, rise: int, span_ms: int, expected: bool) -> None:
    assert db.value("select is_jump($1, $2)", rise, span_ms) is expected


@pytest.mark.parametrize(
    ("before", "now", "rollover", "energy"),
    [
        (7 * KWH, 5 * KWH, None, None),
        # a range of 1000 kWh: less than a tenth of it may have been counted over the turn
        (990 * KWH, 1 * KWH, 1000 * KWH, 11 * KWH),
        (900 * KWH + 1, 0, 1000 * KWH, 100 * KWH - 1),
        (900 * KWH, 0, 1000 * KWH, None),
        (1000 * KWH, 0, 1000 * KWH, 0),
        # beyond where it is said to turn over: it is another register
        (1200 * KWH, 1 * KWH, 1000 * KWH, None),
    ],
)
def test_a_fall_from_near_the_top_to_near_zero_is_a_rollover(
    db: Db, before: int, now: int, rollover: int | None, energy: int | None
) -> None:
    assert db.value("select rolled_over($1, $2, $3)", before, now, rollover) == energy


@pytest.mark.parametrize(
    ("energy", "seconds", "watts", "expected"),
    [
        (1_000_000 * KWH, 3_600_000, 1_000_000, True),
        (16_500_000, 3600, 16_500, True),
        (16_500_001, 3600, 16_500, False),
        (0, 0, 16_500, True),
        (-5, 0, 16_500, True),
        (10**15, 1, 150_000_000, False),
    ],
)
def test_the_most_that_can_be_metered_in_an_interval(
    db: Db, energy: int, seconds: int, watts: int, expected: bool
) -> None:
    found = db.value(
        "select can_meter($1, now(), now() + $2 * interval '1 second', $3)", energy, seconds, watts
    )
    assert found is expected


@pytest.mark.parametrize(
    ("ac", "dcs"),
    [
        (10 * KWH, [6 * KWH, 3 * KWH]),
        (1, [1, 1, 1]),
        (100, [0, 7, 0, 3]),
        (10**15, [10**15, 1, 10**15]),
        (0, [5]),
        (7, []),
        (7, [0, 0]),
    ],
)
def test_shares_add_up_to_the_meter(db: Db, ac: int, dcs: list[int]) -> None:
    shares = [
        db.value("select apportion($1, $2, $3, $4)", ac, sum(dcs[:n]), dc, sum(dcs))
        for n, dc in enumerate(dcs)
    ]
    assert sum(shares) == (ac if sum(dcs) else 0)
    assert all(
        abs(share - ac * dc / (sum(dcs) or 1)) <= 1 for share, dc in zip(shares, dcs, strict=True)
    )
