"""How devices report: what is set, and what their readings suggest instead."""

import httpx
import pytest

from tests.conftest import Db, hours_ago, meter_reading, post, vehicle_reading

pytestmark = pytest.mark.either


@pytest.mark.parametrize("kind", ["vehicles", "meters"])
def test_when_a_device_reports_is_set_before_its_first_reading(
    client: httpx.Client, uid: str, kind: str
) -> None:
    path = f"/v1/{kind}/{uid}D"
    for reports in ("while_charging", "always", None):
        assert client.patch(path, json={"reports": reports}).json()["reports"] == reports
    client.patch(path, json={"reports": "while_charging"}).raise_for_status()
    reading = vehicle_reading if kind == "vehicles" else meter_reading
    post(client, reading(f"{uid}D", hours_ago(0.1)))
    assert client.get(path).json()["settings"]["reports"] == "while_charging"


@pytest.mark.parametrize(
    ("minutes", "set_to_s", "shown"),
    [
        (5, None, 300),  # a minute is expected
        (5, 300, None),
        (5, 240, None),
        (5, 900, 300),
        (1, None, None),
    ],
)
def test_an_interval_that_contradicts_the_setting_is_shown(
    client: httpx.Client, uid: str, minutes: int, set_to_s: int | None, shown: int | None
) -> None:
    path = f"/v1/meters/{uid}M"
    client.patch(path, json={"reportingIntervalS": set_to_s}).raise_for_status()
    times = [hours_ago(2 + number * minutes / 60) for number in range(20)]
    # two are missing
    post(client, *(meter_reading(f"{uid}M", t) for n, t in enumerate(times) if n not in (5, 9)))
    assert client.get(path).json().get("observedIntervalS") == shown


def test_few_readings_show_no_interval(client: httpx.Client, uid: str) -> None:
    post(client, *(meter_reading(f"{uid}M", hours_ago(2 + number)) for number in range(10)))
    assert "observedIntervalS" not in client.get(f"/v1/meters/{uid}M").json()


def test_the_habit_of_reporting_only_while_charging_is_shown_unless_it_is_set(
    client: httpx.Client, db: Db, uid: str
) -> None:
    post(client, vehicle_reading(f"{uid}V", hours_ago(0.1)))
    path = f"/v1/vehicles/{uid}V"
    for pauses, shown in ((2, None), (3, "while_charging")):
        db.fetch(
            """
            insert into anomaly_memory (aspect, device_kind, device_id, memory)
            values ('hours', 'vehicle', $1, jsonb_build_object('pauses', $2::integer))
            on conflict (aspect, device_kind, device_id) do update set memory = excluded.memory
            """,
            f"{uid}V",
            pauses,
        )
        assert client.get(path).json().get("observedReports") == shown
    client.patch(path, json={"reports": "always"}).raise_for_status()
    assert "observedReports" not in client.get(path).json()
