"""voltage_out_of_range and standby_loss."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleetmeter.anomalies.evaluate import Memory
from fleetmeter.anomalies.model import Change, Subject
from fleetmeter.anomalies.rules import Override, Rulebook
from tests.unit.anomalies.fleet import Fleet, at, between, meter


def supplied(
    volts: Callable[[float], float],
    last: int = 24,
    interval_s: int = 60,
    rulebook: Rulebook | None = None,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_meter("M", "S", interval_s)
    fleet.meters_("M", (0, last), volts=volts)
    return fleet.fold(0, last, rulebook=rulebook)


def stands_by(
    watts: Callable[[float], float] | float,
    last: int = 24,
    with_vehicle: bool = True,
    dc_kw: Callable[[float], float] | float = 0.0,
    memories: dict[Subject, Memory] | None = None,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_meter("M")
    kw = (lambda t: watts(t) / 1000) if callable(watts) else watts / 1000
    fleet.meters_("M", (0, last), kw)
    if with_vehicle:
        fleet.add_vehicle("V")
        fleet.drives("V", (0, last), dc_kw, "M")
    return fleet.fold(0, last, memories)


@pytest.mark.parametrize(
    ("volts", "opens"), [(253.1, True), (252.9, False), (206.9, True), (207.1, False)]
)
def test_a_mean_of_ten_minutes_decides(volts: float, opens: bool) -> None:
    # after 10:10, to 10:20: as the hours, the ten minutes have the reading at their end
    changes = supplied(between(10 + 10 / 60, 10 + 20 / 60, volts, 230.0), last=11)
    assert bool(changes) == opens
    if opens:
        (change,) = changes
        assert (change.kind, change.subject) == ("voltage_out_of_range", meter("M"))
        assert change.started_at == at(10 + 1 / 6)
        assert change.evidence["meanV"] == pytest.approx(volts)


def test_the_last_ten_minutes_of_an_hour_have_the_reading_on_the_next() -> None:
    # stamped 10:51 to 11:00
    (change,) = supplied(between(10 + 50 / 60, 11, 200.0, 230.0), last=13)[:1]
    assert (change.at, change.started_at) == (at(11), at(10 + 50 / 60))
    assert change.evidence["meanV"] == 200


def test_a_single_sample_is_nothing() -> None:
    # (9 × 230 + 150) ⁄ 10 = 222 V
    assert supplied(between(10.2, 10.2 + 1 / 60, 150.0, 230.0)) == []


def test_of_a_meter_that_reports_rarely_two_readings_are_a_mean_and_one_is_none() -> None:
    assert len(supplied(between(10, 10.3, 255.0, 230.0), last=11, interval_s=300)) == 1
    assert supplied(between(10, 10.3, 255.0, 230.0), last=11, interval_s=600) == []


def test_where_a_whole_hour_lies_outside_its_readings_are_not_asked_for() -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, 5), volts=256.0)
    assert len(fleet.fold(0, 5)) == 1
    assert not any(asked.readings for asked in fleet.asked)


def test_it_is_over_after_two_hours_within_nine_percent() -> None:
    # 252 V is neither wrong (253) nor right (250.7)
    def volts(time: float) -> float:
        return 256.0 if 5 <= time < 6 else 252.0 if time < 10 else 249.0

    changes = supplied(volts)
    assert [(c.at, c.ended_at) for c in changes] == [(at(6), None), (at(12), at(10))]


@pytest.mark.parametrize("hours", [(10 + 10 / 60, 10 + 20 / 60), (10, 11)])
def test_the_worst_phase_decides(hours: tuple[float, float]) -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    sag = between(*hours, 200.0, 240.0)
    fleet.meters_("M", (0, 24), volts=None, phases=(231.0, sag, None))
    opened, cleared = fleet.fold(0, 24)
    assert (opened.started_at, opened.evidence["phase"]) == (at(hours[0]), "L2")
    assert opened.evidence["meanV"] == pytest.approx(200)
    assert cleared.at > opened.at
    assert "on L2" in opened.summary


def test_phases_win_over_the_voltage_between_them() -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, 4), volts=400.0, phases=(231.0, 230.0, 229.0))
    assert not fleet.fold(0, 4)


def test_nominal_voltage_is_set_by_site() -> None:
    america = Rulebook(
        [
            Override(
                "voltage_out_of_range",
                "site",
                "S",
                {"nominalV": 120, "tolerance": 0.05, "clearTolerance": 0.04},
            )
        ]
    )
    assert supplied(lambda t: 120.0, rulebook=america) == []
    (change,) = supplied(lambda t: 113.0, rulebook=america)
    assert change.evidence["lowV"] == 114


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
    fleet.add_meter("M")
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
    memories: dict[Subject, Memory] = {}
    assert stands_by(25, memories=memories) == []
    assert memories == {}


def test_a_run_with_a_day_in_between_begins_anew() -> None:
    # three hours, more than a day of which nothing is known, three hours
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 60), 0.0, "M")
    fleet.meters_("M", (0, 3), 0.3)
    fleet.meters_("M", (30, 34), 0.3)
    changes = fleet.fold(0, 34)
    assert [c for c in changes if c.kind == "standby_loss"] == []
    assert fleet.hour(30).starts - fleet.hour(3).starts > timedelta(days=1)
