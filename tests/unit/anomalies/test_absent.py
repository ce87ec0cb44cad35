"""Measurements that are absent: no rule fails for want of them, and none finds anything by it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleetmeter.anomalies.model import Change
from fleetmeter.anomalies.rules.shared.needs import VehiclePoint
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import MILLISECOND, Fleet, Values, at, between, of

MINUTE = 1 / 60
SECOND = timedelta(seconds=1)


def minute(time: float) -> int:
    return round(time * 60 - 0.5)


def some(value: Values, has: Callable[[int], bool]) -> Values:
    """A value in some minutes, and none in the others."""

    def given(time: float) -> float | None:
        if not has(minute(time)):
            return None
        return value(time) if callable(value) else value

    return given


def charges(
    kw: float = 11.0,
    efficiency: float = 0.9,
    soc: Values = None,
    temp_c: Values = 20.0,
    volts: Values = 230.0,
    days: int = 1,
    hours: tuple[float, float] = (10.5, 14.5),
    rulebook: Rulebook | None = None,
) -> list[Change]:
    """Return the findings about a vehicle that charges every day."""
    fleet = Fleet()
    fleet.add_vehicle("V", capacity_wh=60_000)
    fleet.add_meter("M")
    for day in range(days):
        span = (24 * day + hours[0], 24 * day + hours[1])
        whole = (24.0 * day, 24.0 * day + 24)
        fleet.drives("V", whole, between(*span, kw * efficiency), "M", soc=soc, temp_c=temp_c)
        fleet.meters_("M", whole, between(*span, kw, 0.01), volts)
    return fleet.fold(0, 24 * days, rulebook=rulebook)


def test_a_fleet_that_measures_energy_alone_is_healthy() -> None:
    assert charges(soc=None, temp_c=None, volts=None, days=3) == []


def test_devices_that_measure_no_energy_are_healthy() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V", capacity_wh=60_000)
    fleet.add_meter("M")
    fleet.drives("V", (0, 24), None, "M", soc=lambda t: 20 + 3 * t, temp_c=-5.0)
    fleet.meters_("M", (0, 24), None)
    assert fleet.fold(0, 24) == []


# batteries


def warm(temp_c: Values, last: int = 24) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, last), temp_c=temp_c)
    return of("battery_hot", fleet.fold(0, last))


def test_heat_between_readings_without_a_temperature_is_found() -> None:
    heat = between(10.2, 10.5, 46.0, 30.0)
    (opened, _) = warm(some(heat, lambda n: n % 2 == 0))
    assert opened.started_at == at(10.2 + MINUTE)
    assert opened.evidence["maxC"] == 46


def test_while_nobody_measures_a_hot_battery_stays_hot() -> None:
    # at 11:00 it was hot, and nobody knows what it was then
    changes = warm(lambda t: 46.0 if 10 <= t < 11 else 30.0 if t < 10 or t >= 20 else None)
    assert [(c.at, c.ended_at) for c in changes] == [(at(11), None), (at(21), at(20 + MINUTE))]


def cold(temp_c: Values, dc_kw: Values) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 24), dc_kw, temp_c=temp_c)
    return of("battery_cold_charging", fleet.fold(0, 24))


def test_charging_in_the_cold_takes_both_measurements() -> None:
    charging = between(10, 11, 7.0)
    assert cold(None, charging) == []
    assert cold(-5.0, None) == []
    # the temperature is reported when no energy is, and the other way round
    odd: Callable[[int], bool] = lambda n: n % 2 > 0  # noqa: E731
    even: Callable[[int], bool] = lambda n: n % 2 == 0  # noqa: E731
    assert cold(some(-5.0, odd), some(charging, even)) == []


@pytest.mark.parametrize("every", [2, 3])
def test_charging_in_the_cold_is_found_by_the_readings_that_tell_both(every: int) -> None:
    charging = between(10, 11, 7.0)
    partly = some(-5.0, lambda n: n % every == 0)
    assert [c.ended_at for c in cold(partly, charging)] == [None]
    assert [c.ended_at for c in cold(-5.0, some(charging, lambda n: n % every == 0))] == [None]


# voltage


def supplied(volts: Values) -> list[Change]:
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, 24), volts=volts)
    return fleet.fold(0, 24)


def test_a_voltage_that_is_told_now_and_then_is_judged_by_that() -> None:
    sag = between(10, 11, 200.0, 230.0)
    (opened, closed) = supplied(some(sag, lambda n: n % 3 == 0))
    assert (opened.kind, opened.started_at, opened.evidence["meanV"]) == (
        "voltage_out_of_range",
        at(10),
        200,
    )
    assert closed.ended_at == at(11)
    # one in ten minutes is no mean of them
    assert supplied(some(between(10, 10.5, 200.0, 230.0), lambda n: n % 10 == 0)) == []


def test_hours_without_a_voltage_do_not_end_that_it_is_wrong() -> None:
    changes = supplied(lambda t: 230.0 if t < 1 else 200.0 if t < 2 else None)
    assert [(c.at, c.ended_at) for c in changes] == [(at(2), None)]


# state of charge


def gains(time: float) -> float:
    """A third less than four hours at 9.9 kW bring a battery of 60 kWh."""
    return 20 + 44 * min(max((time - 10.5) / 4, 0), 1)


def test_a_state_of_charge_that_is_told_now_and_then_is_compared_with_the_energy_between() -> None:
    assert of("soc_mismatch", charges(soc=None)) == []
    for every in (1, 3, 7):
        (change,) = of("soc_mismatch", charges(soc=some(gains, lambda n, e=every: n % e == 0)))  # type: ignore[misc]
        # 39.6 kWh for 26.4
        assert change.evidence["ratio"] == pytest.approx(1.5, abs=0.01)


def test_without_a_state_of_charge_where_it_began_or_ended_nothing_is_said() -> None:
    for hours in ((10, 11), (14, 15)):
        soc = some(gains, lambda n, hours=hours: not hours[0] * 60 <= n < hours[1] * 60)  # type: ignore[misc]
        assert of("soc_mismatch", charges(soc=soc)) == []


# efficiency


@pytest.mark.parametrize(("efficiency", "found"), [(0.735, 0), (0.725, 1)])
def test_without_a_temperature_cold_may_have_cost_as_much_as_it_ever_does(
    efficiency: float, found: int
) -> None:
    # 0.94 are expected at 11 kW; 0.07 below opens, and 0.14 are allowed for
    changes = charges(efficiency=efficiency, temp_c=None)
    assert len(changes) == found
    for change in changes:
        assert (change.kind, change.evidence["batteryTempC"]) == ("efficiency_low", None)
        assert change.evidence["coldAllowance"] == 0.14


def test_where_it_is_never_cold_no_temperature_is_needed() -> None:
    warm_there = Rulebook([Override("efficiency_low", "vehicle", "V", {"coldAtMost": 0})])
    assert charges(efficiency=0.875, temp_c=None, rulebook=warm_there) == []
    assert len(charges(efficiency=0.865, temp_c=None, rulebook=warm_there)) == 1


def test_a_temperature_that_is_told_now_and_then_will_do() -> None:
    (change,) = charges(efficiency=0.8, temp_c=some(20.0, lambda n: n % 20 == 0))
    assert change.evidence["batteryTempC"] == 20


def test_a_short_session_is_not_judged_unless_the_battery_is_known_to_be_warm() -> None:
    def short(temp_c: Values) -> list[Change]:
        hours = (11 + 1 / 3, 12 + 2 / 3)
        return charges(efficiency=0.7, temp_c=temp_c, days=3, hours=hours)

    assert len(short(20.0)) == 1
    assert short(None) == []


def dropped(temp_c: Values, by: float, rulebook: Rulebook | None = None) -> list[Change]:
    """After a week of sessions of 0.95, one that is worse."""
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    for day in range(8):
        hours = (24.0 * day, 24.0 * day + 24)
        span = (hours[0] + 10, hours[0] + 14)
        rate = 0.95 - (by if day == 7 else 0)
        fleet.drives("V", hours, between(*span, 7.4 * rate), "M", temp_c=temp_c)
        fleet.meters_("M", hours, between(*span, 7.4, 0.01))
    return of("efficiency_drop", fleet.fold(0, 24 * 8, rulebook=rulebook))


def test_a_drop_is_found_without_a_temperature_where_cold_cannot_be_why() -> None:
    # 0.05 is a drop, and 0.14 may be the cold of that day
    assert dropped(None, 0.18) == []
    (change,) = dropped(None, 0.2)
    assert change.evidence["batteryTempC"] is None
    warm_there = Rulebook([Override("efficiency_drop", "fleet", "", {"coldAtMost": 0})])
    assert dropped(None, 0.045, warm_there) == []
    assert len(dropped(None, 0.055, warm_there)) == 1


# energy


def test_readings_without_energy_leave_the_curves_as_they_are() -> None:
    # V charges at M, and is said to charge at N
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 24), between(10.4, 14.2, 10.0), "N")
    for id_ in ("M", "N"):
        fleet.add_meter(id_)
        fleet.meters_(id_, (0, 24), between(10.4, 14.2, 11 if id_ == "M" else 0, 0.01))
    (change,) = of("dc_exceeds_ac", fleet.fold(0, 24))
    assert change.cause == "wrong_meter"
    for points in (fleet.vehicles["V"], fleet.meters["M"], fleet.meters["N"]):
        points[:] = [each for point in points for each in (point, half_a_minute_later(point))]  # type: ignore[misc]
    assert of("dc_exceeds_ac", fleet.fold(0, 24)) == [change]


def half_a_minute_later(given: Any) -> Any:
    """The same without energy."""
    point, *meter_id = given if isinstance(given[0], VehiclePoint) else (given,)
    later = point._replace(time=point.time + 30 * SECOND, energy_mwh=None, span_ms=None)
    return (later, *meter_id) if meter_id else later


def silent_meter(kwh: float, dc_kw: dict[str, Values]) -> Fleet:
    """A meter that nobody reads from 9:00 to 17:30, when its register has risen by so much; and
    vehicles there."""
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, 9))
    fleet.meters_("M", (17.5, 24))
    number = next(n for n, point in enumerate(fleet.meters["M"]) if point.time > at(17))
    gap_ms = (fleet.meters["M"][number].time - at(9)) // MILLISECOND
    told = fleet.meters["M"][number]._replace(energy_mwh=round(kwh * 1e6), span_ms=gap_ms)
    fleet.meters["M"][number] = told
    for id_, kw in dc_kw.items():
        fleet.add_vehicle(id_)
        fleet.drives(id_, (0, 24), kw, "M")
    assert [(row.readings, row.covered_ac_s) for row in fleet.hour(11).meters] == [(0, 3600)]
    return fleet


def test_an_hour_of_energy_alone_is_no_sign_of_life() -> None:
    changes = of("meter_silent", silent_meter(1, {}).fold(0, 24))
    assert [(c.at, c.ended_at) for c in changes] == [(at(10), None), (at(18), at(17.5 + MINUTE))]
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    fleet.vehicles["V"].append((VehiclePoint(at(20), 5_000_000, 36_000_000, None, None), None))
    changes = fleet.fold(0, 20)
    assert [(c.kind, c.at, c.ended_at) for c in changes] == [
        ("vehicle_silent", at(11), None),
        ("vehicle_silent", at(20), at(20)),
    ]


def test_energy_of_nobody_knows_when_is_no_standby() -> None:
    # 235 W in the mean of nine hours, or two kilowatts in one
    changes = silent_meter(2, {"V": 0.0}).fold(0, 24)
    assert of("standby_loss", changes) == []


def test_energy_of_nobody_knows_when_says_nothing_of_efficiency() -> None:
    # A takes 19.8 of 22 kWh from 9 to 10, and B 3.1 of 3.7 kWh in each of the next six hours: of
    # the 44.2 kWh that the register shows, each hour has 5.2
    dc_kw: dict[str, Values] = {"A": between(9, 10, 19.8), "B": between(10, 16, 3.1)}
    changes = silent_meter(22 + 6 * 3.7, dc_kw).fold(0, 24)
    assert {c.kind for c in changes} == {"meter_silent"}
