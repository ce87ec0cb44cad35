"""voltage_out_of_range, and which voltage is nominal."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change, Subject
from fleetmeter.anomalies.rules.nominal_voltage import Nominal, VoltageState, nearest
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import Fleet, Values, at, between, meter


def nominal_of(state: DeviceState) -> Nominal | None:
    remembered = state.get(VoltageState)
    return None if remembered is None else remembered.nominal


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
    fleet.meters_("M", (0, 5), volts=between(3, 5, 256.0, 230.0))
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
    ("volts", "nominal"),
    [
        (118, 120),
        (121.5, 120),
        (206, 208),
        (225, 230),
        (243, 230),
        (272, 277),
        (391, 400),
        (494, 480),
        (48, None),
        (155, None),
        (690, None),
    ],
)
def test_the_nearest_standard_voltage_is_nominal(volts: float, nominal: int | None) -> None:
    assert nearest(volts) == nominal


@pytest.mark.parametrize("nominal", [120, 208, 230, 277, 400, 480])
def test_the_first_day_shows_which_voltage_is_nominal(nominal: int) -> None:
    low = 0.88 * nominal
    (change,) = supplied(between(30, 30.5, low, nominal * 1.02), last=31)
    assert change.evidence["nominalV"] == nominal
    assert change.evidence["nominalFrom"] == "readings"
    assert f"({nominal} V ± 10 %)" in change.summary


def test_the_median_of_the_first_day_decides_for_good() -> None:
    # three bad hours at first look like 208 V, then a day at 230, then a week at 212
    states: dict[Subject, DeviceState] = {}

    def volts(time: float) -> float:
        return 211.0 if time < 3 or time > 50 else 231.0

    fleet = Fleet()
    fleet.add_meter("M", "S")
    fleet.meters_("M", (0, 70), volts=volts)
    changes = fleet.fold(0, 70, states)
    remembered = nominal_of(states[meter("M")])
    assert remembered is not None
    assert (remembered.volts, remembered.since) == (230, None)
    # until the median is known, 231 V are beyond 208 V + 10 %
    assert changes
    assert all(change.at <= at(10) for change in changes)


def test_a_weak_supply_beside_meters_of_230_volts_is_not_one_of_208() -> None:
    fleet = Fleet()
    fleet.add_meter("M", "S")
    fleet.meters_("M", (0, 60))
    fleet.add_meter("N", "S")
    fleet.meters_("N", (30, 60), volts=205.0)
    (change,) = fleet.fold(0, 60)
    assert (change.subject, change.evidence["nominalV"]) == (meter("N"), 230)


@pytest.mark.parametrize(
    ("role", "nominal"), [(None, 400), ("charger", 400), ("site", 480), ("solar", 480)]
)
def test_a_meter_with_the_same_role_speaks_before_the_first_of_the_site(
    role: str | None, nominal: int
) -> None:
    # the main meter, the first, is before the transformer that the chargers are behind
    fleet = Fleet()
    fleet.add_meter("MAIN", "S", role="site")
    fleet.meters_("MAIN", (0, 80), volts=478.0)
    fleet.add_meter("C", "S")
    fleet.meters_("C", (20, 80), volts=402.0)
    fleet.add_meter("D", "S", role=role)
    fleet.meters_("D", (50, 80), volts=436.0)
    states: dict[Subject, DeviceState] = {}
    assert fleet.fold(0, 80, states) == []
    found = [nominal_of(states[meter(id_)]) for id_ in ("MAIN", "C", "D")]
    assert [each and each.volts for each in found] == [480, 400, nominal]
    of_site = states[Subject("site", "S")].get(VoltageState)
    assert of_site is not None
    assert of_site.nominal_of_role["charger"] == 400


@pytest.mark.parametrize(
    ("volts", "phases"),
    [
        (0.0, ()),
        (lambda t: 0.0 if t % 1 < 0.5 else 230.0, ()),
        (230.0, (230.0, 0.0, 0.0)),
        (None, (0.0, 231.0, lambda t: 0.0 if t > 5 else 229.0)),
        (between(3, 20, 0.0, 230.0), ()),
    ],
)
def test_a_voltage_that_is_absent_is_not_out_of_range(
    volts: Values, phases: tuple[Values, ...]
) -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, 30), volts=volts, phases=phases)
    assert fleet.fold(0, 30) == []


def test_what_is_set_counts_from_the_first_hour() -> None:
    rulebook = Rulebook([Override("voltage_out_of_range", "meter", "M", {"nominalV": 230})])
    (change,) = supplied(lambda t: 270.0, last=2, rulebook=rulebook)
    assert (change.at, change.evidence["nominalFrom"]) == (at(1), "setting")
