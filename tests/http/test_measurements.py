"""Readings of real devices: some measurements, in several messages, late, in any order."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Db, hours_ago, post, rfc3339, settled

MINUTE = timedelta(minutes=1)


def reading(device: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """Return a reading of a meter, or of a vehicle if the id contains EV."""
    kind = "vehicleId" if "EV" in device else "meterId"
    return {kind: device, "timestamp": rfc3339(at), **fields}


def history(client: httpx.Client, device: str) -> list[dict[str, Any]]:
    kind = "vehicles" if "EV" in device else "meters"
    answer = client.get(f"/v1/{kind}/{device}/readings", params={"from": rfc3339(hours_ago(48))})
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return items


PARTS: list[dict[str, Any]] = [
    {"kwhConsumedAcTotal": 100},
    {"voltageL1": 231.5, "voltageL2": 229.5},
    {"voltageL3": 230},
    {"powerKw": 7.25},
    {"kwhExportedAcTotal": 4},
]
WHOLE = {key: value for part in PARTS for key, value in part.items()}


@pytest.mark.either
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("age_h", [0.1, 30])
def test_messages_of_one_moment_complete_each_other(
    client: httpx.Client, uid: str, at_once: bool, age_h: float
) -> None:
    at = hours_ago(0) - timedelta(hours=age_h)
    parts = [reading(f"{uid}M", at, **part) for part in PARTS]
    parts = parts[2:] + parts[:2]
    if at_once:
        assert post(client, *parts)["accepted"] == len(parts)
    else:
        for part in parts:
            assert post(client, part)["accepted"] == 1
    (stored,) = history(client, f"{uid}M")
    assert {key: stored[key] for key in WHOLE} == WHOLE
    assert stored["voltage"] == pytest.approx(230.333)
    # each again, and all of it, is a duplicate
    again = post(client, *parts, reading(f"{uid}M", at, **WHOLE))
    assert (again["accepted"], again["duplicates"]) == (0, len(parts) + 1)
    # another value of one that is there changes nothing, not even what would be new
    other = client.post("/v1/ingest", json=reading(f"{uid}M", at, powerKw=7, voltage=230)).json()
    assert [each["code"] for each in other["rejected"]] == ["conflict"]
    assert history(client, f"{uid}M") == [stored]


def test_energy_that_comes_after_the_rest_of_its_reading_counts(
    client: httpx.Client, uid: str
) -> None:
    ends = hours_ago(3)
    for at in (ends - MINUTE, ends, ends + MINUTE):
        post(client, reading(f"{uid}EV", at, soc=50))
    post(client, reading(f"{uid}EV", ends, kwhDeliveredDcTotal=12))
    post(client, reading(f"{uid}EV", ends - MINUTE, kwhDeliveredDcTotal=10))
    post(client, reading(f"{uid}EV", ends + MINUTE, kwhDeliveredDcTotal=15))
    assert [each["kwhDeliveredDc"] for each in history(client, f"{uid}EV")] == [None, 2, 3]
    answer = client.get(
        f"/v1/analytics/performance/{uid}EV",
        params={"from": rfc3339(ends - MINUTE), "to": rfc3339(ends + MINUTE)},
    ).json()
    assert answer["totalEnergyDeliveredDc"] == 5
    assert answer["quality"]["coverage"]["dc"] == 1


@pytest.mark.either
def test_many_messages_of_one_moment_complete_each_other(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    same = [reading(f"{uid}M", at, voltageL1=230) for _ in range(150)]
    outcome = post(client, *same, reading(f"{uid}M", at, powerKw=1))
    assert (outcome["accepted"], outcome["duplicates"]) == (2, 149)
    assert history(client, f"{uid}M")[0]["powerKw"] == 1


def test_readings_without_energy_cover_no_time_and_shorten_no_interval(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(4)
    client.patch(f"/v1/meters/{uid}M", json={"reportingIntervalS": 3600}).raise_for_status()
    post(client, reading(f"{uid}M", start, kwhConsumedAc=1))
    post(client, *(reading(f"{uid}M", start + n * MINUTE, powerKw=6) for n in range(1, 60)))
    window = {"from": rfc3339(start), "to": rfc3339(start + 60 * MINUTE)}
    path = f"/v1/analytics/meters/{uid}M"
    before = client.get(path, params=window).json()
    assert (before["totalEnergyConsumedAc"], before["quality"]["coverage"]["ac"]) == (0, 0)
    post(client, reading(f"{uid}M", start + 60 * MINUTE, kwhConsumedAc=6))
    after = client.get(path, params=window).json()
    assert (after["totalEnergyConsumedAc"], after["quality"]["coverage"]["ac"]) == (6, 1)


@pytest.mark.either
def test_live_state_has_the_newest_value_of_each_measurement(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(2)

    def state() -> dict[str, Any]:
        answer: dict[str, Any] = client.get(f"/v1/vehicles/{uid}EV").json()
        return answer

    post(client, reading(f"{uid}EV", start, soc=40, batteryTemp=20, kwhDeliveredDc=1))
    assert "asOf" not in state()
    post(client, reading(f"{uid}EV", start + 10 * MINUTE, soc=45))
    newest = state()
    assert (newest["soc"], newest["batteryTemp"], newest["kwhDeliveredDc"]) == (45, 20, 1)
    assert newest["timestamp"] == rfc3339(start + 10 * MINUTE)
    older = {"batteryTemp": rfc3339(start), "kwhDeliveredDc": rfc3339(start)}
    assert newest["asOf"] == older
    # late, yet newer than what was known of the temperature; and what is older than that
    post(client, reading(f"{uid}EV", start + 5 * MINUTE, soc=1, batteryTemp=25))
    post(client, reading(f"{uid}EV", start - 5 * MINUTE, batteryTemp=1, kwhDeliveredDc=7))
    late = state()
    assert (late["soc"], late["batteryTemp"], late["kwhDeliveredDc"]) == (45, 25, 1)
    assert late["asOf"] == older | {"batteryTemp": rfc3339(start + 5 * MINUTE)}
    # the newest reading is completed
    post(client, reading(f"{uid}EV", start + 10 * MINUTE, batteryTemp=30, powerKw=-3))
    completed = state()
    assert (completed["batteryTemp"], completed["powerKw"]) == (30, -3)
    assert completed["asOf"] == {"kwhDeliveredDc": rfc3339(start)}


@pytest.mark.either
def test_energy_in_the_other_direction_is_kept_apart(client: httpx.Client, uid: str) -> None:
    start = hours_ago(2)
    for n, total in ((2, 7.5), (0, 5), (1, 6)):
        at = start + n * MINUTE
        post(client, reading(f"{uid}EV", at, kwhDeliveredDc=0, kwhReturnedDcTotal=total))
    stored = history(client, f"{uid}EV")
    assert [each["kwhReturnedDcTotal"] for each in stored] == [5, 6, 7.5]
    assert [each["kwhReturnedDc"] for each in stored[1:]] == [1, 1.5]
    both = reading(f"{uid}EV", start, kwhReturnedDcTotal=1, kwhReturnedDc=1)
    rejected = client.post("/v1/ingest", json=both).json()["rejected"]
    assert [each["code"] for each in rejected] == ["mixed_energy"]


def test_power_and_phases_are_rolled_up(client: httpx.Client, db: Db, uid: str) -> None:
    start = hours_ago(3).replace(minute=10)
    for n, (power, volts) in enumerate([(4, 230), (8, 220), (6, 240)], 1):
        fields = {"powerKw": power, "voltageL2": volts, "voltageL3": volts + 4}
        post(client, reading(f"{uid}M", start + n * MINUTE, **fields))
    settled(db)
    hour = start.replace(minute=0)
    rows = db.fetch(
        "select h.* from hours as h join devices as d using (device) where d.id = $1", f"{uid}M"
    )
    (row,) = [row for row in rows if row["bucket"] == hour]
    assert (row["power_w_sum"] / row["power_w_count"], row["power_w_max"]) == (6000, 8000)
    assert (row["voltage_l2_mv_min"], row["voltage_l2_mv_max"]) == (220_000, 240_000)
    assert row["voltage_mv_sum"] / row["voltage_mv_count"] == 232_000
    assert row["voltage_l1_mv_count"] in (0, None)


@pytest.mark.either
@pytest.mark.parametrize("role", ["site", "solar", "storage", "other"])
def test_only_what_chargers_meter_is_shared_out(client: httpx.Client, uid: str, role: str) -> None:
    at = hours_ago(2)
    post(
        client,
        reading(f"{uid}EV", at, kwhDeliveredDc=1, meterId=f"{uid}M"),
        reading(f"{uid}M", at, kwhConsumedAc=2),
    )
    window = {"from": rfc3339(at - 5 * MINUTE), "to": rfc3339(at)}
    path = f"/v1/analytics/performance/{uid}EV"
    assert client.get(path, params=window).json()["totalEnergyConsumedAc"] == 2
    client.patch(f"/v1/meters/{uid}M", json={"role": role}).raise_for_status()
    assert client.get(f"/v1/meters/{uid}M").json()["settings"]["role"] == role
    assert client.get(path, params=window).json()["totalEnergyConsumedAc"] is None
    client.patch(f"/v1/meters/{uid}M", json={"role": None}).raise_for_status()
    assert client.get(path, params=window).json()["totalEnergyConsumedAc"] == 2
    assert client.patch(f"/v1/meters/{uid}M", json={"role": "car"}).status_code == 400


@pytest.mark.either
def test_the_distance_that_a_vehicle_has_driven_is_kept(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, reading(f"{uid}EV", at, odometerKm=48_211.5))
    post(client, reading(f"{uid}EV", at + MINUTE, soc=50))
    assert [each.get("odometerKm") for each in history(client, f"{uid}EV")] == [48_211.5, None]
    state = client.get(f"/v1/vehicles/{uid}EV").json()
    assert (state["odometerKm"], state["asOf"]) == (48_211.5, {"odometerKm": rfc3339(at)})
    outcome = post(client, reading(f"{uid}EV", at + 2 * MINUTE, odometerKm=-1, soc=50))
    assert [each["path"] for each in outcome["warnings"]] == ["$.odometerKm"]
