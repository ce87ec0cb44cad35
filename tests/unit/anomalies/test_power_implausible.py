"""power_implausible."""

import pytest

from fleetmeter.anomalies.model import AnomalyKind, Change
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import Fleet, Values, at, between, meter, of, vehicle

KIND: AnomalyKind = "power_implausible"


def metered(
    ac_kw: Values,
    last: int = 24,
    interval_s: int = 60,
    rated_w: int | None = 11_000,
    rulebook: Rulebook | None = None,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_meter("M", interval_s=interval_s, rated_w=rated_w)
    fleet.meters_("M", (0, last), ac_kw)
    return of(KIND, fleet.fold(0, last, rulebook=rulebook))


@pytest.mark.parametrize(
    ("kw", "minutes", "opens"),
    [
        (16.6, 15, True),  # limit: 16.5 kW
        (16.4, 15, False),
        (16.4, 600, False),
        (25.2, 14, False),
        (25.2, 30, True),
        (11.0, 600, False),
    ],
)
def test_half_as_much_again_as_the_rated_power_for_a_quarter_of_an_hour(
    kw: float, minutes: int, opens: bool
) -> None:
    changes = metered(between(10, 10 + minutes / 60, kw, 0.01), last=22)
    assert bool(changes) == opens
    if opens:
        (change,) = changes
        assert (change.subject, change.started_at, change.at) == (meter("M"), at(10), at(11))
        assert (change.cause, change.evidence["limitKw"]) == ("unknown", 16.5)
        assert change.evidence["meanKw"] == pytest.approx(kw)


@pytest.mark.parametrize("begins", [10.8, 10.9, 10.95])
def test_on_the_edge_of_an_hour(begins: float) -> None:
    (change,) = metered(between(begins, begins + 0.26, 20, 0.01))
    assert change.started_at == at(begins)


@pytest.mark.parametrize(
    ("rated_w", "kw", "cause"),
    [
        (22_000, 10_500, "unit_wh"),
        (22_000, 700, "unknown"),
        (22_000, 60_000, "unknown"),
        (None, 7_400, "unit_wh"),
        (None, 1_200, "unit_wh"),
    ],
)
def test_watt_hours_sent_as_kilowatt_hours(rated_w: int | None, kw: float, cause: str) -> None:
    (change,) = metered(between(10, 11, kw, 5), last=14, rated_w=rated_w)
    assert change.cause == cause
    assert ("probably sends Wh as kWh" in change.summary) == (cause == "unit_wh")


def test_a_vehicle_above_a_megawatt_is_implausible_and_one_below_is_not() -> None:
    fleet = Fleet()
    for id_, kw in (("V", 7_000), ("X", 350)):
        fleet.add_vehicle(id_)
        fleet.drives(id_, (0, 5), between(2, 3, kw))
    (change,) = of(KIND, fleet.fold(0, 5))
    assert (change.subject, change.cause) == (vehicle("V"), "unit_wh")


def test_the_steps_of_a_coarse_register_are_no_power() -> None:
    # 3.6 kW by tenths of a kilowatt-hour: 6 kW in three minutes of five, above 5.55
    def tenths(hours: float) -> float:
        minute = round(hours * 60)
        return (minute * 6 // 10 - (minute - 1) * 6 // 10) * 6.0

    assert metered(tenths, rated_w=3_700) == []
    assert len(metered(lambda hours: tenths(hours) * 2, rated_w=3_700, last=3)) == 1


def test_lumps_are_no_power() -> None:
    # ten minutes' energy in each tenth reading
    assert metered(lambda t: 100 if (t * 60) % 10 >= 9 else 0) == []


def test_a_coarse_register_is_no_power() -> None:
    # 1 kWh at a time: 60 kW for a minute, and six of nothing
    assert metered(lambda t: 60 if (t * 60) % 7 >= 6 else 0) == []


def test_readings_of_an_hour_and_of_ten_minutes() -> None:
    assert len(metered(between(10, 11, 20, 0), interval_s=3600)) == 1
    assert len(metered(between(10, 10.34, 20, 0), interval_s=600)) == 1
    assert metered(between(10, 10.15, 20, 0), interval_s=600) == []


def test_it_is_over_after_a_day_of_energy_below() -> None:
    opened, cleared = metered(between(10, 11, 20, 5), last=48)
    assert (opened.at, cleared.at, cleared.ended_at) == (at(11), at(35), at(11))


def test_without_energy_it_is_not_over() -> None:
    assert len(metered(between(10, 11, 20, 0), last=72)) == 1


def test_the_factor_can_be_set() -> None:
    rulebook = Rulebook([Override("power_implausible", "fleet", "", {"factor": 2.5})])
    assert metered(between(10, 11, 20, 0.01), rulebook=rulebook) == []


def test_readings_of_a_device_far_below_its_limit_are_not_asked_for() -> None:
    fleet = Fleet()
    fleet.add_meter("M", rated_w=22_000)
    fleet.meters_("M", (0, 5), between(2, 4, 3.7, 0.01))
    fleet.fold(0, 5)
    assert not any(asked.peaks for asked in fleet.asked)


def test_standby_in_watt_hours_has_no_cause_until_somebody_charges() -> None:
    # 4.3 W of standby look like 4.3 kW, more than 1.5 × 2.3 kW; a charge like 2,200 kW
    opened, revised = metered(between(5, 7, 2_200, 4.3), last=20, rated_w=2_300)
    assert (opened.cause, opened.at) == ("unknown", at(1))
    assert (revised.cause, revised.at, revised.revises) == ("unit_wh", at(6), True)


@pytest.mark.parametrize(
    ("role", "rated_w", "opens"),
    [
        ("charger", None, True),
        ("site", None, False),
        ("storage", None, False),
        ("site", 900_000, True),
    ],
)
def test_what_is_no_charger_and_has_no_rating_may_take_megawatts(
    role: str, rated_w: int | None, opens: bool
) -> None:
    fleet = Fleet()
    fleet.add_meter("M", rated_w=rated_w, role=role)
    fleet.meters_("M", (0, 5), 1_900)
    assert bool(fleet.fold(0, 5)) == opens
