"""efficiency_low and efficiency_drop, with worked numbers."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change, Device, Subject
from fleetmeter.anomalies.rules.efficiency.low import EfficiencyLow
from fleetmeter.anomalies.rules.efficiency.session_efficiency import cold_allowance, expected
from fleetmeter.anomalies.rules.efficiency.thresholds import EXPECTED
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import Fleet, at, between, of, vehicle


def charged(
    efficiency: float,
    kw: float = 11.0,
    hours: tuple[float, float] = (10.5, 14.5),
    temp_c: float = 20.0,
    last: int = 24,
    states: dict[Subject, DeviceState] | None = None,
) -> list[Change]:
    """Return the findings about one session."""
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    fleet.drives("V", (0, last), between(*hours, kw * efficiency), "M", temp_c=temp_c)
    fleet.meters_("M", (0, last), between(*hours, kw, 0.01))
    return fleet.fold(0, last, states)


def days(
    efficiencies: list[float], kws: list[float] | None = None, temps: list[float] | None = None
) -> list[Change]:
    """Return the findings about a session each day, from 10:00 to 14:00."""
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    for day, efficiency in enumerate(efficiencies):
        hours = (24.0 * day, 24.0 * day + 24)
        kw = kws[day] if kws else 7.4
        temp_c = temps[day] if temps else 20.0
        span = (hours[0] + 10, hours[0] + 14)
        fleet.drives("V", hours, between(*span, kw * efficiency), "M", temp_c=temp_c)
        fleet.meters_("M", hours, between(*span, kw, 0.01))
    return fleet.fold(0, 24 * len(efficiencies))


def test_what_is_expected_follows_the_power() -> None:
    assert expected(EXPECTED, 2.3) == 0.76
    assert expected(EXPECTED, 11) == expected(EXPECTED, 350) == 0.94
    assert expected(EXPECTED, 0.1) == 0.40
    # half of the way from 3.7 to 5 kW, half of the way from 0.84 to 0.88
    assert expected(EXPECTED, 4.35) == pytest.approx(0.86)


def test_cold_may_cost_something_up_to_a_limit() -> None:
    parameters = EfficiencyLow()
    assert cold_allowance(parameters, 15) == 0
    assert cold_allowance(parameters, -5) == pytest.approx(20 * 0.004)
    assert cold_allowance(parameters, -40) == 0.14


@pytest.mark.parametrize(
    ("kw", "healthy", "low"),
    # 0.07 below 0.76, 0.84, 0.91 and 0.94
    [(2.3, 0.695, 0.685), (3.7, 0.775, 0.765), (7.4, 0.845, 0.835), (11, 0.875, 0.865)],
)
def test_a_session_is_low_when_it_is_a_margin_below_what_its_power_expects(
    kw: float, healthy: float, low: float
) -> None:
    assert charged(healthy, kw) == []
    (change,) = charged(low, kw)
    assert (change.kind, change.subject) == ("efficiency_low", vehicle("V"))
    assert (change.started_at, change.ended_at) == (at(10), None)
    assert change.evidence["efficiency"] == pytest.approx(low, abs=0.001)
    assert change.evidence["powerKw"] == pytest.approx(kw, abs=0.01)


def test_a_long_session_is_found_before_it_ends() -> None:
    # 11 to 13 o'clock are steady, the hours before and after may be its edges
    (change,) = charged(0.8, hours=(10.5, 20.5))
    assert change.at == at(13)


def test_cold_batteries_may_take_more() -> None:
    # at -5 °C 0.08 more: 0.94 - 0.07 - 0.08 = 0.79
    assert of("efficiency_low", charged(0.795, temp_c=-5)) == []
    assert len(of("efficiency_low", charged(0.785, temp_c=-5))) == 1


@pytest.mark.parametrize(("kw", "found"), [(1.45, 0), (1.55, 1)])
def test_it_takes_3_kwh(kw: float, found: int) -> None:
    # two steady hours: 2.9 kWh say nothing, 3.1 do
    assert len(charged(0.5, kw, (10.5, 13.5))) == found


def test_two_sessions_of_less_than_two_hours_count_by_their_total_when_they_were_warm() -> None:
    # 40 minutes each side of 12:00; 11 kW in truth, 7.3 as far as hours say, where 0.91 is expected
    def short(efficiency: float, days: int, temp_c: float = 20) -> list[Change]:
        fleet = Fleet()
        fleet.add_vehicle("V")
        fleet.add_meter("M")
        for day in range(days):
            span = (24 * day + 11 + 1 / 3, 24 * day + 12 + 2 / 3)
            hours = (24.0 * day, 24.0 * day + 24)
            fleet.drives("V", hours, between(*span, 11 * efficiency), "M", temp_c=temp_c)
            fleet.meters_("M", hours, between(*span, 11, 0.01))
        return fleet.fold(0, 24 * days)

    assert short(0.845, 2) == []
    assert short(0.83, 1) == []
    assert len(short(0.83, 2)) == 1
    assert short(0.70, 2, temp_c=4) == []


def test_it_is_over_with_a_session_that_is_less_than_the_smaller_margin_below() -> None:
    # expected 0.91: opens below 0.84, clears above 0.86
    changes = days([0.83, 0.85, 0.87, 0.83])
    assert [(change.at.day, change.ended_at) for change in of("efficiency_low", changes)] == [
        (2, None),
        (4, at(48 + 10)),
        (5, None),
    ]


def test_a_drive_of_less_than_an_hour_begins_another_session() -> None:
    # away from 14:10 to 14:50; before it 0.92 arrived, then 0.8 of which 0.84 would be enough
    def charged(soc: Callable[[float], float | None]) -> list[Change]:
        def kw(hours: float) -> float:
            return 0.0 if not 10.5 <= hours < 18.5 or 14.17 <= hours < 14.83 else 7.4

        fleet = Fleet()
        fleet.add_vehicle("V")
        fleet.add_meter("M")
        dc = lambda hours: kw(hours) * (0.92 if hours < 14.5 else 0.8)  # noqa: E731
        fleet.drives("V", (0, 24), dc, "M", soc=soc)
        fleet.meters_("M", (0, 24), lambda hours: kw(hours) + 0.01)
        return of("efficiency_low", fleet.fold(0, 24))

    (change,) = charged(lambda hours: 40 + 4 * hours - (20 if hours > 14.5 else 0))
    assert change.started_at == at(15)
    assert change.evidence["efficiency"] == pytest.approx(0.8, abs=0.01)
    # without a state of charge nobody knows that it drove: one session, of which the best counts
    assert charged(lambda hours: None) == []


def test_hours_that_others_share_do_not_count() -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    for id_, efficiency in (("GOOD", 0.92), ("BAD", 0.6)):
        fleet.add_vehicle(id_)
        fleet.drives(id_, (0, 24), between(10.5, 14.5, 11 * efficiency), "M")
    fleet.meters_("M", (0, 24), between(10.5, 14.5, 22, 0.01))
    assert fleet.fold(0, 24) == []
    # alone for three hours more, the bad one is found
    fleet.drives("BAD", (24, 48), between(34, 40, 11 * 0.6), "M")
    fleet.drives("GOOD", (24, 48), between(34, 36, 11 * 0.92), "M")
    fleet.meters_("M", (24, 48), lambda t: 22 if 34 <= t < 36 else 11 if 36 <= t < 40 else 0.01)
    assert {change.subject for change in fleet.fold(0, 48)} == {vehicle("BAD")}


def test_a_cabin_that_is_heated_meanwhile_is_no_loss_of_charging() -> None:
    for others in (False, True):
        fleet = Fleet()
        fleet.add_vehicle("V")
        fleet.add_meter("M")
        fleet.drives("V", (0, 24), between(10.5, 17.5, 3.7 * 0.82), "M")
        # for an hour and a half in the middle, of its own or of a vehicle beside it
        fleet.meters_("M", (0, 24), lambda t: between(10.5, 17.5, 3.7)(t) + between(13, 14.5, 2)(t))
        if others:
            fleet.add_vehicle("X")
            fleet.drives("X", (0, 24), 0.0, "M")
        assert of("efficiency_low", fleet.fold(0, 24)) == []


def test_hours_that_one_side_does_not_cover_do_not_count() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    # every third reading of the vehicle is lost: its DC is a third too small
    fleet.drives(
        "V",
        (0, 24),
        between(10.5, 14.5, 10),
        "M",
        keeps=lambda n: not (600 < n < 900 and n % 3 == 0),
    )
    fleet.meters_("M", (0, 24), between(10.5, 14.5, 11, 0.01))
    assert fleet.fold(0, 24) == []


def test_heating_before_a_session_is_no_loss() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    fleet.drives("V", (0, 24), between(11, 14, 10), "M", temp_c=2)
    # two kilowatts for half an hour before
    fleet.meters_("M", (0, 24), lambda t: 11 if 11 <= t < 14 else 2 if 10.5 <= t < 11 else 0.01)
    assert fleet.fold(0, 24) == []


def test_a_drop_is_measured_by_the_vehicles_own_sessions() -> None:
    # 0.92 each day; 0.86 is healthy as such (0.84), but 6 points less than usual
    changes = days([0.92, 0.925, 0.915, 0.92, 0.92, 0.86])
    (change,) = changes
    assert (change.kind, change.started_at) == ("efficiency_drop", at(5 * 24 + 10))
    assert change.evidence["drop"] == pytest.approx(0.06, abs=0.002)
    assert change.evidence["sessions"] == 5


def test_a_small_drop_is_none_and_four_sessions_are_no_baseline() -> None:
    assert days([0.90, 0.905, 0.895, 0.90, 0.90, 0.855]) == []
    assert days([0.90, 0.905, 0.895, 0.90, 0.84]) == []


def test_the_more_sessions_differ_the_larger_a_drop_must_be() -> None:
    # deviations from 0.90: 0, 0.02, 0.02, 0.03, 0.03; the median 0.02 × 1.4826 × 3 = 0.089
    assert days([0.90, 0.92, 0.88, 0.93, 0.87, 0.845]) == []


def test_charging_at_another_power_is_no_drop() -> None:
    kws = [11.0] * 6 + [2.3]
    assert days([0.92] * 6 + [0.75], kws) == []


def test_charging_in_the_cold_is_no_drop() -> None:
    # 0.06 less at 0 °C, where 0.06 are allowed; and warm again after cold days
    assert days([0.90] * 6 + [0.84], temps=[20.0] * 6 + [0.0]) == []
    assert days([0.90] * 7, temps=[0.0] * 6 + [20.0]) == []


def test_a_drop_is_over_close_to_what_was_usual() -> None:
    # opens 0.05 below, clears less than 0.03 below
    changes = days([0.90] * 6 + [0.845, 0.865, 0.88])
    assert [change.ended_at for change in changes] == [None, at(8 * 24 + 10)]


def test_a_vehicle_that_does_not_charge_any_more_has_no_drop_after_a_week() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    for day, efficiency in enumerate([0.90] * 6 + [0.83]):
        span = (24 * day + 10, 24 * day + 14)
        hours = (24.0 * day, 24.0 * day + 24)
        fleet.drives("V", hours, between(*span, 7.4 * efficiency), "M")
        fleet.meters_("M", hours, between(*span, 7.4, 0.01))
    fleet.drives("V", (168, 400), 0.0, "M")
    fleet.meters_("M", (168, 400))
    changes = of("efficiency_drop", fleet.fold(0, 400))
    assert [change.ended_at for change in changes] == [None, at(6 * 24 + 13)]
    assert "7 days" in changes[1].summary


def test_a_rule_that_is_switched_off_while_open_is_over() -> None:
    states: dict[Subject, DeviceState] = {}
    assert len(charged(0.8, states=states)) == 1
    off = Rulebook([Override("efficiency_low", "vehicle", "V", {"enabled": False})])
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    fleet.drives("V", (24, 25), 0.0, "M")
    fleet.meters_("M", (24, 25))
    (change,) = fleet.fold(24, 25, states, off)
    assert (change.ended_at, change.summary) == (at(25), "the rule was switched off")
    assert "efficiency_low" not in states[vehicle("V")].conditions


@pytest.mark.parametrize("is_there", [True, False])
def test_beside_a_vehicle_that_reports_nothing_no_session_is_judged(is_there: bool) -> None:
    # W charges all day, and has been silent since 9:00: its share of the AC cannot be known
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    fleet.devices[vehicle("W")] = Device(vehicle("W"), None, 60, None, "M" if is_there else "N")
    fleet.vehicles["W"] = []
    fleet.drives("W", (0, 9), 6.6, "M")
    fleet.drives("V", (0, 24), between(10.5, 14.5, 6.6), "M")
    fleet.meters_("M", (0, 24), lambda time: 14.7 if 10.5 <= time < 14.5 else 7.4)
    assert len(of("efficiency_low", fleet.fold(0, 24))) == (not is_there)
