"""Makes a realistic day of a fleet for the columnstore to pack.

Each vehicle charges eight hours of the day, drives three and is parked for the rest; each meter has
one vehicle and a small standby. All of them report once a minute, idle or not. Resolutions: energy
0.001 kWh, state of charge 0.01 %, battery temperature 0.1 °C, voltage 0.1 V.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec

from fleetmeter_benchmark.fleet import meter_id, rfc3339, vehicle_id

MINUTES = 24 * 60
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Epoch of the times in rows, the same as PostgreSQL's."""

_MICROSECOND = timedelta(microseconds=1)
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


class VehicleRow(NamedTuple):
    """Holds a row as the service stores it: stamped with the vehicle's assigned meter."""

    vehicle_id: str
    at_us: int
    energy_mwh: int
    soc_bp: int
    battery_temp_cdeg: int
    meter_id: str


class MeterRow(NamedTuple):
    """Holds a row as the service stores it."""

    meter_id: str
    at_us: int
    energy_mwh: int
    voltage_mv: int


class Minute(NamedTuple):
    """Holds what arrives at once: rows in key order."""

    vehicles: list[VehicleRow]
    meters: list[MeterRow]

    def readings(self) -> list[dict[str, Any]]:
        """Return the same as devices send it."""
        return [
            {
                "vehicleId": row.vehicle_id,
                "kwhDeliveredDc": row.energy_mwh / 1_000_000,
                "soc": row.soc_bp / 100,
                "batteryTemp": row.battery_temp_cdeg / 100,
                "timestamp": _timestamp(row.at_us),
            }
            for row in self.vehicles
        ] + [
            {
                "meterId": row.meter_id,
                "kwhConsumedAc": row.energy_mwh / 1_000_000,
                "voltage": row.voltage_mv / 1000,
                "timestamp": _timestamp(row.at_us),
            }
            for row in self.meters
        ]


def _timestamp(at_us: int) -> str:
    return rfc3339(_EPOCH + at_us * _MICROSECOND)


def minutes(day: Day) -> Iterator[Minute]:
    """Yield the readings of the day minute by minute, the same at each call."""
    pairs = [_Pair(number, Random(number)) for number in range(day.devices)]  # noqa: S311
    clock = Random(day.devices)  # noqa: S311
    for number in range(MINUTES):
        at = (day.start - _EPOCH) // _MICROSECOND + number * 60_000_000
        latest = day.jitter_ms
        vehicles, meters = [], []
        for pair in pairs:
            pair.advance(number)
            vehicle_at = at + int(clock.random() * latest) * 1000
            meter_at = at + int(clock.random() * latest) * 1000
            vehicles.append(pair.vehicle_row(vehicle_at))
            meters.append(pair.meter_row(meter_at))
        yield Minute(vehicles, meters)


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

    def vehicle_row(self, at: int) -> VehicleRow:
        """Return what the vehicle measures in the minute that has ended."""
        temp_c = self._temp_c + self._random.gauss(0, 0.1)
        return VehicleRow(
            self._vehicle_id,
            at,
            self._dc_mwh,
            round(self._soc * 10_000),
            round(temp_c * 10) * 10,
            self._meter_id,
        )

    def meter_row(self, at: int) -> MeterRow:
        """Return what the meter measures, with noise of its own on top of the grid's voltage."""
        voltage = 230 + self._grid_v + self._random.gauss(0, 0.1)
        return MeterRow(self._meter_id, at, self._ac_mwh, round(voltage * 10) * 100)


class _Register:
    """Shows a total in whole steps, and reports its growth in an interval."""

    def __init__(self, total_mwh: float) -> None:
        self._total_mwh = total_mwh

    def count(self, energy_mwh: float) -> int:
        """Add to the total; return by how much the shown value grew, mWh."""
        before = self._total_mwh // _STEP_MWH
        self._total_mwh += energy_mwh
        return round(self._total_mwh // _STEP_MWH - before) * _STEP_MWH
