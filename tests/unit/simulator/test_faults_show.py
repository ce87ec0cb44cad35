"""Every fault does what it says, to whom it says, in the time that it says."""

from datetime import timedelta
from itertools import groupby, pairwise
from statistics import median
from typing import Any

import pytest

from fleetmeter.anomalies.model import Subject
from fleetmeter.readings.kinds import MAX_REGISTER_KWH
from fleetmeter_simulator.faults.kinds import Fault
from tests.support.simulated_fleets import Sent, healthy, us, with_fault

pytestmark = pytest.mark.slow  # each simulates a week

STANDBY_MWH = 450
"""No healthy meter takes more in a minute: 25 W and noise."""


def energy(rows: list[tuple[Any, ...]]) -> int:
    return sum(row[2] for row in rows)


def charging_ac(rows: list[tuple[Any, ...]]) -> int:
    return sum(row[2] for row in rows if row[2] > STANDBY_MWH)


def efficiency_of_sessions(sent: Sent, fault: Fault) -> float:
    """Return DC ÷ AC of what EV-5 charged at MTR-4 during a fault."""
    dc, ac = sent.within("EV-5", fault), sent.within("MTR-4", fault)
    preheating = 0
    minutes = {row[1] // 60_000_000 for row in dc if row[2]}
    for row in ac:
        near = {row[1] // 60_000_000 + off for off in (-1, 0, 1)}
        if row[2] > STANDBY_MWH and not near & minutes:
            preheating += row[2]
    return energy(dc) / (charging_ac(ac) - preheating)


def unchanged(sent: Sent, *but: str) -> bool:
    """Return whether all other devices send what they send without the fault."""
    return all(
        rows == sent.rows[device] for device, rows in healthy().rows.items() if device not in but
    )


def run_lengths(flags: list[bool]) -> list[int]:
    return [len(list(run)) for flag, run in groupby(flags) if flag]


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("efficiency_low", 0.12, 0.2), ("efficiency_drop", 0.06, 0.09)]
)
def test_less_arrives_of_a_worn_charger(kind: str, least: float, most: float) -> None:
    fault, sent = with_fault(f"{kind}@EV-5+36h/5d")
    assert fault.subject == Subject("vehicle", "EV-5")
    assert least <= fault.numbers["points"] <= most
    lost = efficiency_of_sessions(healthy(), fault) - efficiency_of_sessions(sent, fault)
    assert lost == pytest.approx(fault.numbers["points"], abs=0.02)
    assert unchanged(sent, "EV-5", "MTR-4")
    assert sum(session.dc_kwh for session in fault.charged) * 1e6 == pytest.approx(
        energy(sent.within("EV-5", fault)), rel=0.03
    )


def test_a_vehicle_at_the_wrong_meter_is_counted_there() -> None:
    fault, sent = with_fault("dc_exceeds_ac:wrong-meter@EV-5+36h/5d")
    assert fault.cause == "wrong_meter"
    other = fault.other_meter_id
    assert other is not None
    begin, end = us(fault.start), us(fault.end)
    swapped = "swapped" in fault.numbers

    def change(device: str) -> int:
        return energy(sent.within(device, fault)) - energy(healthy().within(device, fault))

    moved = charging_ac(healthy().within("MTR-4", fault))
    assert moved > 20_000_000
    if not swapped:
        assert charging_ac(sent.within("MTR-4", fault)) == 0
    # the same energy, at another place
    assert change("MTR-4") < 0 < change(other)
    assert change("MTR-4") == pytest.approx(-change(other), rel=0.02)
    outside = [row for row in sent.rows["MTR-4"] if not begin <= row[1] < end + 120_000_000]
    assert set(outside) <= set(healthy().rows["MTR-4"])
    assert unchanged(sent, "MTR-4", other)


def test_a_clock_that_is_late_tells_of_everything_too_early() -> None:
    fault, sent = with_fault("dc_exceeds_ac:clock-offset@EV-5+36h/5d")
    behind = fault.numbers["behindS"]
    assert 15 * 60 <= behind <= 75 * 60
    device = "EV-5" if sent.rows["MTR-4"] == healthy().rows["MTR-4"] else "MTR-4"
    lags = [
        (arrives - time) / 1e6
        for (own, time), arrives in sent.arrived.items()
        if own == device and us(fault.start) <= arrives < us(fault.end)
    ]
    near = [lag for lag in lags if behind <= lag < behind + 30]
    assert len(near) > 0.98 * len(lags)
    assert len(sent.rows[device]) == len(healthy().rows[device])
    assert energy(sent.rows[device]) == energy(healthy().rows[device])
    kinds = {(each.kind, each.subject.device_id) for each in sent.fleet.acceptable}
    assert ("clock_skew", device) in kinds


