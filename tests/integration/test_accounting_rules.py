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


@pytest.mark.parametrize(
    ("before", "now", "rollover", "energy", "reset"),
    [
        (None, 5 * KWH, None, 0, False),
        (5 * KWH, 5 * KWH, None, 0, False),
        (5 * KWH, 7 * KWH, None, 2 * KWH, False),
        (7 * KWH, 5 * KWH, None, 0, True),
        (0, 10**15, None, 10**15, False),
        # a range of 1000 kWh: a tenth of it may have been counted over the turn
        (990 * KWH, 1 * KWH, 1000 * KWH, 11 * KWH, False),
        (900 * KWH, 0, 1000 * KWH, 100 * KWH, False),
        (900 * KWH - 1, 0, 1000 * KWH, 0, True),
        (1000 * KWH, 0, 1000 * KWH, 0, False),
        # beyond where it is said to turn over: it is another register
        (1200 * KWH, 1 * KWH, 1000 * KWH, 0, True),
        (1200 * KWH, 1300 * KWH, 1000 * KWH, 100 * KWH, False),
    ],
)
def test_the_energy_of_a_register(
    db: Db, before: int | None, now: int, rollover: int | None, energy: int, reset: bool
) -> None:
    rows = db.fetch("select * from register_energy($1, $2, $3)", before, now, rollover)
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
