"""Every fleet is reproducible, conserves energy, and is healthy when nothing is wrong."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest

from fleetmeter_simulator.devices.profiles import bays
from fleetmeter_simulator.faults.kinds import KINDS, parse_wanted, per_kind
from fleetmeter_simulator.fleet import Fleet
from tests.support.simulated_fleets import DAYS, HOUR, SEED, START, VEHICLES, healthy, sent_by, us


def test_the_same_arguments_make_the_same_readings_in_the_same_order() -> None:
    first, again = (Fleet(5, 12, START, 1, faults=per_kind(1)) for _ in range(2))
    for number in range(12):
        hour = START + number * HOUR
        assert first.arrivals(hour) == again.arrivals(hour)
    assert first.faults == again.faults
    assert first.acceptable == again.acceptable


def test_a_device_is_the_same_in_a_larger_fleet_and_another_with_another_seed() -> None:
    small, large, other = (
        sent_by(Fleet(seed, vehicles, START, 1), 24).rows
        for seed, vehicles in ((5, 6), (5, 24), (6, 6))
    )
    assert {device: large[device] for device in small} == small
    assert other["EV-1"] != small["EV-1"]


def test_readings_come_in_the_order_of_their_arrival_hour_by_hour() -> None:
    fleet = Fleet(5, 24, START, 2)
    last = 0
    for number in range(48):
        hour = START + number * HOUR
        times = [arrival[0] for arrival in fleet.arrivals(hour)]
        assert times == sorted(times)
        assert us(hour) <= times[0]
        assert times[-1] < us(hour + HOUR)
        assert last <= times[0]
        last = times[-1]
    with pytest.raises(ValueError, match="the next hour is"):
        fleet.arrivals(START)


def test_a_fleet_begins_at_a_full_hour() -> None:
    with pytest.raises(ValueError, match="full hour"):
        Fleet(1, 1, START + timedelta(minutes=1), 1)


def test_energy_that_reaches_a_battery_raises_its_state_of_charge() -> None:
    """EV-5: Σ DC = gained state of charge × the 95 to 100 % that are left of its 40 kWh."""
    sent = healthy()
    rows = sent.rows["EV-5"]
    gained = sum(max(b[3] - a[3], 0) for a, b in pairwise(rows)) / 10_000
    delivered = sum(row[2] for row in rows) / 1e6
    assert delivered > 40
    assert 0.94 <= delivered / (gained * 40) <= 1.0


def test_meters_count_more_than_what_arrives_by_what_chargers_lose() -> None:
    sent = healthy()
    dc = sum(row[2] for row in sent.rows["EV-5"])
    ac = sum(row[2] for row in sent.rows["MTR-4"])
    assert 0.7 < dc / ac < 0.94  # in winter: batteries are heated, too


def test_healthy_devices_stay_within_what_healthy_devices_do() -> None:
    for season in ("winter", "summer"):
        fleet = Fleet(9, 20, START, 3, season=season)
        for device, rows in sent_by(fleet, 72).rows.items():
            if "EV" in device:
                assert all(0 <= row[3] <= 10_000 and row[4] < 4200 for row in rows)
                if max(row[2] for row in rows) < 1_000_000:  # no register
                    assert all(row[4] > 0 for row in rows if row[2])
            else:
                assert all(220_800 <= row[3] <= 239_200 for row in rows)


@pytest.mark.slow
def test_nearly_all_readings_come_and_some_come_twice_late_or_in_disorder() -> None:
    fleet = Fleet(9, 40, START, 3)
    intervals_s = {
        vehicle.vehicle_id: vehicle.reporting_interval_s for vehicle in fleet.devices.vehicles
    } | {meter.meter_id: meter.reporting_interval_s for meter in fleet.devices.meters}
    seen: set[tuple[str, int]] = set()
    newest: dict[str, int] = defaultdict(int)
    twice = backwards = late = count = 0
    for number in range(72):
        for arrives, _, row in fleet.arrivals(START + number * HOUR):
            count += 1
            twice += (row[0], row[1]) in seen
            backwards += row[1] < newest[row[0]]
            late += arrives - row[1] > 10 * 60_000_000
            seen.add((row[0], row[1]))
            newest[row[0]] = max(newest[row[0]], row[1])
    sent = Counter(device for device, _ in seen)
    shares = sorted(sent[id_] * s / (72 * 3600) for id_, s in intervals_s.items())
    always = [share for share in shares if share > 0.95]
    assert 0.98 < sum(always) / len(always) < 1
    # the others report only while they charge, or sleep at times
    assert 0 < len(shares) - len(always) < 0.2 * len(shares)
    assert shares[0] < 0.3
    assert 0 < twice < 0.01 * count
    assert 0 < backwards < 0.02 * count
    assert 0 < late < 0.03 * count
    silent = [each for each in fleet.acceptable if each.kind.endswith("_silent")]
    assert silent
    assert all(each.end - each.start > timedelta(minutes=30) for each in silent)


def test_faults_of_every_kind_find_a_place_and_keep_apart() -> None:
    fleet = Fleet(4, 200, START, 30, faults=per_kind(20))
    assert fleet.unplaced == []
    assert {fault.kind for fault in fleet.faults} == set(KINDS)
    assert len(fleet.faults) == 20 * len(KINDS)
    by_subject = defaultdict(list)
    for fault in fleet.faults:
        by_subject[fault.subject].append(fault)
    assert len(by_subject) > 180
    for faults in by_subject.values():
        faults.sort(key=lambda fault: fault.start)
        for before, after in pairwise(faults):
            assert after.start - before.end >= timedelta(days=1)


def test_what_finds_no_place_is_told() -> None:
    fleet = Fleet(4, 3, START, 2, faults=per_kind(4))
    assert fleet.unplaced
    assert len(fleet.faults) + len(fleet.unplaced) == 4 * len(KINDS)


def test_a_fault_of_a_device_that_is_not_there_says_which_are() -> None:
    wanted = [parse_wanted("battery_hot@EV-99")]
    with pytest.raises(ValueError, match="no EV-99 in this fleet; it has vehicles EV-1 to EV-7"):
        Fleet(SEED, VEHICLES, START, DAYS, faults=wanted)


def test_what_a_fleet_has_of_the_field() -> None:
    """Devices that report only while charging, buildings, and other mains than 230 V."""
    fleet = Fleet(4, 200, START, 1)
    vehicles, meters = fleet.devices.vehicles, fleet.devices.meters
    said = [device for device in vehicles if device.reports == "while_charging"]
    unsaid = {each.subject.device_id for each in fleet.acceptable}
    assert 8 < len(said) < 30
    assert 4 < len(unsaid) < 30
    assert not unsaid & {device.vehicle_id for device in said}
    assert 8 < sum(device.reports == "while_charging" for device in meters) < 35
    buildings = [device for device in meters if device.rated_power_kw is None]
    assert len(buildings) > 5
    assert all((device.role, device.reports) == (None, None) for device in buildings)
    assert {device.role for device in meters} == {None, "charger"}
    volts: dict[str, set[int]] = defaultdict(set)
    for _, kind, row in fleet.arrivals(START):
        if kind.startswith("meter"):
            volts[row[0]].add(round(row[3] / 1000))
    nominal = {
        next(n for n in (120, 208, 230, 277, 400, 480) if all(abs(v / n - 1) < 0.04 for v in found))
        for found in volts.values()
    }
    assert {230} < nominal


def test_meters_that_report_seldom_stamp_the_end_of_their_interval() -> None:
    fleet = Fleet(189, 20, START, 1)
    seldom = {m.meter_id: m.reporting_interval_s for m in fleet.devices.meters}
    seldom = {meter_id: s for meter_id, s in seldom.items() if s > 300}
    assert set(seldom.values()) == {900, 3600}
    rows = sent_by(fleet, 24).rows
    for meter_id, interval_s in seldom.items():
        times = [row[1] for row in rows[meter_id]]
        assert len(times) > 0.9 * 86_400 / interval_s
        assert all(time % (interval_s * 1_000_000) == 0 for time in times)


def test_a_modem_that_sleeps_sends_nothing_or_what_it_kept_when_it_wakes_up() -> None:
    fleet = Fleet(189, 20, START, 3)
    sleeps = {v.vehicle_id: v.sleeps for bay in bays(189, 20, "", True) for v in bay.vehicles}
    sent = sent_by(fleet, 72)
    silent = [device for device, how in sleeps.items() if how == "silent"]
    late = [device for device, how in sleeps.items() if how == "late"]
    assert len(silent) == 3
    assert len(late) == 1
    settings = {each.vehicle_id: each for each in fleet.devices.vehicles}
    unsaid = {each.subject.device_id for each in fleet.acceptable if "nobody" in each.why}
    for device in silent:
        assert len(sent.rows[device]) < 0.7 * 3 * 86_400 / settings[device].reporting_interval_s
        assert (settings[device].reports == "while_charging") != (device in unsaid)
    for device in late:
        delays = [sent.arrived[device, row[1]] - row[1] for row in sent.rows[device]]
        assert sum(delay > 3_600_000_000 for delay in delays) > 0.3 * len(delays)
        assert max(delays) < 13 * 3_600_000_000
        told = [each.why for each in fleet.acceptable if each.subject.device_id == device]
        assert "its modem sleeps; what it kept comes later" in told


def test_a_vehicle_that_has_not_said_when_it_reports_may_be_known_after_its_fourth_charge() -> None:
    fleet = Fleet(2, 6, START, 9)
    unsaid = {each.subject.device_id: each.end for each in fleet.acceptable if "nobody" in each.why}
    assert set(unsaid.values()) == {START + timedelta(days=3660)}
    sent = sent_by(fleet, 9 * 24)
    known = {each.subject.device_id: each.end for each in fleet.acceptable if "nobody" in each.why}
    assert known.keys() == unsaid.keys()
    learned = [device for device, end in known.items() if end < START + timedelta(days=9)]
    assert learned
    for device in learned:
        times = [row[1] for row in sent.rows[device] if row[1] <= us(known[device])]
        silences = sum(after - before > 30 * 60_000_000 for before, after in pairwise(times))
        assert silences >= 3
