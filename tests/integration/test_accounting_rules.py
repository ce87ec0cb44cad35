"""The rules at their boundaries, as the database has them."""

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
    ("before", "now", "rollover", "span_ms", "energy", "reset"),
    [
        (None, 5 * KWH, None, None, 0, False),
        (5 * KWH, 5 * KWH, None, 60_000, 0, False),
        (5 * KWH, 7 * KWH, None, 60_000, 2 * KWH, False),
        (7 * KWH, 5 * KWH, None, 60_000, 0, True),
        # 1,000 kWh at once, and 10 MW all the while
        (0, 1000 * KWH, None, 0, 1000 * KWH, False),
        (0, 1000 * KWH + 1, None, 0, 0, True),
        (0, 11_000 * KWH, None, HOUR_MS, 11_000 * KWH, False),
        (0, 11_000 * KWH + 1, None, HOUR_MS, 0, True),
        (1 * KWH, 10**15, None, HOUR_MS, 0, True),
        # a range of 1000 kWh: less than a tenth of it may have been counted over the turn
        (990 * KWH, 1 * KWH, 1000 * KWH, 60_000, 11 * KWH, False),
        (900 * KWH + 1, 0, 1000 * KWH, 60_000, 100 * KWH - 1, False),
        (900 * KWH, 0, 1000 * KWH, 60_000, 0, True),
        (1000 * KWH, 0, 1000 * KWH, 60_000, 0, False),
        # beyond where it is said to turn over: it is another register
        (1200 * KWH, 1 * KWH, 1000 * KWH, 60_000, 0, True),
        (1200 * KWH, 1300 * KWH, 1000 * KWH, 60_000, 100 * KWH, False),
    ],
)
def test_the_energy_of_a_register(
    db: Db,
    before: int | None,
    now: int,
    rollover: int | None,
    span_ms: int | None,
    energy: int,
    reset: bool,
) -> None:
    rows = db.fetch("select * from register_energy($1, $2, $3, $4)", before, now, rollover, span_ms)
    assert tuple(rows[0]) == (energy, reset)


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
