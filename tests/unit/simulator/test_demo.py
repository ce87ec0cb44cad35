"""The fleet of the demo: plausible, the same each time, however it is read."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from fleetmeter.anomalies.rules.silence.thresholds import SILENT
from fleetmeter_simulator.demo.depots import DEPOTS, fleet
from fleetmeter_simulator.demo.faults import faults
from fleetmeter_simulator.demo.readings import QUARTER, MeterReading, Reading, VehicleReading
from fleetmeter_simulator.demo.simulation import Scope, Simulation

MIDNIGHT = datetime(2026, 6, 8, tzinfo=UTC)
"""A Monday in summer."""
SCOPE = Scope(days=1, share=0.03)


@cache
def of_a_day() -> dict[str, list[Reading]]:
    """What each device reads in a day and a half, by id."""
    found: dict[str, list[Reading]] = defaultdict(list)
    for some in Simulation(SCOPE, MIDNIGHT).quarters(MIDNIGHT + timedelta(hours=36)):
        for each in some:
            found[id_of(each)].append(each)
    return found


def id_of(reading: Reading) -> str:
    return reading.vehicle_id if isinstance(reading, VehicleReading) else reading.meter_id


def vehicles() -> list[list[VehicleReading]]:
    return [
        [each for each in some if isinstance(each, VehicleReading)]
        for id_, some in of_a_day().items()
        if "-EV-" in id_
    ]


def meters(code: str) -> dict[str, list[MeterReading]]:
    """The readings of the meters whose ids contain a code."""
    return {
        id_: [each for each in some if isinstance(each, MeterReading)]
        for id_, some in of_a_day().items()
        if code in id_
    }


def consumed(some: list[MeterReading]) -> float:
    return some[-1].kwh_consumed_ac_total - some[0].kwh_consumed_ac_total


def test_the_demo_has_two_hundred_vehicles_at_four_sites_one_of_them_with_solar() -> None:
    devices = fleet()
    assert len(devices.vehicles) == 200
    assert {vehicle.depot.site for vehicle in devices.vehicles} == {each.site for each in DEPOTS}
    assert len(DEPOTS) == 4
    assert [meter.role for meter in devices.meters if meter.role != "charger"] == ["site", "solar"]
    assert len({each.vehicle_id for each in devices.vehicles}) == 200
    assert len({each.meter_id for each in devices.meters}) == len(devices.meters)
    assert {devices.meters[each.meter].depot for each in devices.vehicles} == set(DEPOTS)


def test_each_silence_of_the_demo_is_long_enough_for_the_rules() -> None:
    silences = [each for each in faults(fleet(), 30) if each.effect.endswith("_silent")]
    assert len(silences) == 3
    for each in silences:
        intervals = SILENT["meter" if each.effect == "meter_silent" else "vehicle"]().intervals
        # and an hour, at the end of which they look
        assert each.end - each.begin > intervals * QUARTER + 60


def test_a_fleet_that_is_simulated_again_goes_on_with_the_same_readings() -> None:
    first, again = Simulation(SCOPE, MIDNIGHT), Simulation(SCOPE, MIDNIGHT)
    noon = MIDNIGHT + timedelta(hours=12)
    list(first.quarters(noon))
    again.skip(noon)
    live, continued = first.minute(), again.minute()
    assert [time for time, _ in live] == [time for time, _ in continued]
    totals = [
        [
            each.kwh_delivered_dc_total
            for _, some in groups
            for each in some
            if isinstance(each, VehicleReading)
        ]
        for groups in (live, continued)
    ]
    assert totals[0] == totals[1]
    assert len(totals[0]) == len(first.fleet.vehicles)


def test_vehicles_drive_by_day_and_charge_at_night_and_none_runs_empty() -> None:
    for readings in vehicles():
        socs = [each.soc for each in readings]
        assert min(socs) > 5
        assert max(socs) <= 100
        assert all(0 < each.battery_temp < 45 for each in readings)
        total = [each.kwh_delivered_dc_total for each in readings]
        distance = [each.odometer_km for each in readings]
        assert total == sorted(total)
        assert distance == sorted(distance)
    driven = [each for each in vehicles() if each[-1].odometer_km - each[0].odometer_km > 20]
    assert len(driven) >= len(vehicles()) // 2
    # one that comes home nearly full is not always plugged in
    charged = [
        each for each in driven if each[-1].kwh_delivered_dc_total > each[0].kwh_delivered_dc_total
    ]
    assert len(charged) >= 0.75 * len(driven)


def test_a_tenth_of_the_energy_at_most_is_lost_on_the_way_to_the_batteries() -> None:
    delivered = sum(
        each[-1].kwh_delivered_dc_total - each[0].kwh_delivered_dc_total for each in vehicles()
    )
    taken = sum(map(consumed, meters("-CP-").values()))
    assert 0.88 * taken < delivered < 0.96 * taken


def test_solar_power_is_used_first_and_the_rest_is_exported() -> None:
    grid, solar = meters("RIV-GRID")["RIV-GRID"], meters("RIV-SOLAR")["RIV-SOLAR"]
    exported = [each.kwh_exported_ac_total for each in grid]
    assert None not in exported
    assert exported == sorted(exported, key=lambda kwh: kwh or 0)
    assert (exported[-1] or 0) > 0
    assert consumed(solar) > (exported[-1] or 0)
    assert all(each.power_kw == 0 for each in solar if each.timestamp.hour in (22, 23, 0, 1))


@pytest.mark.parametrize("minutes", [0, 7, 15])
def test_history_is_read_at_whole_quarter_hours(minutes: int) -> None:
    simulation = Simulation(SCOPE, MIDNIGHT)
    simulation.skip(MIDNIGHT + timedelta(minutes=minutes))
    quarters = list(simulation.quarters(MIDNIGHT + timedelta(minutes=46)))
    times = [some[0].timestamp.minute for some in quarters]
    assert times == [15, 30, 45][minutes // 15 :]
