"""Generates a realistic day of a fleet for the columnstore to pack.

Each vehicle charges eight hours of the day, drives three and is parked for the rest; each meter has
one vehicle and a small standby. All of them report once a minute, idle or not. Resolutions: energy
0.001 kWh, state of charge 0.01 %, battery temperature 0.1 °C, voltage 0.1 V.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from fleetmeter_benchmark.fleet import meter_id, vehicle_id

MINUTES = 24 * 60
_MINUTE = timedelta(minutes=1)
_MILLISECOND = timedelta(milliseconds=1)
_CHARGING = 8 * 60
_DRIVING = 3 * 60
_STEP_MWH = 1000
"""Resolution of meters and vehicles: 0.001 kWh."""

_STANDBY_MWH = 83.0
"""Standby of a meter in a minute, at 5 W."""

_CURVE_FROM = 0.8
"""State of charge from which the power falls, down to a tenth at 100 %."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Says which day it is, and how exact the devices' clocks are."""

    devices: int
    """Vehicles, and as many meters."""

    start: datetime
    jitter_ms: int = 0
    """Largest delay of a reading after its minute, whole milliseconds, evenly distributed."""


Reading = dict[str, Any]
"""A reading as a device sends it; its timestamp is a datetime."""


def minutes(day: Day) -> Iterator[list[Reading]]:
    """Yield the readings of the day minute by minute, the same at each call."""
    pairs = [_Pair(number, Random(number)) for number in range(day.devices)]  # noqa: S311
    clock = Random(day.devices)  # noqa: S311
    for number in range(MINUTES):
        at = day.start + number * _MINUTE
        readings = []
        for pair in pairs:
            pair.advance(number)
            for measured in (pair.vehicle_reading(), pair.meter_reading()):
                delay_ms = int(clock.random() * day.jitter_ms)
                readings.append({**measured, "timestamp": at + delay_ms * _MILLISECOND})
        yield readings


class _Pair:
    """Simulates a vehicle and the meter that it charges at."""

    def __init__(self, number: int, random: Random) -> None:
        self._random = random
        self._vehicle_id = vehicle_id(number)
        self._meter_id = meter_id(number)
        self._plugged = random.randrange(MINUTES)
        self._power_w = random.choice((7_000, 11_000, 22_000))
        self._capacity_mwh = self._power_w * random.uniform(7, 11) * 1000
        self._efficiency = random.uniform(0.86, 0.94)
        self._soc = random.uniform(0.25, 0.95)
        self._temp_c = self._ambient_c = random.uniform(8, 22)
        self._grid_v = 0.0
        self._dc = _Register(random.random() * _STEP_MWH)
        self._ac = _Register(random.random() * _STEP_MWH)
        self._dc_mwh = self._ac_mwh = 0

    def advance(self, minute: int) -> None:
        """Simulate the minute that ends now."""
        random = self._random
        since = (minute - self._plugged) % MINUTES
        dc_mwh, heat_c = 0.0, 0.0
        if since < _CHARGING and self._soc < 1:
            fallen = max(0.0, self._soc - _CURVE_FROM) / (1 - _CURVE_FROM)
            dc_mwh = self._power_w * 1000 / 60 * (1 - 0.9 * fallen) * random.gauss(1, 0.01)
            self._soc = min(1.0, self._soc + dc_mwh / self._capacity_mwh)
            heat_c = 14 * (1 - 0.9 * fallen)
        elif since >= MINUTES - _DRIVING:
            self._soc = max(0.05, self._soc - 0.6 / _DRIVING * random.uniform(0, 2))
            heat_c = 10.0
        self._temp_c += (self._ambient_c + heat_c - self._temp_c) / 60
        self._grid_v = 0.95 * self._grid_v + random.gauss(0, 0.4)
        self._dc_mwh = self._dc.count(dc_mwh)
        self._ac_mwh = self._ac.count(dc_mwh / self._efficiency + _STANDBY_MWH)

    def vehicle_reading(self) -> Reading:
        """Return what the vehicle measures in the minute that has ended."""
        temp_c = self._temp_c + self._random.gauss(0, 0.1)
        return {
            "vehicleId": self._vehicle_id,
            "kwhDeliveredDc": self._dc_mwh / 1_000_000,
            "soc": round(100 * self._soc, 2),
            "batteryTemp": round(temp_c, 1),
        }

    def meter_reading(self) -> Reading:
        """Return what the meter measures, with noise of its own on top of the grid's voltage."""
        voltage = 230 + self._grid_v + self._random.gauss(0, 0.1)
        return {
            "meterId": self._meter_id,
            "kwhConsumedAc": self._ac_mwh / 1_000_000,
            "voltage": round(voltage, 1),
        }


class _Register:
    """Shows a total in whole steps, and reports its growth in an interval."""

    def __init__(self, total_mwh: float) -> None:
        self._total_mwh = total_mwh

    def count(self, energy_mwh: float) -> int:
        """Add to the total; return by how much the shown value grew, mWh."""
        before = self._total_mwh // _STEP_MWH
        self._total_mwh += energy_mwh
        return round(self._total_mwh // _STEP_MWH - before) * _STEP_MWH