def test_readings_of_a_meter_get_lost_while_it_is_charged_at() -> None:
    fault, sent = with_fault("dc_exceeds_ac:missing-ac@EV-5+36h/5d")
    before = [row for row in healthy().within("MTR-4", fault) if row[2] > STANDBY_MWH]
    after = [row for row in sent.within("MTR-4", fault) if row[2] > STANDBY_MWH]
    assert len(set(after) - set(before)) < 5  # another one got lost on the way
    assert 1 - len(after) / len(before) == pytest.approx(fault.numbers["lost"], abs=0.05)
    idle = [row for row in healthy().rows["MTR-4"] if row[2] <= STANDBY_MWH]
    assert len(set(idle) - set(sent.rows["MTR-4"])) < 10


def test_a_register_that_restarts_loses_what_it_counted() -> None:
    fault, sent = with_fault("dc_exceeds_ac:register-reset@EV-5+36h/5d")
    totals = [row[2] for row in sent.within("MTR-4", fault)]
    steps = [after - before for before, after in pairwise(totals)]
    resets = [step for step in steps if step < 0]
    days = (fault.end - fault.start) / timedelta(days=1)
    assert len(resets) > 25 * days
    counted = sum(step for step in steps if step > 0)
    consumed = energy(healthy().within("MTR-4", fault))
    assert 0.6 < counted / consumed < 0.9
    assert unchanged(sent, "MTR-4")


def test_a_meter_that_lags_shows_everything_late_and_at_once() -> None:
    fault, sent = with_fault("dc_exceeds_ac:reporting-lag@EV-5+36h/5d")
    own = [row[2] for row in sent.within("MTR-4", fault)]
    zeros = run_lengths([value == 0 for value in own])
    assert 19 <= median(zeros) <= fault.numbers["lagMin"] <= 50
    assert energy(sent.rows["MTR-4"]) == pytest.approx(energy(healthy().rows["MTR-4"]), rel=0.05)
    assert unchanged(sent, "MTR-4")


def test_a_meter_loses_energy_when_nobody_charges() -> None:
    fault, sent = with_fault("standby_loss@EV-5+36h/3d")
    assert fault.subject == Subject("meter", "MTR-4")
    least_w = min(row[2] for row in sent.within("MTR-4", fault)[2:-2]) * 60 / 1000
    assert least_w >= fault.numbers["watts"] >= 200
    assert unchanged(sent, "MTR-4")


@pytest.mark.parametrize(
    ("fault_of", "silent"),
    [
        ("vehicle_silent@EV-5", {"EV-5"}),
        ("meter_silent@EV-5", {"MTR-4"}),
        (
            "site_silent@SITE-1",
            {f"EV-{n}" for n in range(1, 8)} | {f"MTR-{n}" for n in range(1, 7)},
        ),
    ],
)
def test_silence_is_silence_and_nothing_comes_later(fault_of: str, silent: set[str]) -> None:
    fault, sent = with_fault(f"{fault_of}+50h/12h")
    for device in silent:
        assert len(sent.within(device, fault)) <= 1  # of the minute that had just ended
        assert len(healthy().within(device, fault)) > 120
    assert unchanged(sent, *silent)


@pytest.mark.parametrize("variant", ["sag", "swell"])
def test_the_voltage_leaves_its_range_at_times_for_a_quarter_of_an_hour(variant: str) -> None:
    fault, sent = with_fault(f"voltage_out_of_range:{variant}@MTR-4+36h/2d")
    wrong = [
        row[3] < 207_000 if variant == "sag" else row[3] > 253_000
        for row in sent.within("MTR-4", fault)
    ]
    assert len(run_lengths(wrong)) >= 4
    assert min(run_lengths(wrong)[:-1]) >= 15
    assert sum(wrong) < len(wrong) / 2


def test_a_battery_gets_hot_for_hours() -> None:
    fault, sent = with_fault("battery_hot@EV-5+40h/3h")
    hot = [row[4] >= 4600 for row in sent.within("EV-5", fault)]
    assert max(run_lengths(hot)) >= 60
    assert max(row[4] for row in sent.rows["EV-5"]) <= 6000
    assert max(row[4] for row in healthy().rows["EV-5"]) < 4200


def test_a_battery_is_charged_though_it_is_frozen() -> None:
    fault, sent = with_fault("battery_cold_charging@EV-5+36h/5d")
    cold = [row for row in sent.within("EV-5", fault) if row[2] and row[4] < 0]
    assert len(cold) >= 60
    assert min(row[4] for row in cold) >= -1600
    assert not [row for row in healthy().rows["EV-5"] if row[2] and row[4] < 0]


@pytest.mark.parametrize("variant", ["soc", "energy"])
def test_energy_and_state_of_charge_disagree_by_a_third(variant: str) -> None:
    fault, sent = with_fault(f"soc_mismatch:{variant}@EV-5+36h/5d")
    assert fault.charged
    for session in fault.charged:
        rows = [row for row in sent.rows["EV-5"] if us(session.begin) <= row[1] < us(session.end)]
        gain = (max(row[3] for row in rows) - min(row[3] for row in rows)) / 10_000
        if gain > 0.15 and fault.start <= session.begin and session.end <= fault.end:
            assert 0.28 <= abs(energy(rows) / 1e6 / (gain * 40) - 1) <= 0.55


