"""vehicle_silent, meter_silent and site_silent."""

import msgspec
import pytest

from fleetmeter.anomalies.evaluation.decide import needs
from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.rules.silence.state import DeviceSilence
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import Fleet, at, meter, vehicle

SITE = Subject("site", "S")


def pauses_of(state: DeviceState) -> int:
    silence = state.get(DeviceSilence)
    return 0 if silence is None else silence.pauses


def site_of(vehicles: int, meters: int) -> Fleet:
    fleet = Fleet()
    for number in range(vehicles):
        fleet.add_vehicle(f"V{number}", "S")
    for number in range(meters):
        fleet.add_meter(f"M{number}", "S")
    return fleet


def reports(fleet: Fleet, hours: tuple[float, float], but: tuple[str, ...] = ()) -> None:
    """All of it, but some."""
    for kind, id_ in fleet.devices:
        if id_ not in but:
            if kind == "vehicle":
                fleet.drives(id_, hours)
            else:
                fleet.meters_(id_, hours)


@pytest.mark.parametrize(
    ("last", "seen_at"),
    # at 11:00 thirty minutes have passed since 10:30, and 29 since 10:31
    [(10.5, 11), (10 + 31 / 60, 12)],
)
def test_a_device_is_silent_after_thirty_intervals_at_the_end_of_an_hour(
    last: float, seen_at: int
) -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.add_meter("M")
    fleet.drives("V", (0, last))
    fleet.meters_("M", (0, last))
    changes = fleet.fold(0, 15)
    assert [(c.kind, c.subject) for c in changes] == [
        ("vehicle_silent", vehicle("V")),
        ("meter_silent", meter("M")),
    ]
    assert {(c.at, c.started_at, c.ended_at) for c in changes} == {(at(seen_at), at(last), None)}


def test_a_device_that_reports_rarely_is_given_more_time() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V", interval_s=900)
    fleet.drives("V", (0, 10))
    # 30 × 15 minutes after 10:00
    assert [c.at for c in fleet.fold(0, 24)] == [at(18)]


def test_silence_ends_with_the_first_reading() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    fleet.drives("V", (13.4, 24))
    states: dict[Subject, DeviceState] = {}
    changes = fleet.fold(0, 24, states)
    assert [(c.at, c.started_at, c.ended_at) for c in changes] == [
        (at(11), at(10), None),
        (at(14), at(10), at(13.4 + 1 / 60)),
    ]
    assert "vehicle_silent" in states[vehicle("V")].conditions  # until the end of the month


def test_a_device_that_is_back_for_a_moment_is_silent_anew() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    fleet.drives("V", (13, 13.2))
    assert [(c.at, c.ended_at is None) for c in fleet.fold(0, 16)] == [
        (at(11), True),
        (at(14), False),
        (at(14), True),
    ]


def test_of_a_device_that_was_never_heard_of_nothing_is_said() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    assert fleet.fold(0, 5) == []


def test_who_is_silent_is_not_asked_about_again_until_it_reports() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    fleet.fold(0, 20)
    assert [len(asked.last_times) for asked in fleet.asked[9:14]] == [0, 1, 0, 0, 0]


def test_who_reports_is_not_asked_about_at_all() -> None:
    fleet = site_of(3, 3)
    reports(fleet, (0, 3))
    states: dict[Subject, DeviceState] = {}
    assert fleet.fold(0, 3, states) == []
    assert all(m.get(DeviceSilence) is None and not m.conditions for m in states.values())
    assert not any(asked.last_times or asked.readings for asked in fleet.asked)


def test_a_site_that_goes_quiet_is_one_anomaly() -> None:
    fleet = site_of(8, 8)
    reports(fleet, (0, 10.2))
    reports(fleet, (15.3, 24))
    changes = fleet.fold(0, 24)
    assert [(c.kind, c.subject, c.at, c.ended_at) for c in changes] == [
        ("site_silent", SITE, at(11), None),
        ("site_silent", SITE, at(16), at(15.3 + 1 / 60)),
    ]
    assert changes[0].started_at == at(10.2)
    assert changes[0].evidence["silentDevices"] == 16
    assert changes[0].site == "S"


