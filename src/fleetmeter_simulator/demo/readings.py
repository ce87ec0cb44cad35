"""Turns minutes of the demo into readings: one a quarter hour of history, one a minute live."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np

from fleetmeter_simulator.demo.depots import Fleet
from fleetmeter_simulator.demo.minutes import Depots, Flags, Minute

MWH_PER_KWH = 1_000_000
QUARTER = 15
"""Minutes of a reading of history."""


class VehicleReading(msgspec.Struct, rename="camel", gc=False):
    """A vehicle's reading, as it is sent."""

    vehicle_id: str
    interval_start: datetime
    timestamp: datetime
    kwh_delivered_dc: float
    soc: float
    battery_temp: float
    power_kw: float
    odometer_km: float


class MeterReading(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A meter's reading, as it is sent."""

    meter_id: str
    interval_start: datetime
    timestamp: datetime
    kwh_consumed_ac: float
    voltage: float
    power_kw: float
    kwh_exported_ac: float | None = None


Reading = VehicleReading | MeterReading


class Interval(NamedTuple):
    """Adds up minutes: energy is summed; the rest is as at the end."""

    dc_mwh: list[int]
    ac_mwh: list[int]
    exported_mwh: list[int]
    last: Minute
    vehicle_reports: Flags
    meter_reports: Flags
    minutes: int


def interval(depots: Depots, minutes: int) -> Interval:
    """Simulate some minutes; a device that is silent in one of them does not report."""
    some = [depots.step() for _ in range(minutes)]
    return Interval(
        dc_mwh=np.sum([each.dc_mwh for each in some], axis=0).tolist(),
        ac_mwh=np.sum([each.ac_mwh for each in some], axis=0).tolist(),
        exported_mwh=np.sum([each.exported_mwh for each in some], axis=0).tolist(),
        last=some[-1],
        vehicle_reports=np.all([each.vehicle_reports for each in some], axis=0),
        meter_reports=np.all([each.meter_reports for each in some], axis=0),
        minutes=minutes,
    )


def readings(
    fleet: Fleet,
    of: Interval,
    starts: Sequence[datetime],
    ends: Sequence[datetime],
) -> Iterator[tuple[int, Reading]]:
    """Yield the readings of an interval with the number of each device, vehicles first.

    `starts` and `ends` are the times that the device with that number states.
    """
    last, hours = of.last, of.minutes / 60
    vehicles = zip(
        fleet.vehicles,
        of.vehicle_reports.tolist(),
        of.dc_mwh,
        np.round(last.soc * 100, 1).tolist(),
        np.round(last.temp_c, 1).tolist(),
        (last.odometer_m // 100).tolist(),
        strict=True,
    )
    for number, (vehicle, reports, mwh, soc, temp, hectometres) in enumerate(vehicles):
        if reports:
            kwh = mwh / MWH_PER_KWH
            yield (
                number,
                VehicleReading(
                    vehicle.vehicle_id,
                    starts[number],
                    ends[number],
                    kwh,
                    min(soc, 100.0),
                    temp,
                    round(kwh / hours, 3),
                    hectometres / 10,
                ),
            )
    meters = zip(
        fleet.meters,
        of.meter_reports.tolist(),
        of.ac_mwh,
        of.exported_mwh,
        np.round(last.volts, 1).tolist(),
        strict=True,
    )
    for number, (meter, reports, mwh, exported, volts) in enumerate(meters, len(fleet.vehicles)):
        if reports:
            kwh, back = mwh / MWH_PER_KWH, exported / MWH_PER_KWH
            yield (
                number,
                MeterReading(
                    meter.meter_id,
                    starts[number],
                    ends[number],
                    kwh,
                    volts,
                    round((kwh - back) / hours, 3),
                    back if meter.role == "site" else None,
                ),
            )
