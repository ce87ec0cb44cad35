"""Faults of devices in the field, from readings sent over HTTP to the anomaly."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import (
    EVALUATED,
    Db,
    eventually,
    meter_reading,
    on_migrated,
    post,
    running_service,
    vehicle_reading,
)

MINUTE = timedelta(minutes=1)
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
SHAPE = [0.28] * 20 + [0.1] * 10 + [0.24] * 20
"""kWh DC of each minute of a charge."""


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def minutes(begin: float, end: float) -> list[datetime]:
    """The ends of the minutes from an hour of the day to another."""
    return [at(begin) + n * MINUTE for n in range(1, round((end - begin) * 60) + 1)]


@pytest.fixture
def client(migrated_database_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    Db(migrated_database_url).run(EVALUATED)
    environ = on_migrated(migrated_database_url)
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        yield client


def found(client: httpx.Client, device_id: str) -> dict[str, dict[str, Any]]:
    """The anomalies of a device by their kinds."""
    items = client.get("/v1/anomalies", params={"deviceId": device_id}).json()["items"]
    return {item["kind"]: item for item in items}


def sends(client: httpx.Client, readings: list[dict[str, Any]]) -> None:
    post(client, *readings)


def wait(client: httpx.Client, device_id: str, kind: str, **fields: Any) -> dict[str, Any]:
    """Return an anomaly once it is there as it should be."""

    def probe() -> dict[str, Any] | None:
        item = found(client, device_id).get(kind)
        return item if item and all(item[name] == value for name, value in fields.items()) else None

    item: dict[str, Any] = eventually(probe, timeout_s=40, pause_s=0.5)
    return item


def assign(client: httpx.Client, vehicle_id: str, meter_id: str) -> None:
    assignment = {"meterId": meter_id, "since": DAY.isoformat()}
    client.put(f"/v1/vehicles/{vehicle_id}/meter", json=assignment).raise_for_status()


@pytest.mark.either
def test_a_clock_five_hours_early_and_the_cause_when_the_meter_comes_later(
    client: httpx.Client,
) -> None:
    charge = dict(zip(minutes(12, 12 + 50 / 60), SHAPE, strict=True))
    assign(client, "V", "M")
    sends(
        client,
        [
            vehicle_reading("V", time - 5 * 60 * MINUTE, kwh, soc=None)
            for time, kwh in charge.items()
        ],
    )
    morning = [meter_reading("M", time, 0.0) for time in minutes(0, 12)]
    sends(client, morning)
    opened = wait(client, "V", "dc_exceeds_ac", cause="unknown")
    assert opened["evidence"]["hourDcKwh"] == pytest.approx(sum(SHAPE))
    sends(
        client,
        [meter_reading("M", time, charge.get(time, 0) / 0.93) for time in minutes(12, 24)],
    )
    revised = wait(client, "V", "dc_exceeds_ac", cause="clock_offset")
    assert revised["id"] == opened["id"]
    assert revised["evidence"]["offsetS"] == pytest.approx(-5 * 3600, abs=60)
    assert "5 hours too early" in revised["summary"]
    events = client.get(f"/v1/anomalies/{opened['id']}").json()["events"]["items"]
    assert {event["event"] for event in events} == {"opened", "updated"}


def test_an_excess_is_over_when_the_missing_readings_of_the_meter_come(
    client: httpx.Client,
) -> None:
    times = minutes(8, 11)
    assign(client, "V", "M")
    sends(client, [vehicle_reading("V", time, 0.1, soc=None) for time in times])
    sends(client, [meter_reading("M", t, 0.11 if t.minute % 4 else 0.0) for t in minutes(7, 13)])
    assert wait(client, "V", "dc_exceeds_ac")["status"] == "open"
    wrong = [t for t in times if t.minute % 4 == 0]
    for time in wrong:
        answer = client.post(
            "/v1/corrections",
            json={
                "meterId": "M",
                "timestamp": time.isoformat(),
                "kwhConsumedAc": 0.11,
                "who": "anna",
                "reason": "the meter had lost it",
            },
        )
        assert answer.status_code == 200, answer.text
    wait(client, "V", "dc_exceeds_ac", status="resolved")


@pytest.mark.either
def test_watt_hours_of_a_meter_and_of_a_vehicle(client: httpx.Client) -> None:
    client.patch("/v1/meters/M", json={"ratedPowerKw": 22}).raise_for_status()
    sends(client, [meter_reading("M", time, 175) for time in minutes(10, 10.75)])
    sends(client, [vehicle_reading("V", time, 120, soc=None) for time in minutes(10, 10.75)])
    item = wait(client, "M", "power_implausible", cause="unit_wh")
    assert item["evidence"]["meanKw"] == pytest.approx(10_500)
    assert item["startedAt"] == at(10).strftime("%Y-%m-%dT%H:%M:%SZ")
    wait(client, "V", "power_implausible", cause="unit_wh")


@pytest.mark.either
def test_an_impossible_rise_of_a_register_in_wh_is_explained_by_its_unit(
    client: httpx.Client,
) -> None:
    """At 22 kW every half hour, 11,000 kWh count for nothing. An exchange is not a wrong unit."""
    for meter_id in ("M", "N"):
        body = {"ratedPowerKw": 22, "reportingIntervalS": 1800}
        client.patch(f"/v1/meters/{meter_id}", json=body).raise_for_status()
    times = [at(hour / 2) for hour in range(4, 30)]
    wh = [7_000_000 + 11_000 * max(0, min(n - 8, 6)) for n in range(len(times))]
    kwh = [8412.5 + n / 2 + (11_500 if n > 12 else 0) for n in range(len(times))]
    for meter_id, totals in (("M", wh), ("N", kwh)):
        readings = [
            {"meterId": meter_id, "timestamp": time.isoformat(), "kwhConsumedAcTotal": total}
            for time, total in zip(times, totals, strict=True)
        ]
        sends(client, readings)
    item = wait(client, "M", "power_implausible", cause="unit_wh")
    assert item["evidence"]["meanKw"] == pytest.approx(22_000)
    assert item["startedAt"] == at(6).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert not set(found(client, "M")) & {"register_unstable"}
    assert not set(found(client, "N")) & {"register_unstable", "power_implausible"}


@pytest.mark.either
def test_faults_are_found_in_devices_that_report_only_while_charging(client: httpx.Client) -> None:
    assign(client, "V", "M")
    for path in ("/v1/vehicles/V", "/v1/meters/M"):
        client.patch(path, json={"reports": "while_charging"}).raise_for_status()
    times = minutes(8, 9) + minutes(15, 16)
    sends(client, [vehicle_reading("V", t, 0.11, batteryTemp=51, soc=44) for t in times])
    sends(client, [meter_reading("M", t, 0.12, voltage=230 if t < at(12) else 300) for t in times])
    # a building beside it, and a witness that all of it has been looked at
    sends(client, [meter_reading("H", time, 0.005) for time in minutes(0, 23)])
    sends(client, [meter_reading("H", time, 0.005, voltage=280) for time in minutes(23, 24)])
    wait(client, "H", "voltage_out_of_range")
    item = wait(client, "M", "voltage_out_of_range")
    assert (item["evidence"]["nominalV"], item["evidence"]["nominalFrom"]) == (230, "readings")
    wait(client, "V", "battery_hot")
    assert set(found(client, "H")) <= {"voltage_out_of_range", "meter_silent"}
    assert set(found(client, "M")) == {"voltage_out_of_range"}
    assert set(found(client, "V")) == {"battery_hot", "soc_stuck"}


@pytest.mark.either
def test_a_register_that_falls_again_and_again(client: httpx.Client) -> None:
    totals = [
        {
            "meterId": "M",
            "timestamp": time.isoformat(),
            "voltage": 230,
            "kwhConsumedAcTotal": 0 if n % 100 == 50 else 5000 + n / 100,
        }
        for n, time in enumerate(minutes(2, 12))
    ]
    sends(client, totals)
    assert wait(client, "M", "register_unstable")["evidence"]["falls"] >= 4