@pytest.mark.parametrize(("silent", "is_site"), [(4, True), (3, False)])
def test_it_takes_four_fifths_of_a_site(silent: int, is_site: bool) -> None:
    fleet = site_of(5, 0)
    quiet = tuple(f"V{number}" for number in range(silent))
    reports(fleet, (0, 10))
    reports(fleet, (10, 14), but=quiet)
    kinds = {c.kind for c in fleet.fold(0, 14)}
    assert kinds == ({"site_silent"} if is_site else {"vehicle_silent"})


def test_two_devices_are_no_site() -> None:
    fleet = site_of(1, 1)
    reports(fleet, (0, 10))
    assert {c.kind for c in fleet.fold(0, 14)} == {"vehicle_silent", "meter_silent"}


def test_a_site_that_falls_silent_around_the_limit_is_still_one_anomaly() -> None:
    # at 11:00 half of them are 30 minutes silent, and half of them 25
    fleet = site_of(8, 0)
    early = tuple(f"V{number}" for number in range(4))
    reports(fleet, (0, 10.5))
    reports(fleet, (10.5, 10.5 + 5 / 60), but=early)
    assert [(c.kind, c.at) for c in fleet.fold(0, 14)] == [("site_silent", at(12))]


def test_what_stays_silent_an_hour_after_its_site_is_back_gets_its_own() -> None:
    fleet = site_of(8, 0)
    reports(fleet, (0, 10))
    reports(fleet, (15, 24), but=("V0",))
    changes = fleet.fold(0, 24)
    assert [(c.kind, c.subject.device_id, c.at, c.started_at) for c in changes] == [
        ("site_silent", "S", at(11), at(10)),
        ("site_silent", "S", at(16), at(10)),
        ("vehicle_silent", "V0", at(17), at(10)),
    ]


def test_what_was_silent_before_its_site_keeps_its_own() -> None:
    fleet = site_of(8, 0)
    reports(fleet, (0, 5))
    reports(fleet, (5, 10), but=("V0",))
    reports(fleet, (15, 24))
    assert [(c.kind, c.at) for c in fleet.fold(0, 24)] == [
        ("vehicle_silent", at(6)),
        ("site_silent", at(11)),
        ("vehicle_silent", at(16)),
        ("site_silent", at(16)),
    ]


def test_where_sites_are_not_watched_each_device_gets_its_own() -> None:
    fleet = site_of(4, 0)
    reports(fleet, (0, 10))
    off = Rulebook([Override("site_silent", "site", "S", {"enabled": False})])
    assert {c.kind for c in fleet.fold(0, 14, rulebook=off)} == {"vehicle_silent"}


def test_an_hour_of_some_devices_says_nothing_of_their_site() -> None:
    fleet = site_of(8, 0)
    reports(fleet, (0, 10))
    reports(fleet, (15, 24))
    states: dict[Subject, DeviceState] = {}
    fleet.fold(0, 24, states)
    some = [vehicle(f"V{number}") for number in range(4)]
    # since the site was silent, these are not reported when they are evaluated again either
    assert fleet.fold(0, 24, {SITE: states[SITE]}, devices=some) == []
    hour = fleet.hour(12, some)
    assert needs(hour, {}, Rulebook()).last_times == set(some)


@pytest.mark.parametrize(("last_seen", "is_silent"), [(13.9, False), (12.4, True)])
def test_who_brings_old_readings_is_not_silent(last_seen: float, is_silent: bool) -> None:
    # its newest reading is of 10:00; others of before then came until 13:54, or until 12:24
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    device = fleet.devices[vehicle("V")]
    fleet.devices[vehicle("V")] = msgspec.structs.replace(
        device, newest=at(10), last_seen=at(last_seen)
    )
    assert bool(fleet.fold(13, 14)) == is_silent


def test_a_gap_is_a_silence_though_the_device_reports_again() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, 10))
    fleet.drives("V", (13, 24))
    device = fleet.devices[vehicle("V")]
    fleet.devices[vehicle("V")] = msgspec.structs.replace(device, newest=at(24), last_seen=at(24))
    assert [c.at for c in fleet.fold(0, 20)] == [at(11), at(14)]


