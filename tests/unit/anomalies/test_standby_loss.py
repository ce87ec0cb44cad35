"""standby_loss."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleetmeter.anomalies.model import Change, Subject
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.rules.standby_loss import StandbyState
from tests.unit.anomalies.fleet import Fleet, at, between, meter, of


def stands_by(
    watts: Callable[[float], float] | float,
    last: int = 24,
    with_vehicle: bool = True,
    dc_kw: Callable[[float], float] | float = 0.0,
    states: dict[Subject, DeviceState] | None = None,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_meter("M", role="charger")
    kw = (lambda t: watts(t) / 1000) if callable(watts) else watts / 1000
    fleet.meters_("M", (0, last), kw)
    if with_vehicle:
        fleet.add_vehicle("V")
        fleet.drives("V", (0, last), dc_kw, "M")
    return fleet.fold(0, last, states)


@pytest.mark.parametrize(
    ("watts", "opens"), [(149, False), (151, True), (1490, True), (1510, False)]
)
def test_between_a_floor_and_a_ceiling_it_is_standby(watts: float, opens: bool) -> None:
    changes = stands_by(watts)
    assert bool(changes) == opens
    if opens:
        assert (changes[0].kind, changes[0].at, changes[0].started_at) == (
            "standby_loss",
            at(6),
            at(0),
        )
        assert changes[0].evidence["meanW"] == pytest.approx(watts, rel=0.01)


def test_five_hours_are_not_enough() -> None:
    assert stands_by(between(4, 9, 300, 10)) == []
    assert len(stands_by(between(4, 10, 300, 10), last=10)) == 1


def test_hours_of_charging_neither_count_nor_break() -> None:
    dc_kw = between(5, 8, 10.0)
    changes = stands_by(lambda t: 11_000 if 5 <= t < 8 else 300, dc_kw=dc_kw)
    # 0 to 5 o'clock and, the last reading at 8 being of the hour before, from 8 to 9
    assert [c.at for c in changes] == [at(9)]


def test_conditioning_a_cabin_is_no_standby() -> None:
    assert stands_by(lambda t: 1200 if t % 24 < 2 else 10, last=72) == []


def test_a_meter_where_nobody_reports_is_given_a_day() -> None:
    assert stands_by(300, last=23, with_vehicle=False) == []
    assert len(stands_by(300, last=24, with_vehicle=False)) == 1


def test_an_hour_in_which_the_vehicle_there_hardly_reports_is_unknown() -> None:
    fleet = Fleet()
    fleet.add_meter("M", role="charger")
    fleet.add_vehicle("V")
    fleet.meters_("M", (0, 10), 0.3)
    fleet.drives("V", (0, 10), 0.0, "M", keeps=lambda n: n % 2 == 0)
    assert fleet.fold(0, 10) == []


def test_it_is_over_after_two_quiet_hours() -> None:
    def watts(time: float) -> float:
        return 300 if time < 8 else 120 if time < 12 else 50

    changes = stands_by(watts)
    assert [(c.at, c.ended_at) for c in changes] == [(at(6), None), (at(14), at(12))]


def test_a_healthy_charger_is_not_remembered() -> None:
    states: dict[Subject, DeviceState] = {}
    assert stands_by(25, states=states) == []
    assert states[meter("M")].get(StandbyState) is None
    assert states[meter("M")].conditions == {}


def test_a_run_with_a_day_in_between_begins_anew() -> None:
    # three hours, more than a day of which nothing is known, three hours
    fleet = Fleet()
    fleet.add_meter("M", role="charger")
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 60), 0.0, "M")
    fleet.meters_("M", (0, 3), 0.3)
    fleet.meters_("M", (30, 34), 0.3)
    changes = fleet.fold(0, 34)
    assert [c for c in changes if c.kind == "standby_loss"] == []
    assert fleet.hour(30).starts - fleet.hour(3).starts > timedelta(days=1)


@pytest.mark.parametrize("role", [None, "site", "solar", "storage", "other"])
def test_the_base_load_of_a_building_is_no_standby(role: str | None) -> None:
    fleet = Fleet()
    fleet.add_meter("M", interval_s=900, role=role)
    fleet.meters_("M", (0, 72), 0.34)
    assert fleet.fold(0, 72) == []


def test_a_meter_at_which_somebody_charged_is_a_chargers() -> None:
    # 0.3 kW since 5:00, and the first charge that is known of at 30:00
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 60), between(30, 32, 6.0), "M")
    fleet.meters_("M", (0, 60), lambda t: 7 if 30 <= t < 32 else 0.3 if t >= 5 else 0.01)
    (change,) = of("standby_loss", fleet.fold(0, 60))
    assert (change.started_at, change.at) == (at(32), at(38))


def test_after_a_month_without_charging_it_is_not_known_to_be_a_chargers() -> None:
    fleet = Fleet()
    fleet.add_meter("M", interval_s=900)
    fleet.add_vehicle("V", interval_s=900)
    fleet.drives("V", (0, 2), 6.0, "M")
    fleet.meters_("M", (0, 2), 7.0)
    fleet.meters_("M", (32 * 24, 34 * 24), 0.3)
    assert of("standby_loss", fleet.fold(0, 34 * 24)) == []
