"""Load profiles: what meters took by bucket, and the highest quarter hour."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.conftest import Db, Server, meter_reading, post, rfc3339, settled
from tests.support.rollups import between_policies, materialise

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
PATH = "/v1/analytics/load"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 30 * HOUR


def load(client: httpx.Client, start: datetime, end: datetime, **params: str) -> dict[str, Any]:
    """Ask for a load profile."""
    answer = client.get(PATH, params={"from": rfc3339(start), "to": rfc3339(end)} | params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def metered(
    client: httpx.Client, meter_id: str, start: datetime, kwhs: list[float], **settings: str
) -> None:
    """Send the energy of one quarter hour after the other."""
    settings_of = {"reportingIntervalS": 900} | settings
    client.patch(f"/v1/meters/{meter_id}", json=settings_of).raise_for_status()
    post(
        client,
        *(meter_reading(meter_id, start + n * QUARTER, kwh) for n, kwh in enumerate(kwhs, 1)),
    )


def test_a_profile_is_exact_rolled_up_or_not_and_with_late_readings(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    site = f"{uid}depot"
    energies = {"A": [0.0, 2.5, 10.25, 1.0] * 6, "B": [1.0, 1.5, 3.75] * 8}
    for name, kwhs in energies.items():
        metered(client, f"{uid}{name}", START, kwhs, site=site)
    start, end = START + timedelta(minutes=5), START + timedelta(hours=6, minutes=20)

    def same() -> list[dict[str, Any]]:
        profile = load(client, start, end, site=site)
        balance = client.get(
            f"/v1/analytics/sites/{site}/energy",
            params={
                "from": rfc3339(start),
                "to": rfc3339(end),
                "bucket": "15min",
                "limit": "1000",
            },
        ).json()["items"]
        names = ("from", "to", "energyConsumedAc")
        buckets: list[dict[str, Any]] = profile["buckets"]
        assert [tuple(each[name] for name in names) for each in buckets] == [
            tuple(each[name] for name in names) for each in balance
        ]
        for bucket in ("hour", "day"):
            energy = load(client, start, end, site=site, bucket=bucket)
            assert energy["energyConsumedAc"] == profile["energyConsumedAc"]
            assert energy["peak"] == profile["peak"]
        return buckets

    fresh = same()
    assert len(fresh) == 24
    assert fresh[2] == {
        "from": rfc3339(START + 2 * QUARTER),
        "to": rfc3339(START + 3 * QUARTER),
        "energyConsumedAc": 14.0,
        "meanPowerKw": 56.0,
        "peakPowerKw": 56.0,
        "coverage": 1.0,
    }
    # two thirds of the first quarter hour, which is not a whole one
    assert (fresh[0]["energyConsumedAc"], fresh[0]["peakPowerKw"]) == (round(2 / 3, 6), None)

    materialise(db, server)
    between_policies(db.run, "call add_up_meters(10000)")
    assert same() == fresh

    late = START + 4 * HOUR + timedelta(minutes=50)
    post(client, meter_reading(f"{uid}A", late, 7, intervalStart=rfc3339(late - HOUR)))
    settled(db)
    changed = same()
    assert changed != fresh
    assert sum(each["energyConsumedAc"] for each in changed) == pytest.approx(
        sum(each["energyConsumedAc"] for each in fresh) + 7
    )
    between_policies(db.run, "call add_up_meters(10000)")
    assert same() == changed


@pytest.mark.postgresql
def test_a_late_reading_counts_before_its_hour_is_added_up_again(
    client: httpx.Client, db: Db, uid: str
) -> None:
    meter = f"{uid}M"
    metered(client, meter, START, [1.0] * 8)
    between_policies(db.run, "call add_up_meters(10000)")
    assert db.value("select count(*) from metered_hours where hour >= $1", START) >= 2
    post(client, meter_reading(meter, START + 3 * QUARTER - timedelta(minutes=1), 5))
    assert load(client, START, START + 2 * HOUR, meterId=meter)["energyConsumedAc"] == 13


@pytest.mark.either
def test_a_site_s_load_is_that_of_its_grid_meter_if_it_has_one(
    client: httpx.Client, uid: str
) -> None:
    site, end = f"{uid}depot", START + HOUR
    metered(client, f"{uid}C1", START, [1, 2, 3, 4], site=site)
    metered(client, f"{uid}C2", START, [1, 1, 1, 1], site=site, role="charger")
    assert load(client, START, end, site=site)["measured"] == "chargers"
    metered(client, f"{uid}G", START, [9, 30, 12, 30], site=site, role="site")
    for role in ("solar", "storage", "other"):
        metered(client, f"{uid}{role}", START, [50, 50, 50, 50], site=site, role=role)
    found = load(client, START, end, site=site)
    del found["buckets"]
    assert found == {
        "from": rfc3339(START),
        "to": rfc3339(end),
        "measured": "grid",
        "meters": 1,
        "energyConsumedAc": 81.0,
        "coverage": 1.0,
        "peak": {
            "from": rfc3339(START + QUARTER),
            "to": rfc3339(START + 2 * QUARTER),
            "powerKw": 120.0,
        },
    }
    chargers = load(client, START, end, site=site, measured="chargers")
    assert (chargers["meters"], chargers["energyConsumedAc"]) == (2, 14.0)
    solar = load(client, START, end, meterId=f"{uid}solar")
    assert (solar["measured"], solar["meters"], solar["energyConsumedAc"]) == (None, 1, 200.0)


@pytest.mark.either
def test_the_fleet_s_load_is_that_of_all_chargers(client: httpx.Client, uid: str) -> None:
    def energy(**params: str) -> float:
        return load(client, START, START + HOUR, **params)["energyConsumedAc"] or 0.0

    before, at_the_grid = energy(), energy(measured="grid")
    metered(client, f"{uid}C", START, [1, 2, 3, 4])
    metered(client, f"{uid}G", START, [10, 10, 10, 10], role="site")
    assert energy() == pytest.approx(before + 10)
    assert energy(measured="grid") == pytest.approx(at_the_grid + 40)


@pytest.mark.either
def test_days_are_those_of_a_time_zone(client: httpx.Client, uid: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    year = START.year if START.month > 10 else START.year - 1
    october = datetime(year, 10, 31, tzinfo=zone)
    longest = october - timedelta(days=(october.weekday() + 1) % 7)
    first = (longest - timedelta(days=1)).astimezone(UTC)
    metered(client, f"{uid}M", first, [1.0] * (24 + 25 + 24) * 4)
    found = load(
        client,
        first,
        first + timedelta(hours=24 + 25 + 24),
        meterId=f"{uid}M",
        bucket="day",
        tz="Europe/Berlin",
    )
    assert [each["energyConsumedAc"] for each in found["buckets"]] == [96, 100, 96]
    assert {each["meanPowerKw"] for each in found["buckets"]} == {4.0}
    assert {each["coverage"] for each in found["buckets"]} == {1.0}


@pytest.mark.either
def test_only_time_that_has_passed_counts(client: httpx.Client, uid: str) -> None:
    now = datetime.now(UTC)
    start = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0) - QUARTER
    metered(client, f"{uid}M", start, [3.0])
    found = load(client, start, start + 24 * HOUR, meterId=f"{uid}M", bucket="day", tz="UTC")
    assert found["peak"]["powerKw"] == 12.0
    assert found["coverage"] == pytest.approx(
        min(1, QUARTER / (datetime.now(UTC) - start)), abs=0.02
    )


@pytest.mark.either
@pytest.mark.parametrize(
    ("params", "status", "says"),
    [
        ({"site": "nowhere"}, 404, "no meter belongs to the site nowhere"),
        ({"meterId": "nothing"}, 404, "the meter nothing has never reported"),
        ({"meterId": "M", "site": "s"}, 400, "is not allowed beside meterId"),
        ({"meterId": "M", "measured": "grid"}, 400, "is not allowed beside meterId"),
        ({"measured": "sun"}, 400, "measured"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, 400, "5,664 buckets"),
        ({"sites": "s"}, 400, "unknown query parameter"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why(
    client: httpx.Client, params: dict[str, str], status: int, says: str
) -> None:
    answer = client.get(PATH, params=params)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
