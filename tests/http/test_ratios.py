"""Efficiency and loss are about the time that both sides cover, in every answer alike."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from fleetmeter.anomalies.rules.silence.pauses import HABIT
from tests.conftest import Db, eventually, meter_reading, post, rfc3339, vehicle_reading
from tests.support.clocks import midday

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def asked(client: httpx.Client, path: str, start: datetime, end: datetime, **more: str) -> Any:
    params = {"from": rfc3339(start), "to": rfc3339(end), **more}
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_car_that_reports_only_while_it_charges_has_the_same_ratio_in_every_answer(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = midday(3)
    charging = range(12, 84)
    post(
        client,
        *(
            meter_reading(f"{uid}M", start + n * MINUTE, 0.22 if n in charging else 0.004)
            for n in range(1, 181)
        ),
        *(vehicle_reading(f"{uid}V", start + n * MINUTE, 0.2, meterId=f"{uid}M") for n in charging),
    )
    client.patch(f"/v1/meters/{uid}M", json={"site": f"{uid}S"})
    compared = {"efficiencyRatio": pytest.approx(0.2 / 0.22), "energyLoss": pytest.approx(1.44)}
    day = start - 12 * HOUR, start + 12 * HOUR

    def same(answer: Any) -> None:
        assert {name: answer[name] for name in compared} == compared

    def check() -> bool:
        performance = asked(client, f"/v1/analytics/performance/{uid}V", *day)
        same(performance)
        assert performance["quality"]["coverage"]["compared"] == pytest.approx(72 / 1440)
        assert any("leave out" in reason for reason in performance["quality"]["reasons"])
        same(asked(client, f"/v1/analytics/meters/{uid}M", *day))
        (share,) = asked(client, f"/v1/analytics/meters/{uid}M", *day)["vehicles"]["items"]
        same(share)
        for path in (f"/v1/vehicles/{uid}V/energy", f"/v1/analytics/sites/{uid}S/energy"):
            items = asked(client, path, *day, bucket="day")["items"]
            assert sum(item["energyLoss"] or 0 for item in items) == pytest.approx(1.44)
        (session,) = asked(client, f"/v1/vehicles/{uid}V/sessions", *day)["items"]
        same(session)
        # each hour by itself, in the views that Grafana reads as well
        hours = asked(client, f"/v1/vehicles/{uid}V/energy", *day, bucket="hour")["items"]
        assert [
            (hour["efficiencyRatio"], hour["energyLoss"])
            for hour in hours
            if hour["energyDeliveredDc"]
        ] == [
            (row["efficiency_ratio"], row["energy_loss_kwh"])
            for row in db.fetch(
                "select efficiency_ratio, energy_loss_kwh from efficiency_hourly"
                " where vehicle_id = $1 order by bucket",
                f"{uid}V",
            )
        ]
        return True

    def settled() -> bool:
        try:
            return check()
        except AssertionError:
            return False

    eventually(settled) or check()


def test_two_cars_one_after_the_other_in_a_quarter_hour_are_compared_in_their_own_time(
    client: httpx.Client, uid: str
) -> None:
    """The meter counts before, between and after; the shares add up to what is common."""
    start = midday(3)
    first, second = range(2, 7), range(9, 15)
    post(
        client,
        *(
            meter_reading(f"{uid}M", start + n * MINUTE, 0.5 if n in (*first, *second) else 0.01)
            for n in range(1, 16)
        ),
        *(
            vehicle_reading(f"{uid}{name}", start + n * MINUTE, 0.45, meterId=f"{uid}M")
            for name, minutes in (("A", first), ("B", second))
            for n in minutes
        ),
    )
    window = start, start + 15 * MINUTE
    eventually(
        lambda: (
            asked(client, f"/v1/analytics/meters/{uid}M", *window)["efficiencyRatio"]
            == pytest.approx(0.9)
        )
    )
    meter = asked(client, f"/v1/analytics/meters/{uid}M", *window)
    assert meter["energyLoss"] == pytest.approx(0.55)
    assert meter["quality"]["coverage"]["compared"] == pytest.approx(11 / 15, abs=1e-4)
    shares = meter["vehicles"]["items"]
    assert [share["efficiencyRatio"] for share in shares] == [pytest.approx(0.9)] * 2
    assert sum(share["energyLoss"] for share in shares) == pytest.approx(0.55)
    assert sum(share["energyConsumedAc"] for share in shares) == pytest.approx(5.54)
    assert all("leave out" in share["reasons"][0] for share in shares)


def test_time_that_only_one_side_covers_is_not_compared(client: httpx.Client, uid: str) -> None:
    """Both sides cover equal parts of one quarter hour, but at different times."""
    start = midday(3)
    post(
        client,
        *(meter_reading(f"{uid}M", start + n * MINUTE, 0.2) for n in range(1, 8)),
        *(
            vehicle_reading(f"{uid}V", start + n * MINUTE, 0.5, meterId=f"{uid}M")
            for n in range(8, 15)
        ),
    )
    for path in (f"performance/{uid}V", f"meters/{uid}M"):
        answer = asked(client, f"/v1/analytics/{path}", start, start + HOUR)
        assert (answer["efficiencyRatio"], answer["energyLoss"]) == (None, None)
        assert answer["quality"]["coverage"]["compared"] == 0
        assert any("no time in common" in reason for reason in answer["quality"]["reasons"])


def test_a_complete_answer_with_a_ratio_above_one_has_a_reason_that_names_it(
    client: httpx.Client, uid: str
) -> None:
    start = midday(3)
    post(
        client,
        *(meter_reading(f"{uid}M", start + n * MINUTE, 0.2) for n in range(1, 61)),
        *(
            vehicle_reading(f"{uid}{name}", start + n * MINUTE, kwh, meterId=f"{uid}M")
            for name, kwh in (("A", 0.25), ("B", 0.0))
            for n in range(1, 61)
        ),
    )
    for path in (f"performance/{uid}A", f"meters/{uid}M"):
        answer = asked(client, f"/v1/analytics/{path}", start, start + HOUR)
        assert answer["quality"]["status"] == "complete"
        assert answer["efficiencyRatio"] == 1.25
        assert any("more DC" in reason for reason in answer["quality"]["reasons"])
    share = answer["vehicles"]["items"][0]
    assert (share["efficiencyRatio"], "more DC" in share["reasons"][0]) == (1.25, True)


def quality(client: httpx.Client, path: str, start: datetime, end: datetime, **more: str) -> Any:
    """The quality of an answer, or of its only item."""
    answer = asked(client, path, start, end, **more)
    (found,) = answer.get("items", [answer])
    return found["quality"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_car_that_reports_only_while_charging_needs_its_charging_time_covered(
    client: httpx.Client, db: Db, uid: str, is_lost: bool
) -> None:
    """It charges for 72 minutes of a day; readings of 18 minutes are lost, or none."""
    start = midday(3)
    charging = range(12, 84)
    lost = range(40, 58) if is_lost else range(0)
    post(
        client,
        *(
            meter_reading(f"{uid}M", start + n * MINUTE, 0.22 if n in charging else 0.004)
            for n in range(-719, 721)
        ),
        *(
            vehicle_reading(f"{uid}V", start + n * MINUTE, 0.2, meterId=f"{uid}M")
            for n in charging
            if n not in lost
        ),
    )
    client.patch(f"/v1/meters/{uid}M", json={"site": f"{uid}S"})
    day = start - 12 * HOUR, start + 12 * HOUR
    answers: list[tuple[str, dict[str, str]]] = [
        (f"/v1/analytics/performance/{uid}V", {}),
        (f"/v1/vehicles/{uid}V/energy", {"bucket": "day"}),
        (f"/v1/analytics/meters/{uid}M", {}),
        (f"/v1/meters/{uid}M/energy", {"bucket": "day"}),
        (f"/v1/analytics/sites/{uid}S/energy", {"bucket": "day"}),
        (f"/v1/vehicles/{uid}V/sessions", {}),
    ]
    if is_lost:
        answers = answers[:-1]  # there are two sessions then

    def same(share: float, status: str) -> bool:
        found = [quality(client, path, day[0], day[1], **more) for path, more in answers]
        (of_session,) = found[5:] or [None]
        return {(each["coverage"]["charging"], each["status"]) for each in found[:5]} == {
            (share, status)
        } and (of_session is None or of_session["coverage"]["charging"] == 1)

    share = 0.75 if is_lost else 1
    eventually(lambda: same(share, "partial"))
    client.patch(f"/v1/vehicles/{uid}V", json={"reports": "while_charging"})
    assert same(share, "partial" if is_lost else "complete")
    reasons = quality(client, answers[0][0], *day)["reasons"]
    said = "both sides cover 75.0% of the charging time"
    assert (said in reasons, any("of the window" in each for each in reasons)) == (is_lost, is_lost)
    # the habit is as good as the setting, and the setting counts where there are both
    client.patch(f"/v1/vehicles/{uid}V", json={"reports": None})

    def has_habit() -> bool:
        """Set the habit again until the rules have evaluated the late readings, which reset it."""
        db.fetch(
            "insert into anomaly_memory as m values"
            " ('hours', 'vehicle', $1, jsonb_build_object('pauses', $2::integer))"
            " on conflict (aspect, device_kind, device_id) do update set memory = excluded.memory",
            f"{uid}V",
            HABIT,
        )
        return same(share, "partial" if is_lost else "complete")

    eventually(has_habit)
    client.patch(f"/v1/vehicles/{uid}V", json={"reports": "always"})
    assert same(share, "partial")


def test_energy_at_a_shared_meter_is_not_charging_time_of_a_vehicle(
    client: httpx.Client, uid: str
) -> None:
    """Half an hour without DC belongs to the meter: either car may have charged."""
    start = midday(3)
    post(
        client,
        *(meter_reading(f"{uid}M", start + n * MINUTE, 0.2) for n in range(1, 91)),
        *(
            vehicle_reading(f"{uid}{name}", start + n * MINUTE, 0.18, meterId=f"{uid}M")
            for name, minutes in (("A", range(1, 31)), ("B", range(31, 61)))
            for n in minutes
        ),
    )
    window = start, start + 90 * MINUTE

    def charging(path: str) -> float | None:
        shown: float | None = quality(client, path, *window)["coverage"]["charging"]
        return shown

    eventually(lambda: charging(f"/v1/analytics/meters/{uid}M") == pytest.approx(2 / 3, abs=1e-4))
    for name in "AB":
        assert charging(f"/v1/analytics/performance/{uid}{name}") == 1


def test_without_charging_there_is_no_coverage_of_it(client: httpx.Client, uid: str) -> None:
    start = midday(3)
    post(
        client,
        *(meter_reading(f"{uid}M", start + n * MINUTE, 0.008) for n in range(1, 61)),
        *(
            vehicle_reading(f"{uid}V", start + n * MINUTE, 0.0, meterId=f"{uid}M")
            for n in range(1, 61)
        ),
    )
    window = start, start + HOUR
    for path in (f"performance/{uid}V", f"meters/{uid}M"):
        found = quality(client, f"/v1/analytics/{path}", *window)
        assert (found["coverage"]["charging"], found["status"]) == (None, "complete")
