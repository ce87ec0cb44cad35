"""Figures of a limited reach: sums of the devices within it, the same as a whole reach shows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import Db, eventually, rfc3339, settled
from tests.support.reach import HEADER, INSIDE, METERED, REACHES, REST, fill, told_service

pytestmark = pytest.mark.either


class Place(NamedTuple):
    """A service on the filled database, and the window that has all readings."""

    client: httpx.Client
    window: dict[str, str]


@pytest.fixture(scope="module")
def place(database_url: str, db: Db) -> Iterator[Place]:
    with told_service(database_url) as client:
        since: datetime = fill(client, db)
        settled(db)
        edges = (since - timedelta(hours=1), since + timedelta(hours=1))
        yield Place(client, dict(zip(("from", "to"), map(rfc3339, edges), strict=True)))


def ask(place: Place, path: str, reach: str = "", **params: str) -> Any:
    """Ask for figures of the window."""
    answer = place.client.get(path, params=place.window | params, headers={HEADER: reach})
    assert answer.status_code == 200, answer.text
    return answer.json()


def within(meters: list[str] | str | None) -> list[str] | str | None:
    """Return what a limited reach is shown of `meterIds`, or of `meterId`."""
    if isinstance(meters, list):
        return [meter for meter in meters if meter.startswith("IN-")]
    return meters if meters and meters.startswith("IN-") else None


def fleet(place: Place, reach: str = "") -> Any:
    return ask(place, "/v1/analytics/fleet", reach)


@pytest.mark.parametrize("reach", REACHES)
def test_a_vehicle_shows_its_own_share_and_no_meter_outside(place: Place, reach: str) -> None:
    for vehicle in INSIDE["vehicle"]:
        for path in (f"analytics/performance/{vehicle}", f"vehicles/{vehicle}/sessions"):
            limited, whole = (ask(place, f"/v1/{path}", each) for each in (reach, ""))
            for one, other in zip(
                limited.get("items", [limited]), whole.get("items", [whole]), strict=True
            ):
                for name in one.keys() & {"meterIds", "meterId"}:
                    assert one.pop(name) == within(other.pop(name))
                reasons = " ".join(other["quality"].pop("reasons"))
                assert " ".join(one["quality"].pop("reasons")) == reasons.replace(
                    "OUTSIDE-M2", "the meter"
                )
                assert one == other
    shares = ask(place, "/v1/analytics/performance/IN-V2", reach)
    assert shares["totalEnergyConsumedAc"] is not None
    assert shares["quality"]["status"] != "no_meter"


@pytest.mark.parametrize("reach", REACHES)
def test_a_meter_shows_all_that_it_metered_and_vehicles_within(place: Place, reach: str) -> None:
    limited, whole = (ask(place, "/v1/analytics/meters/IN-M1", each) for each in (reach, ""))
    assert [each["vehicleId"] for each in limited.pop("vehicles")["items"]] == ["IN-V1"]
    vehicles = whole.pop("vehicles")["items"]
    assert [each["vehicleId"] for each in vehicles] == ["IN-V1", "OUTSIDE-V1"]
    assert limited == whole


@pytest.mark.parametrize("reach", REACHES)
def test_a_site_is_the_same_for_every_reach_that_has_its_meters(place: Place, reach: str) -> None:
    (limited,) = ask(place, "/v1/analytics/sites", reach)["items"]
    both = ask(place, "/v1/analytics/sites")["items"]
    assert limited["site"] == "north"
    assert limited in both
    assert len(both) == 2
    path = "/v1/analytics/sites/north/energy"
    assert ask(place, path, reach) == ask(place, path)
    assert fleet(place, reach)["sites"]["items"] == [limited]


@pytest.mark.parametrize("reach", REACHES)
def test_the_fleet_is_the_sum_of_the_devices_within_reach(place: Place, reach: str) -> None:
    found = fleet(place, reach)
    vehicles = {
        vehicle: ask(place, f"/v1/analytics/performance/{vehicle}", reach)
        for vehicle in INSIDE["vehicle"]
    }
    meters = [ask(place, f"/v1/analytics/meters/{meter}", reach) for meter in INSIDE["meter"]]

    def total(name: str) -> Any:
        return sum(each[name] or 0 for each in vehicles.values())

    unattributed = sum(each["totalEnergyUnattributedAc"] for each in meters)
    assert unattributed > 0
    assert found["totalEnergyDeliveredDc"] == pytest.approx(total("totalEnergyDeliveredDc"))
    assert found["totalEnergyUnattributedAc"] == pytest.approx(unattributed)
    consumed = total("totalEnergyConsumedAc") + unattributed
    assert found["totalEnergyConsumedAc"] == pytest.approx(consumed)
    assert found["energyLoss"] == pytest.approx(total("energyLoss"))
    assert (found["vehiclesReporting"], found["vehiclesSilent"]) == (3, 0)
    assert (found["metersReporting"], found["metersSilent"]) == (2, 0)
    assert {each["vehicleId"] for each in found["vehicles"]["items"]} == set(vehicles)
    for each in found["vehicles"]["items"]:
        alone = vehicles[each["vehicleId"]]
        assert each["energyConsumedAc"] == alone["totalEnergyConsumedAc"]
        assert each["energyDeliveredDc"] == alone["totalEnergyDeliveredDc"]
        assert each["efficiencyRatio"] == alone["efficiencyRatio"]
        assert each["quality"]["status"] == alone["quality"]["status"]
    hours = ask(place, "/v1/analytics/fleet/energy", reach)["items"]
    for name in ("ConsumedAc", "UnattributedAc", "DeliveredDc"):
        by_hour = sum(each[f"energy{name}"] or 0 for each in hours)
        assert by_hour == pytest.approx(found[f"totalEnergy{name}"])
    eventually(lambda: fleet(place, reach)["anomalies"]["open"] == len(active(place, reach)))


def active(place: Place, reach: str) -> list[Any]:
    answer = place.client.get("/v1/anomalies", params={"status": "active"}, headers={HEADER: reach})
    items: list[Any] = answer.json()["items"]
    return items


@pytest.mark.parametrize("reach", REACHES)
def test_reaches_that_share_nothing_add_up_to_the_whole(place: Place, reach: str) -> None:
    whole, one, other = (fleet(place, each) for each in ("", reach, REST))
    for name in (
        *(f"totalEnergy{each}" for each in ("ConsumedAc", "UnattributedAc", "DeliveredDc")),
        *("energyLoss", "vehiclesReporting", "vehiclesSilent", "metersReporting", "metersSilent"),
    ):
        assert one[name] + other[name] == pytest.approx(whole[name]), name
    metered = 3 * sum(METERED.values())
    assert whole["totalEnergyConsumedAc"] == pytest.approx(metered)
