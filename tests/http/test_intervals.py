"""When energy was used, where that is easily got wrong: intervals that are cut or overlap."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.clocks import midday
from tests.support.consistency import interval_differences
from tests.support.rollups import materialise

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def register(device_id: str, at: datetime, total: float, **fields: Any) -> dict[str, Any]:
    """Return a reading of a meter's register."""
    reading = meter_reading(device_id, at, **fields)
    del reading["kwhConsumedAc"]
    return reading | {"kwhConsumedAcTotal": total}


def metered(client: httpx.Client, meter: str, start: datetime, end: datetime) -> Any:
    answer = client.get(
        f"/v1/analytics/meters/{meter}", params={"from": rfc3339(start), "to": rfc3339(end)}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_much_older_reading_leaves_the_newest_interval_as_it_is(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(3)
    post(client, *(meter_reading(f"{uid}M", at + n * MINUTE / 2) for n in range(3)))
    post(client, meter_reading(f"{uid}M", at - 40 * HOUR))
    found = metered(client, f"{uid}M", at - 2 * MINUTE, at + 2 * MINUTE)
    # a minute, and two halves: the newest reaches back to the one before
    assert found["quality"]["coverage"]["ac"] == 0.5


def test_the_first_reading_of_a_register_covers_nothing_wherever_a_window_begins(
    client: httpx.Client, uid: str
) -> None:
    at = midday(3) + 8 * MINUTE
    post(client, register(f"{uid}M", at, 100), register(f"{uid}M", at + 2 * MINUTE, 101))
    found = metered(client, f"{uid}M", at - 4 * MINUTE, at + 4 * MINUTE)
    assert (found["totalEnergyConsumedAc"], found["quality"]["coverage"]["ac"]) == (1, 0.25)


def test_a_register_that_begins_again_has_no_interval_whatever_its_reading_says(
    client: httpx.Client, uid: str
) -> None:
    at, begin = midday(3), midday(3) - 10 * MINUTE
    post(client, register(f"{uid}M", begin, 100))
    post(client, register(f"{uid}M", at, 3, intervalStart=rfc3339(begin)))
    found = metered(client, f"{uid}M", begin, at)
    assert (found["totalEnergyConsumedAc"], found["quality"]["coverage"]["ac"]) == (0, 0)
    newest = client.get(f"/v1/meters/{uid}M").json()
    assert (newest["kwhConsumedAc"], newest["reset"]) == (None, True)


def test_an_interval_of_next_to_no_time_keeps_its_energy(client: httpx.Client, uid: str) -> None:
    at = midday(3)
    begin = at - timedelta(microseconds=300)
    post(client, meter_reading(f"{uid}M", at, 7, intervalStart=rfc3339(begin)))
    assert metered(client, f"{uid}M", at - HOUR, at)["totalEnergyConsumedAc"] == 7


def test_a_window_may_cut_less_than_a_millisecond_off_a_piece(
    client: httpx.Client, uid: str
) -> None:
    quarter = midday(3)
    at = quarter + 20 * MINUTE + timedelta(microseconds=600)
    begin = quarter - timedelta(microseconds=400)  # so much of it lies in the quarter hour before
    post(client, meter_reading(f"{uid}M", at, 3, intervalStart=rfc3339(begin)))
    parts = [
        metered(client, f"{uid}M", start, end)["totalEnergyConsumedAc"]
        for start, end in (
            (quarter - HOUR, quarter - timedelta(microseconds=100)),
            (quarter - timedelta(microseconds=100), quarter + HOUR),
        )
    ]
    assert sum(parts) == 3


@pytest.mark.slow
@pytest.mark.timescaledb  # where each change of a piece costs most
def test_overlapping_intervals_of_many_days_are_stored_in_time(
    client: httpx.Client, uid: str
) -> None:
    """A piece for each quarter hour: one statement for each would take longer than a commit may."""
    at = midday(3)
    for hours in (1, 2):
        start = rfc3339(at - 396 * 24 * HOUR + hours * HOUR)
        post(client, meter_reading(f"{uid}M", at + hours * HOUR, 9, intervalStart=start))
    found = metered(client, f"{uid}M", at - 24 * HOUR, at + 2 * HOUR)
    assert found["quality"]["coverage"]["ac"] == 1


def test_a_correction_covers_overlapping_time_once(client: httpx.Client, db: Db, uid: str) -> None:
    at = midday(3)
    for end, begin in ((30, 0), (40, 10)):
        start = rfc3339(at + begin * MINUTE)
        post(client, meter_reading(f"{uid}M", at + end * MINUTE, 2, intervalStart=start))
    correction = {
        "meterId": f"{uid}M",
        "timestamp": rfc3339(at + 40 * MINUTE),
        "kwhConsumedAc": 5,
        "who": "anna",
        "reason": "misread",
    }
    assert client.post("/v1/corrections", json=correction).status_code == 200
    found = metered(client, f"{uid}M", at, at + HOUR)
    assert (found["totalEnergyConsumedAc"], found["quality"]["coverage"]["ac"]) == (7, 0.6667)
    assert interval_differences(db, uid) == []


def test_another_reporting_interval_covers_overlapping_time_once(
    client: httpx.Client, db: Db, uid: str
) -> None:
    at = midday(3)
    post(client, meter_reading(f"{uid}M", at + 30 * MINUTE, 1))
    stated = rfc3339(at + 5 * MINUTE)
    post(client, meter_reading(f"{uid}M", at + 40 * MINUTE, 2, intervalStart=stated))
    for interval_s, share in ((1800, 2 / 3), (60, 35 / 60)):
        answer = client.patch(f"/v1/meters/{uid}M", json={"reportingIntervalS": interval_s})
        assert answer.status_code == 200
        found = metered(client, f"{uid}M", at, at + HOUR)
        assert found["quality"]["coverage"]["ac"] == round(share, 4)
        assert interval_differences(db, uid) == []


def test_thousands_of_readings_may_say_when_their_interval_began(
    client: httpx.Client, db: Db, uid: str
) -> None:
    begin = hours_ago(24 * 8)
    ends = [begin + n * 5 * MINUTE for n in range(1, 2001)]
    sent = [
        meter_reading(f"{uid}M", end, 0.1, intervalStart=rfc3339(end - 5 * MINUTE)) for end in ends
    ]
    assert post(client, *sent)["accepted"] == 2000
    found = metered(client, f"{uid}M", begin, ends[-1])
    assert (found["totalEnergyConsumedAc"], found["quality"]["coverage"]["ac"]) == (200, 1)
    assert interval_differences(db, uid) == []


def accounted(db: Db, hour: datetime) -> bool:
    """Account for hours, unless the service is doing so."""
    db.fetch("call account_hours(35, 100)")
    return bool(db.value("select exists (select from accounted_hours where hour = $1)", hour))


def test_the_fleet_has_its_energy_in_the_quarter_hour_and_local_day_in_which_it_was_used(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    at = midday(3) + 6 * HOUR  # 18:00: days in Kathmandu begin at 18:15
    client.patch(f"/v1/meters/{uid}M", json={"reportingIntervalS": 900, "site": f"{uid}S"})
    post(client, *(meter_reading(f"{uid}M", at + n * 15 * MINUTE, n) for n in range(1, 5)))
    window = {"from": rfc3339(at), "to": rfc3339(at + HOUR)}

    def fleet(**params: str) -> dict[str, int]:
        """Return what the fleet metered, milliwatt-hours."""
        answer = client.get("/v1/analytics/fleet/energy", params=window | params)
        assert answer.status_code == 200, answer.text
        return {
            item["from"]: round(item["energyConsumedAc"] * 1_000_000)
            for item in answer.json()["items"]
        }

    def site(**params: str) -> dict[str, int]:
        answer = client.get(f"/v1/analytics/sites/{uid}S/energy", params=window | params)
        return {
            item["from"]: round(item["energyConsumedAc"] * 1_000_000)
            for item in answer.json()["items"]
        }

    materialise(db, server)
    if server.engine == "timescaledb":
        eventually(lambda: accounted(db, at))
    for params in ({"bucket": "15min"}, {"bucket": "day", "tz": "Asia/Kathmandu"}):
        assert site(**params) == dict(
            zip(
                [rfc3339(at + n * 15 * MINUTE) for n in range(4)],
                [1_000_000, 2_000_000, 3_000_000, 4_000_000],
                strict=True,
            )
            if params["bucket"] == "15min"
            else [(rfc3339(at), 1_000_000), (rfc3339(at + 15 * MINUTE), 9_000_000)]
        )
        # whatever else there is of that time, it has all of this
        found = fleet(**params)
        assert all(found[start] >= energy for start, energy in site(**params).items())
        assert sum(found.values()) == fleet()[rfc3339(at)]


def test_a_session_has_the_whole_step_of_a_register(client: httpx.Client, uid: str) -> None:
    at = midday(3)
    readings = []
    for hours, total in ((0, 310), (3, 343)):
        reading = vehicle_reading(f"{uid}EV", at + hours * HOUR)
        del reading["kwhDeliveredDc"]
        readings.append(reading | {"kwhDeliveredDcTotal": total})
    post(client, *readings)
    for start, end in ((at - HOUR, at + HOUR), (at - HOUR, at + 5 * HOUR)):
        found = client.get(
            f"/v1/vehicles/{uid}EV/sessions", params={"from": rfc3339(start), "to": rfc3339(end)}
        ).json()["items"]
        assert [
            (item["from"], item["to"], item["energyDeliveredDc"], item["meanPower"])
            for item in found
        ] == [(rfc3339(at), rfc3339(at + 3 * HOUR), 33, 11)]