def test_who_reports_rarely_is_waited_for_where_all_of_a_site_is_quiet() -> None:
    # half of them report every five minutes, and are silent only after two and a half hours
    fleet = site_of(6, 0)
    for number in range(3):
        fleet.add_vehicle(f"V{number}", "S", 300)
    reports(fleet, (0, 9.75))
    states: dict[Subject, DeviceState] = {}
    assert [(c.kind, c.at) for c in fleet.fold(0, 14, states)] == [("site_silent", at(13))]
    # nor are those reported that are evaluated again for the hours in which it was waited for
    assert fleet.fold(0, 14, {SITE: states[SITE]}, devices=[vehicle("V3")]) == []


def charges_daily(fleet: Fleet, days: int, kw: float = 7.0) -> None:
    """Readings of V, of 18:10 to 21:00 alone."""
    for day in range(days):
        begin = 24 * day + 18 + 1 / 6
        fleet.drives("V", (begin, 24 * day + 21), kw)


def test_a_device_that_is_set_to_report_only_while_charging_is_never_silent() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V", reports="while_charging")
    charges_daily(fleet, 3)
    assert fleet.fold(0, 72) == []
    assert all(vehicle("V") not in asked.last_times for asked in fleet.asked)


def test_three_silences_between_charges_are_a_habit() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    charges_daily(fleet, 6)
    states: dict[Subject, DeviceState] = {}
    changes = fleet.fold(0, 6 * 24, states)
    # after 21:00 of three days; from the fourth on it is known
    assert [c.at for c in changes if c.ended_at is None] == [at(22), at(46), at(70)]
    assert pauses_of(states[vehicle("V")]) == 3


def test_a_device_that_is_set_to_always_report_is_silent_between_charges() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V", reports="always")
    charges_daily(fleet, 6)
    assert len([c for c in fleet.fold(0, 6 * 24) if c.ended_at is None]) == 6


def test_silences_of_a_parked_vehicle_are_no_habit() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    charges_daily(fleet, 6, kw=0.0)
    assert len([c for c in fleet.fold(0, 6 * 24) if c.ended_at is None]) == 6


def test_a_silence_that_ends_without_charging_ends_the_habit() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    charges_daily(fleet, 4)
    fleet.drives("V", (96, 100))  # it is there, and does not charge
    states: dict[Subject, DeviceState] = {}
    changes = fleet.fold(0, 102, states)
    assert [c.at for c in changes if c.ended_at is None][-2:] == [at(70), at(101)]
    assert pauses_of(states[vehicle("V")]) == 0


def test_setting_it_ends_an_open_silence() -> None:
    fleet = Fleet()
    fleet.add_vehicle("V")
    charges_daily(fleet, 1)
    states: dict[Subject, DeviceState] = {}
    assert [c.ended_at for c in fleet.fold(0, 24, states)] == [None]
    device = fleet.devices[vehicle("V")]
    fleet.devices[vehicle("V")] = msgspec.structs.replace(device, reports="while_charging")
    assert [c.ended_at for c in fleet.fold(24, 25, states)] == [at(25)]


def test_devices_that_report_only_while_charging_do_not_make_a_site_silent() -> None:
    fleet = Fleet()
    for number in range(3):
        fleet.add_vehicle(f"V{number}", "S", reports="while_charging")
        fleet.add_meter(f"M{number}", "S")
        fleet.drives(f"V{number}", (0, 5))
        fleet.meters_(f"M{number}", (0, 9 if number else 30))
    # two of the three that always report are silent, which is less than four fifths
    assert [c.kind for c in fleet.fold(0, 12)] == ["meter_silent", "meter_silent"]


def test_an_outage_of_many_at_once_asks_for_no_readings_and_ends_no_habit() -> None:
    fleet = Fleet()
    for number in range(1001):
        fleet.add_vehicle(f"V{number}", interval_s=900)
        fleet.drives(f"V{number}", (0, 1))
        fleet.drives(f"V{number}", (11, 12))
    states = {vehicle("V7"): DeviceState(parts={DeviceSilence: DeviceSilence(pauses=3)})}
    changes = fleet.fold(0, 12, states)
    assert len(changes) == 2 * 1000  # all but V7, which is not reported
    assert not any(asked.readings for asked in fleet.asked[:11])
    assert pauses_of(states[vehicle("V7")]) == 3
