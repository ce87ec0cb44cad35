"""The falls of registers that the rule register_unstable gets."""

from datetime import datetime, timedelta

import httpx
import pytest

from tests.conftest import Db, post
from tests.support.clocks import midday
from tests.support.registers import register, state_exchange, vehicle_register

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def falls(db: Db, device_id: str, start: datetime) -> tuple[int, int, int]:
    """Return the dips, flutters and resets of one device in an hour.

    The same by its name and in the whole fleet, and with other hours around it.
    """
    window = start, start + HOUR
    by_name = db.fetch(
        "select * from register_falls($1, $2, $3, $4)", *([device_id], [device_id], *window)
    )
    for around in (0 * HOUR, 3 * HOUR):
        of_all = db.fetch(
            "select * from register_falls(null, null, $1, $2)",
            *(window[0] - around, window[1] + around),
        )
        assert by_name == [r for r in of_all if (r["device_id"], r["hour"]) == (device_id, start)]
    return tuple(by_name[0])[3:] if by_name else (0, 0, 0)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        # what the register shows from minute to minute, beside 5,000 kWh and a rise of 0.1
        ({10: 0, 30: 0}, (2, 0, 0)),
        ({10: 0, 11: 0, 12: 0, 13: 2500}, (1, 0, 0)),
        ({20: 5000.9, 40: 5002.5}, (0, 1, 0)),  # by 1 kWh, and by 1.4 kWh
        (dict.fromkeys((10, 11, 12, 30, 40, 41), 4900), (0, 3, 0)),
        ({n: 4999.2 + n / 10 for n in range(5, 55, 2)}, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({n: n / 10 for n in range(30, 61)}, (0, 0, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["meter", "vehicle"])
def test_falls_are_counted_by_kind(
    client: httpx.Client,
    db: Db,
    uid: str,
    kind: str,
    shown: dict[int, float],
    expected: tuple[int, int, int],
) -> None:
    start = midday(2)
    of = register if kind == "meter" else vehicle_register
    id_ = f"{uid}D"
    totals = {n: shown.get(n, round(5000 + n / 10, 1)) for n in range(61)}
    post(client, *(of(id_, start + n * MINUTE, total) for n, total in totals.items()))
    assert falls(db, id_, start) == expected
    assert falls(db, id_, start - HOUR) == falls(db, id_, start + HOUR) == (0, 0, 0)


def test_neither_an_exchange_that_was_stated_nor_a_rollover_is_a_fall(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = midday(2)
    post(
        client,
        *(
            register(f"{uid}M", start + n * 10 * MINUTE, total)
            for n, total in enumerate([812.4, 812.6, 3.5, 3.9])
        ),
    )
    assert falls(db, f"{uid}M", start) == (0, 0, 1)
    assert state_exchange(client, f"{uid}M", start + 15 * MINUTE).status_code == 200
    assert falls(db, f"{uid}M", start) == (0, 0, 0)
    client.patch(f"/v1/meters/{uid}N", json={"registerRolloverKwh": 99999.9}).raise_for_status()
    for n, total in enumerate([99999.4, 0.3]):
        post(client, register(f"{uid}N", start + n * 10 * MINUTE, total))
    assert falls(db, f"{uid}N", start) == (0, 0, 0)


def test_a_run_of_readings_far_below_is_one_fall_across_hours(
    client: httpx.Client, db: Db, uid: str
) -> None:
    """Some totals sink while the car is parked."""
    start = midday(2)
    totals = [900, *(898 - n / 100 for n in range(40)), 901]
    post(client, *(register(f"{uid}M", start + n * 5 * MINUTE, t) for n, t in enumerate(totals)))
    assert [falls(db, f"{uid}M", start + n * HOUR) for n in range(4)] == [
        *((0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0))
    ]