@pytest.mark.parametrize(("variant", "low", "high"), [("behind", 360, 2460), ("ahead", -280, -80)])
def test_a_clock_is_wrong_in_every_reading(variant: str, low: int, high: int) -> None:
    fault, sent = with_fault(f"clock_skew:{variant}@EV-5+36h/12h")
    lags = [
        (arrives - time) / 1e6
        for (device, time), arrives in sent.arrived.items()
        if device == "EV-5" and us(fault.start) + 60e6 <= arrives < us(fault.end)
    ]
    assert len(lags) > 600
    assert sum(low <= lag <= high for lag in lags) > 0.98 * len(lags)
    assert max(-lag for lag in lags) < 300  # the service refuses more


def test_a_clock_of_another_time_zone_is_off_by_whole_hours() -> None:
    fault, sent = with_fault("dc_exceeds_ac:time-zone@EV-5+60h/4d")
    assert fault.cause == "clock_offset"
    hours = round(fault.numbers["behindS"] / 3600)
    assert 1 <= abs(hours) <= 12
    assert 10 <= fault.numbers["behindS"] - hours * 3600 <= 50
    device = "EV-5" if sent.rows["MTR-4"] == healthy().rows["MTR-4"] else "MTR-4"
    assert energy(sent.rows[device]) == energy(healthy().rows[device])


@pytest.mark.parametrize(("variant", "least", "most"), [("wh", 1000, 1000), ("double", 2, 3)])
def test_a_meter_tells_too_much(variant: str, least: float, most: float) -> None:
    fault, sent = with_fault(f"power_implausible:{variant}@EV-5+36h/3d")
    assert fault.subject == Subject("meter", "MTR-4")
    assert fault.cause == ("unit_wh" if variant == "wh" else None)
    factor = energy(sent.within("MTR-4", fault)) / energy(healthy().within("MTR-4", fault))
    assert least * 0.99 <= factor <= most * 1.01
    assert unchanged(sent, "MTR-4")


def test_a_state_of_charge_stays_as_it_is() -> None:
    fault, sent = with_fault("soc_stuck@EV-5+36h/4d")
    assert len({row[3] for row in sent.within("EV-5", fault)}) == 1
    assert len({row[3] for row in healthy().within("EV-5", fault)}) > 20


def test_a_state_of_charge_is_a_ratio() -> None:
    fault, sent = with_fault("soc_scale@EV-5+36h/4d")
    # the first is of the minute that had just ended
    shown = {row[1]: row[3] for row in sent.within("EV-5", fault)[1:]}
    true = {row[1]: row[3] for row in healthy().within("EV-5", fault)}
    assert max(shown.values()) <= 100
    assert all(abs(shown[time] * 100 - true[time]) < 100 for time in shown.keys() & true.keys())


def test_a_register_shows_nothing_for_a_moment() -> None:
    fault, sent = with_fault("register_unstable@EV-5+36h/2d")
    totals = [row[2] for row in sent.within("MTR-4", fault)]
    dips = [number for number, total in enumerate(totals) if total == 0]
    assert len(dips) >= 48 * 60 / fault.numbers["everyMin"] - 2
    assert all(totals[at - 1] <= totals[at + 1] for at in dips[1:-1])


@pytest.mark.parametrize(("variant", "ahead_s"), [("year", 365 * 86_400), ("minutes", 360)])
def test_readings_are_stamped_in_the_future(variant: str, ahead_s: int) -> None:
    fault, sent = with_fault(f"readings_refused:{variant}@EV-5+36h/12h")
    assert fault.subject == Subject("vehicle", "EV-5")
    ahead = [
        (time - arrives) / 1e6
        for (device, time), arrives in sent.arrived.items()
        if device == "EV-5" and us(fault.start) + 60e6 <= arrives < us(fault.end)
    ]
    # what is sent again minutes later is hardly ahead any more
    assert sum(ahead_s <= each <= ahead_s + 60 for each in ahead) > 0.98 * len(ahead)
    assert unchanged(sent, "EV-5")


def test_readings_are_in_a_unit_that_never_fits() -> None:
    fault, sent = with_fault("readings_refused:unit@EV-5+36h/12h")
    assert fault.subject == Subject("meter", "MTR-4")
    assert all(row[2] / 1e6 > MAX_REGISTER_KWH for row in sent.within("MTR-4", fault)[1:])
    before = [row for row in sent.rows["MTR-4"] if row[1] < us(fault.start)]
    assert all(row[2] / 1e6 <= MAX_REGISTER_KWH for row in before)
    assert unchanged(sent, "MTR-4")
