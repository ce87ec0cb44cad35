"""dc_exceeds_ac: the boundaries, and each cause by its curves."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import msgspec
import pytest

from fleetmeter.anomalies.model import Change
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import find_excesses
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from tests.unit.anomalies.fleet import Fleet, at, between, meter, of, vehicle

SESSION = (10.4, 14.2)
EFFICIENCY = 0.92


def fleet_of(*meters: str) -> Fleet:
    fleet = Fleet()
    for id_ in meters:
        fleet.add_meter(id_)
    return fleet


def charges(
    fleet: Fleet,
    id_: str,
    meter_id: str,
    session: tuple[float, float] = SESSION,
    kw: float = 11.0,
    efficiency: float = EFFICIENCY,
    late_s: float = 0,
    last: float = 30,
) -> None:
    fleet.add_vehicle(id_)
    fleet.drives(id_, (0, last), between(*session, kw * efficiency), meter_id, late_s=late_s)


def found(fleet: Fleet, last: int = 30) -> list[Change]:
    return of("dc_exceeds_ac", fleet.fold(0, last))


@pytest.mark.parametrize(("efficiency", "opens"), [(1.03, False), (1.05, True)])
def test_four_percent_too_much_is_an_excess(efficiency: float, opens: bool) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", efficiency=efficiency)
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    changes = found(fleet)
    assert len(changes) == opens
    if opens:
        (change,) = changes
        assert (change.cause, change.subject) == ("unknown", vehicle("V"))
        # the first hour has 0.33 kWh too much; at 12:00 it is known, an hour and a half are over
        assert change.at == at(12)


@pytest.mark.parametrize("kept_of_ten", [9, 6])
def test_a_meter_that_covers_enough_or_too_little_gives_no_excess(kept_of_ten: int) -> None:
    # 0.9 of 11 kWh are as much as the vehicle took; an hour of which 0.6 are covered says nothing
    fleet = fleet_of("M")
    charges(fleet, "V", "M", efficiency=0.9)
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01), keeps=lambda n: n % 10 < kept_of_ten)
    assert found(fleet) == []


@pytest.mark.parametrize("counts_sessions", [True, False])
def test_what_a_counter_tells_after_a_silence_is_of_no_known_time(counts_sessions: bool) -> None:
    # it began again while nobody heard: 15 kWh in the first of five minutes
    fleet = Fleet()
    fleet.add_meter("M", rated_w=11_000)
    fleet.add_vehicle("V", counts_sessions=counts_sessions)
    fleet.drives("V", (0, 10), 0.0, "M")
    fleet.drives("V", (14.916, 20), lambda h: 900 if h < 14.93 else 10 if h < 16 else 0, "M")
    fleet.meters_("M", (0, 10))
    fleet.meters_("M", (14.916, 30), between(14, 16, 10.9, 0.01))
    assert bool(found(fleet)) != counts_sessions


def test_a_coarse_register_has_not_shown_what_is_behind_its_last_step() -> None:
    # whole kilowatt-hours: 2.5 kWh DC of the 2.7 that were taken by 11:00, of which it shows 2
    def whole(hours: float) -> float:
        minute = int(hours * 60)
        until = [min(max(each - 638, 0), 262) * 7.4 / 60 for each in (minute, minute + 1)]
        return (int(until[1]) - int(until[0])) * 60.0

    def changes(ac_kw: Callable[[float], float]) -> list[Change]:
        fleet = fleet_of("M")
        charges(fleet, "V", "M", (638 / 60, 15), kw=7.4)
        fleet.meters_("M", (0, 30), ac_kw)
        return found(fleet)

    assert changes(whole) == []
    # one that shows half of it is found all the same
    assert len(changes(lambda hours: whole(hours) if int(hours) % 2 else 0.0)) == 1


def test_another_meters_curve_fits() -> None:
    fleet = fleet_of("M", "N")
    charges(fleet, "V", "N")
    fleet.meters_("N", (0, 30))
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    (change,) = found(fleet)
    assert (change.cause, change.evidence["otherMeterId"]) == ("wrong_meter", "M")
    assert change.at == at(11)
    assert change.evidence["efficiency"] == pytest.approx(EFFICIENCY, abs=0.005)


def test_a_reading_on_the_hour_began_in_the_hour_before() -> None:
    # it charges from 10:00, and what came until then was the end of another session
    fleet = fleet_of("M", "N")
    charges(fleet, "V", "N", (10, 14))
    fleet.vehicles["V"][599] = (fleet.vehicles["V"][599][0]._replace(energy_mwh=40_000), "N")
    assert fleet.vehicles["V"][599][0].time == at(10)
    fleet.meters_("N", (0, 30))
    fleet.meters_("M", (0, 30), between(10, 14, 11, 0.01))
    (change,) = found(fleet)
    assert (change.at, change.started_at) == (at(11), at(10 + 1 / 60))
    assert change.evidence["dcKwh"] == pytest.approx(11 * EFFICIENCY, abs=0.001)


def test_of_other_meters_the_one_at_the_same_time_fits() -> None:
    fleet = fleet_of("M", "N", "P", "Q")
    charges(fleet, "V", "N")
    fleet.meters_("N", (0, 30))
    fleet.meters_("P", (0, 30), between(10.2, 14.0, 11, 0.01))
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    fleet.meters_("Q", (0, 30), between(10.4, 12.2, 7.4, 0.01))
    (change,) = found(fleet)
    assert change.evidence["otherMeterId"] == "M"


def test_who_charges_at_the_wrongly_assigned_meter_is_not_told_about() -> None:
    fleet = fleet_of("M", "N")
    charges(fleet, "V", "N")
    charges(fleet, "X", "N", (9.1, 13.3), 7.4, 0.9)
    fleet.meters_("N", (0, 30), between(9.1, 13.3, 7.4, 0.01))
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    changes = fleet.fold(0, 30)
    assert [(c.subject, c.cause) for c in changes] == [(vehicle("V"), "wrong_meter")]


def test_who_charges_at_the_other_meter_is_not_told_about() -> None:
    # V charges beside X at M; by its assignment at N. So X seems to take V's AC as well
    fleet = fleet_of("M", "N")
    charges(fleet, "V", "N")
    charges(fleet, "X", "M", (9.1, 15.3), 7.4, 0.9)
    fleet.meters_("N", (0, 30))
    fleet.meters_(
        "M", (0, 30), lambda t: between(9.1, 15.3, 7.4, 0.01)(t) + between(*SESSION, 11)(t)
    )
    changes = fleet.fold(0, 30)
    assert [(c.subject, c.cause) for c in changes] == [(vehicle("V"), "wrong_meter")]
    assert changes[0].evidence["otherMeterId"] == "M"


def test_two_vehicles_that_changed_places_are_both_at_the_wrong_meter() -> None:
    fleet = fleet_of("M", "N")
    charges(fleet, "V", "N")
    charges(fleet, "X", "M", (10.6, 15.9), 7.4, 0.9)
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    fleet.meters_("N", (0, 30), between(10.6, 15.9, 7.4, 0.01))
    changes = fleet.fold(0, 30)
    assert {(c.subject, c.cause, c.evidence["otherMeterId"]) for c in changes} == {
        (vehicle("V"), "wrong_meter", "M"),
        (vehicle("X"), "wrong_meter", "N"),
    }


@pytest.mark.parametrize("late_s", [600, 1200, 2400, 4000, 5300, -600, -1200, -2400, -4000, -5300])
def test_the_curves_fit_when_shifted(late_s: int) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", late_s=late_s)
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    change = cause_of(found(fleet, 28))
    assert change.cause == "clock_offset"
    assert change.evidence["offsetS"] == pytest.approx(late_s, abs=60)


def test_a_minute_of_difference_is_no_offset() -> None:
    fleet = fleet_of("M")
    # two minutes at 50 kW are 1.6 kWh in the last hour
    charges(fleet, "V", "M", (10.4, 12.01), kw=50, late_s=120)
    fleet.meters_("M", (0, 30), between(10.4, 12.01, 50, 0.01))
    assert fleet.fold(0, 30) == []


@pytest.mark.parametrize("late_s", [1500, -1500])
def test_on_a_shared_meter_the_one_with_the_wrong_clock_is_found(late_s: int) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", late_s=late_s)
    charges(fleet, "X", "M", (9.2, 16.2), 3.7, 0.83)
    fleet.meters_(
        "M", (0, 30), lambda t: between(9.2, 16.2, 3.7, 0.01)(t) + between(*SESSION, 11)(t)
    )
    (change,) = found(fleet)
    assert (change.subject, change.cause) == (vehicle("V"), "clock_offset")
    assert change.evidence["offsetS"] == pytest.approx(late_s, abs=60)


def losing(share: float, hours: tuple[float, float]) -> Callable[[int], bool]:
    rng = Random(1)  # noqa: S311
    return lambda n: not hours[0] * 60 <= n < hours[1] * 60 or rng.random() >= share


def test_readings_of_the_meter_are_missing() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01), keeps=losing(0.25, SESSION))
    (change,) = found(fleet)
    assert change.cause == "missing_ac_readings"
    assert change.evidence["coverageAc"] == pytest.approx(0.75, abs=0.08)


def test_readings_that_are_missing_in_one_hour_alone_are_an_interruption() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01), keeps=losing(0.25, (12, 13)))
    assert found(fleet) == []


def test_the_register_began_anew() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    # it hangs for ten minutes, loses what it counted, and begins at zero
    fleet.meters["M"] = [
        point._replace(energy_mwh=0, reset=n % 40 == 39) if n % 40 >= 29 else point
        for n, point in enumerate(fleet.meters["M"])
    ]
    (change,) = found(fleet)
    assert change.cause == "register_reset"


@pytest.mark.parametrize("every", [25, 45, 90])
def test_the_meter_reports_late_and_in_lumps(every: int) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    held, lumps = 0, []
    for n, point in enumerate(fleet.meters["M"]):
        held += point.energy_mwh or 0
        shows = n % every == every - 1
        lumps.append(point._replace(energy_mwh=held if shows else 0))
        held = 0 if shows else held
    fleet.meters["M"] = lumps
    change = cause_of(found(fleet))
    assert change.cause == "reporting_lag"


def test_it_is_over_when_a_session_fits_again() -> None:
    fleet = fleet_of("M", "N")
    fleet.add_vehicle("V")
    dc = 11 * EFFICIENCY
    fleet.drives("V", (0, 24), between(*SESSION, dc), "N")
    fleet.drives("V", (24, 72), lambda t: dc if 10.4 <= t % 24 < 14.2 else 0, "M")
    fleet.meters_("M", (0, 72), lambda t: 11 if 10.4 <= t % 24 < 14.2 else 0.01)
    fleet.meters_("N", (0, 72))
    changes = fleet.fold(0, 72)
    assert [c.ended_at for c in changes] == [None, at(34)]


def test_a_clock_that_is_wrong_still_does_not_look_right_in_between() -> None:
    fleet = fleet_of("M")
    fleet.add_vehicle("V")
    dc = 11 * EFFICIENCY
    fleet.drives("V", (0, 72), lambda t: dc if 10.4 <= t % 24 < 14.2 else 0, "M", late_s=1200)
    fleet.meters_("M", (0, 72), lambda t: 11 if 10.4 <= t % 24 < 14.2 else 0.01)
    assert [c.ended_at for c in found(fleet, 70)] == [None]


@pytest.mark.parametrize(("covered_s", "is_excess"), [(1800, True), (3600, False)])
def test_a_register_that_tells_the_energy_of_a_silence_is_no_excess(
    covered_s: float, is_excess: bool
) -> None:
    # 25 readings of a minute: half an hour more may be of readings that are lost, not all of it
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30))
    hour = fleet.hour(12)
    (row,) = hour.vehicles
    hour.vehicles = [msgspec.structs.replace(row, readings=25, covered_dc_s=covered_s)]
    assert bool(find_excesses(ObservedHour(hour, {}), Rulebook())) == is_excess


def test_what_a_register_counted_in_a_silence_is_no_excess() -> None:
    # it charged from 9 to 11, but says nothing from 9:00 to 13:30, and then 20 kWh at once
    fleet = fleet_of("M")
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 9), 0.0, "M")
    fleet.drives("V", (13.5, 20), 0.0, "M")
    points = fleet.vehicles["V"]
    first = next(n for n, (point, _) in enumerate(points) if point.time > at(13))
    since_the_one_before_ms = round(4.5 * 3_600_000) + 60_000
    told = points[first][0]._replace(energy_mwh=20_000_000, span_ms=since_the_one_before_ms)
    points[first] = (told, "M")
    fleet.meters_("M", (0, 20), between(9, 11, 11, 0.01))
    assert found(fleet, 19) == []


def test_of_a_time_in_which_the_meter_was_silent_nothing_is_said() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_(
        "M", (0, 30), between(*SESSION, 11, 0.01), keeps=lambda n: not 11.5 * 60 <= n < 12.2 * 60
    )
    assert found(fleet) == []


def cause_of(changes: list[Change]) -> Change:
    """Return the cause that is named in the end."""
    assert [change.revises for change in changes] == [False] + [True] * (len(changes) - 1)
    return changes[-1]


@pytest.mark.parametrize("hours", [-12, -10, -5, -2, 2, 5, 5.5, 10, 12])
def test_a_clock_that_is_hours_off_is_found(hours: float) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", (34.4, 37.2), late_s=hours * 3600, last=60)
    fleet.meters_("M", (0, 60), between(34.4, 37.2, 11, 0.01))
    change = cause_of(found(fleet, 60))
    assert change.cause == "clock_offset"
    assert change.evidence["offsetS"] == pytest.approx(hours * 3600, abs=60)
    assert ("a wrong time zone" in change.summary) == (hours == int(hours))


def test_a_vehicle_that_is_hours_early_has_no_cause_until_the_meter_shows_the_energy() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", (34.4, 37.2), late_s=-5 * 3600, last=60)
    fleet.meters_("M", (0, 60), between(34.4, 37.2, 11, 0.01))
    opened, revised = found(fleet, 60)
    assert (opened.cause, revised.cause, revised.at) == ("unknown", "clock_offset", at(38))
    assert revised.started_at == opened.started_at


def test_daily_charges_beside_a_meter_of_another_time_zone() -> None:
    fleet = fleet_of("M")
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 96), lambda t: 6.8 if 18 <= t % 24 < 21.5 else 0, "M", late_s=-2 * 3600)
    fleet.meters_("M", (0, 96), lambda t: 7.4 if 18 <= t % 24 < 21.5 else 0.01)
    change = cause_of(found(fleet, 90))
    assert (change.cause, change.evidence["offsetS"]) == ("clock_offset", -7200)


def test_what_another_vehicle_took_is_no_offset() -> None:
    # X charged alike, six hours before; of V's energy nothing is to be seen
    fleet = fleet_of("M")
    charges(fleet, "X", "M", (4, 7))
    charges(fleet, "V", "M", (10, 13))
    for id_ in ("X", "V"):
        device = fleet.devices[vehicle(id_)]
        fleet.devices[vehicle(id_)] = msgspec.structs.replace(device, meter_id="M")
    fleet.meters_("M", (0, 30), between(4, 7, 11, 0.01))
    change = cause_of(found(fleet))
    assert (change.subject, change.cause) == (vehicle("V"), "unknown")


def test_where_all_vehicles_at_a_meter_are_off_alike_it_is_the_meters_clock() -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", (34.4, 37.2), late_s=3 * 3600, last=60)
    charges(fleet, "X", "M", (33.1, 36.4), 3.7, late_s=3 * 3600, last=60)
    fleet.meters_(
        "M", (0, 60), lambda t: between(34.4, 37.2, 11, 0.01)(t) + between(33.1, 36.4, 3.7)(t)
    )
    changes = found(fleet, 60)
    assert {c.cause for c in changes} == {"clock_offset"}
    assert {c.evidence.get("clockOf") for c in changes} == {"meter"}
    assert "timestamps of M are 3 hours too early" in changes[-1].summary


@pytest.mark.parametrize("late_s", [-7200, -1800, -600, 2700, 5 * 3600])
def test_beside_a_meter_that_reports_only_while_charging(late_s: int) -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    charge = (34.0, 34.46)
    fleet.add_vehicle("V")
    device = fleet.devices[vehicle("V")]
    fleet.devices[vehicle("V")] = msgspec.structs.replace(device, meter_id="M")
    fleet.drives("V", charge, lambda t: 15 if t < 34.3 else 5, "M", late_s=late_s)
    fleet.meters_("M", charge, lambda t: 16 if t < 34.3 else 5.4)
    change = cause_of(found(fleet, 60))
    assert (change.cause, change.subject) == ("clock_offset", vehicle("V"))
    assert change.evidence["offsetS"] == pytest.approx(late_s, abs=60)


def test_of_a_meter_that_never_shows_the_energy_nothing_is_said_where_it_was_silent() -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 10))
    fleet.meters_("M", (16, 40))
    assert found(fleet, 40) == []


def test_more_dc_than_ac_where_both_report_only_while_charging() -> None:
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.add_vehicle("V")
    fleet.drives("V", (10.5, 11), 22.0, "M")
    fleet.meters_("M", (10.5, 11), 11.0)
    fleet.drives("V", (12.5, 13), 22.0, "M")
    fleet.meters_("M", (12.5, 13), 11.0)
    (change,) = found(fleet, 20)
    assert change.cause == "unknown"
    assert (change.evidence["hourDcKwh"], change.evidence["hourAcKwh"]) == (11.0, 5.5)


def test_the_evidence_is_of_the_hour_with_the_excess() -> None:
    # all is stamped from 9:00 to 9:50, in the next hour the meter counts it
    fleet = fleet_of("M")
    charges(fleet, "V", "M", (10, 10 + 50 / 60), late_s=-3600)
    fleet.meters_("M", (0, 30), between(10, 10 + 50 / 60, 11, 0.01))
    change = cause_of(found(fleet))
    assert change.cause == "clock_offset"
    assert change.evidence["hourDcKwh"] == pytest.approx(11 * EFFICIENCY * 50 / 60, abs=0.2)
    assert change.evidence["hourAcKwh"] == pytest.approx(0.01, abs=0.001)


def test_a_meter_that_shows_nothing_yet_is_not_late() -> None:
    # it hangs until 13:00, then all of it comes at once
    fleet = fleet_of("M")
    charges(fleet, "V", "M")
    fleet.meters_("M", (0, 30), between(*SESSION, 11, 0.01))
    held = 0
    points = fleet.meters["M"]
    for n, point in enumerate(points):
        if at(10.4) < point.time <= at(13):
            held += point.energy_mwh or 0
            points[n] = point._replace(energy_mwh=0)
            if point.time == at(13):
                points[n] = point._replace(energy_mwh=held)
    opened, revised = found(fleet)
    assert (opened.cause, opened.at) == ("unknown", at(12))
    assert (revised.cause, revised.at) == ("reporting_lag", at(13))


@pytest.mark.parametrize(
    ("vehicle_behind_s", "meter_behind_s", "whose"),
    [
        (3 * 3600, 4, "vehicle"),
        (5, -3 * 3600, "meter"),
        (5, 4, None),
        (None, None, None),
        (3 * 3600, -3 * 3600, None),
        (40 * 24 * 3600, 40 * 24 * 3600, None),  # imported
    ],
)
def test_arrival_says_whose_clock_is_wrong(
    vehicle_behind_s: float | None, meter_behind_s: float | None, whose: str | None
) -> None:
    fleet = fleet_of("M")
    charges(fleet, "V", "M", (34.4, 37.2), late_s=-3 * 3600, last=60)
    fleet.meters_("M", (0, 60), between(34.4, 37.2, 11, 0.01))
    for subject, behind_s in ((vehicle("V"), vehicle_behind_s), (meter("M"), meter_behind_s)):
        if behind_s is not None:
            fleet.devices[subject] = msgspec.structs.replace(
                fleet.devices[subject],
                newest=at(60),
                last_seen=at(60) + timedelta(seconds=behind_s),
            )
    change = cause_of(found(fleet, 60))
    assert change.evidence.get("clockOf") == whose
    assert ("or those of M" in change.summary) == (whose is None)
    assert ("the timestamps of M are 3 hours too late" in change.summary) == (whose == "meter")
