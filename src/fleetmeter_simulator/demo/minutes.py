"""Simulates the depots minute by minute, all vehicles at once.

It is as coarse as a demo may be, and fast: a month of 200 vehicles takes a few seconds. The model
of charging is that of the simulated fleet (devices/charging.py), on arrays.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import asin, cos, pi, sin
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fleetmeter_simulator.demo.depots import DEPOTS, Depot, Fleet
from fleetmeter_simulator.demo.faults import Fault, at
from fleetmeter_simulator.devices.charging import (
    COOLED_BELOW_C,
    COOLING,
    LEAST_EFFICIENCY,
    MOST_EFFICIENCY,
    OVERHEAD_KW,
    PROPORTIONAL,
    charging_heat_k,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAY = 24 * 60
_KNEE, _FALL = 0.8, 0.1
"""State of charge from which power falls, and how fast."""
_LATITUDE = 52.0 / 180 * pi


class Minute(NamedTuple):
    """Holds the state at the end of a minute, by vehicle or by meter."""

    dc_mwh: Ints
    """What has been delivered to the battery so far; likewise consumed and exported by meters."""
    soc: Floats
    """From 0 to 1, as reported; likewise temperature and distance."""
    temp_c: Floats
    odometer_m: Floats
    ac_mwh: Ints
    exported_mwh: Ints
    volts: Floats
    vehicle_reports: Flags
    meter_reports: Flags


class Depots:
    """Steps from minute to minute; the same arguments give the same minutes."""

    def __init__(
        self, fleet: Fleet, faults: Sequence[Fault], midnight: datetime, offset: timedelta
    ) -> None:
        """Begin at a midnight UTC; `offset` is what local time is ahead."""
        self.minute = 0
        self._midnight = midnight
        self._offset_min = offset // timedelta(minutes=1)
        self._faults = faults
        vehicles, count = fleet.vehicles, len(fleet.vehicles)

        def each(name: str) -> Floats:
            return np.array([getattr(vehicle.depot, name) for vehicle in vehicles], float)

        rng = self._rng(0)
        self._rated_kw, self._weekend = each("rated_kw"), each("weekend")
        self._kwh_per_km = each("kwh_per_km") * rng.normal(1, 0.05, count)
        self._capacity = np.array([vehicle.capacity_kwh for vehicle in vehicles])
        self._km = _drawn(rng, vehicles, "daily_km")
        self._leaves = _drawn(rng, vehicles, "leaves_h") * 60
        self._returns = _drawn(rng, vehicles, "returns_h") * 60
        self._managed = rng.random(count) < each("managed")
        self._waits = rng.uniform(20.5, 25.0, count) * 60
        self._target = rng.choice([0.85, 0.9, 0.9, 1.0], count)
        self._spread = np.clip(rng.normal(0, 0.006, count), -0.012, 0.012)
        self._meter_of = np.array([vehicle.meter for vehicle in vehicles])
        self._second = np.ones(count, bool)
        self._second[np.unique(self._meter_of, return_index=True)[1]] = False
        self._soc = self._target * rng.uniform(0.94, 1, count)
        self._temp = np.full(count, 12.0)
        self._odometer_m = rng.uniform(8_000, 90_000, count) * 1000
        self._charge_from = np.zeros(count)
        self._done = np.ones(count, bool)
        self._plugged = np.ones(count, bool)
        self._stuck: dict[int, float] = {}
        meters = fleet.meters
        self._standby = rng.uniform(4, 14, len(meters)) * 1000 / 60
        self._nominal_v = np.array([meter.depot.nominal_v for meter in meters], float)
        self._volts_off = rng.normal(0, 0.004, len(meters))
        self._dc_mwh = (rng.uniform(2_000, 20_000, count) * 1e6).astype(np.int64)
        self._ac_mwh = (rng.uniform(2_000, 20_000, len(meters)) * 1e6).astype(np.int64)
        self._exported_mwh = np.zeros(len(meters), np.int64)
        self._own_site = [
            (
                DEPOTS[number],
                np.array([m.depot is depot and m.role == "charger" for m in meters]),
                next(n for n, m in enumerate(meters) if m.depot is depot and m.role == "site"),
                next(n for n, m in enumerate(meters) if m.depot is depot and m.role == "solar"),
            )
            for number, depot in enumerate(DEPOTS)
            if depot.solar_kw
        ]
        self._plan(0)

    def _rng(self, day: int) -> np.random.Generator:
        return np.random.default_rng([20, day])

    def _plan(self, day: int) -> None:
        """Plan a local day: who drives, when, and how far; and its weather."""
        rng, count = self._rng(day + 1), len(self._capacity)
        date = (self._midnight + timedelta(days=day)).date()
        is_weekend = date.weekday() >= 5
        self._weekday = not is_weekend
        self._drives = rng.random(count) < (self._weekend if is_weekend else 0.95)
        km = self._km * rng.lognormal(0, 0.22, count) * (0.75 if is_weekend else 1)
        most = 0.62 * self._capacity / self._kwh_per_km
        self._day_km = np.minimum(km, most)
        self._leave = self._leaves + rng.normal(0, 18, count)
        back = np.maximum(self._returns + rng.normal(0, 28, count), self._leave + 240)
        self._return = np.minimum(back, DAY - 15)
        self._fumbles = rng.uniform(2, 14, count)
        self._plugs_in = rng.random(count) < 0.94
        self._wait = self._waits + rng.normal(0, 15, count)
        self._session_spread = self._spread + rng.normal(0, 0.004, count)
        year_day = date.timetuple().tm_yday
        self._mean_c = 11.5 - 7.5 * cos((year_day - 20) / 365 * 2 * pi) + rng.normal(0, 1.5)
        self._sun = asin(0.398 * sin((year_day - 81) / 365 * 2 * pi))
        self._clouds = np.repeat(np.clip(rng.beta(1.4, 1.1) + rng.normal(0, 0.18, 48), 0.08, 1), 30)
        self._load_noise = np.repeat(rng.normal(1, 0.06, 96), 15)
        meters = len(self._standby)
        self._standby_noise = self._standby * rng.normal(1, 0.05, (DAY, meters))
        self._volts_noise = 1 + self._volts_off + rng.normal(0, 0.0015, (DAY, meters))
        self._hot_noise = rng.normal(0, 0.2, DAY)

    def step(self) -> Minute:
        """Simulate the next minute."""
        local = self.minute + self._offset_min
        of_day = local % DAY
        if of_day == 0:
            self._plan(local // DAY)
        faults = at(self._faults, self.minute) if self._faults else []
        air_c = self._mean_c + 3.5 * cos((of_day / 60 - 15) / 12 * pi)
        out = self._drives & (of_day >= self._leave) & (of_day < self._return)
        back = out & (of_day + 1 >= self._return)
        leaving = out & (of_day < self._leave + 1)
        self._plugged &= ~leaving
        self._done &= ~leaving
        resting = 12 * 60 <= of_day < 12 * 60 + 40
        if not resting:
            km = np.where(out, self._day_km / (self._return - self._leave - 40), 0)
            self._odometer_m += km * 1000
            self._soc = np.maximum(self._soc - km * self._kwh_per_km / self._capacity, 0.03)
        needs = self._soc < 0.7
        self._plugged |= back & (self._plugs_in | needs)
        waits = self._managed & (self._return < self._wait) & (self._soc > 0.25)
        starts = np.where(waits, self._wait, self._return + self._fumbles)
        self._charge_from = np.where(back, local - of_day + starts, self._charge_from)
        dc, ac = self._charge(local, air_c, faults)
        heat = np.where(out & (not resting), 0.02, 0.0) + _charging_heat_k(dc, self._capacity)
        self._temp += heat - (self._temp - air_c) * COOLING
        np.clip(self._temp, 2, COOLED_BELOW_C, out=self._temp)
        return self._measured(of_day, dc, ac, faults)

    def _charge(self, local: int, air_c: float, faults: Sequence[Fault]) -> tuple[Ints, Floats]:
        """Return DC and AC of each vehicle, mWh."""
        charging = self._plugged & ~self._done & (local >= self._charge_from)
        busy = np.bincount(self._meter_of, charging & ~self._second, len(self._standby))
        charging &= ~(self._second & (busy[self._meter_of] > 0))
        soc = self._soc
        kw = self._rated_kw * np.where(
            soc < _KNEE, 0.96 + 0.04 * soc / _KNEE, np.exp((_KNEE - soc) / _FALL)
        )
        kw = np.maximum(kw, self._rated_kw * 0.12)
        share = np.clip(1 - PROPORTIONAL - OVERHEAD_KW / kw, LEAST_EFFICIENCY, MOST_EFFICIENCY)
        share = share + self._session_spread
        usable = self._capacity.copy()
        for fault in faults:
            if fault.effect == "loss":
                share[fault.device] -= fault.size
            elif fault.effect == "aged":
                usable[fault.device] *= fault.size
        dc = np.where(charging, kw * share * 1_000_000 / 60, 0).astype(np.int64)
        self._soc = soc + dc / 1_000_000 / usable
        self._done |= charging & (self._soc >= self._target)
        return dc, dc / share

    def _measured(
        self,
        of_day: int,
        dc: Ints,
        ac: Floats,
        faults: Sequence[Fault],
    ) -> Minute:
        meter_of, soc, temp = self._meter_of, self._soc, self._temp
        meters = len(self._standby)
        energy = self._standby_noise[of_day]
        swing = 0.008 * cos((of_day / 60 - 6) / 12 * pi)
        volts = self._nominal_v * (self._volts_noise[of_day] + swing)
        vehicle_reports, meter_reports = np.ones(len(dc), bool), np.ones(meters, bool)
        for fault in faults:
            device = fault.device
            match fault.effect:
                case "swapped":
                    meter_of = meter_of.copy()
                    meter_of[[device, device + 1]] = meter_of[[device + 1, device]]
                case "standby":
                    energy = energy.copy()
                    energy[device] += fault.size * 1000 / 60
                case "sag":
                    volts[device] *= 1 - fault.size
                case "hot":
                    if dc[device]:
                        temp = temp.copy()
                        temp[device] = fault.size + self._hot_noise[of_day]
                case "stuck":
                    soc = soc.copy()
                    soc[device] = self._stuck.setdefault(device, soc[device])
                case "vehicle_silent":
                    vehicle_reports[device] = False
                case "meter_silent":
                    meter_reports[device] = False
        energy = energy + np.bincount(meter_of, ac, meters)
        volts = volts * (1 - np.minimum(energy * 60 / 1_000_000 / 4000, 0.012))
        exported = np.zeros(meters, np.int64)
        for depot, chargers, grid, roof in self._own_site:
            solar = self._solar_kw(depot, of_day) * 1_000_000 / 60
            building = (7 + (22 if self._weekday and 420 <= of_day < 1140 else 0)) * 1_000_000 / 60
            net = energy[chargers].sum() + building * self._load_noise[of_day] - solar
            energy[roof] = 0
            energy[roof], energy[grid], exported[grid] = solar, max(net, 0), int(max(-net, 0))
        self.minute += 1
        self._dc_mwh = self._dc_mwh + dc
        self._ac_mwh = self._ac_mwh + energy.astype(np.int64)
        self._exported_mwh = self._exported_mwh + exported
        return Minute(
            self._dc_mwh,
            soc,
            temp.copy(),
            self._odometer_m.copy(),
            self._ac_mwh,
            self._exported_mwh,
            volts,
            vehicle_reports,
            meter_reports,
        )

    def _solar_kw(self, depot: Depot, of_day: int) -> float:
        """Return what the panels yield: the sine of the sun's height, less the clouds."""
        hour_angle = (of_day / 60 - 12.2) / 12 * pi
        height = sin(_LATITUDE) * sin(self._sun) + cos(_LATITUDE) * cos(self._sun) * cos(hour_angle)
        return float(depot.solar_kw * max(height, 0) ** 1.15 * self._clouds[of_day])


def _charging_heat_k(dc_mwh: Ints, capacity_kwh: Floats) -> Floats:
    """Return by how many kelvin batteries are warmed."""
    kelvin: Floats = dc_mwh * (charging_heat_k(1, 1) / 1_000_000) / capacity_kwh
    return kelvin


def _drawn(rng: np.random.Generator, vehicles: Sequence[Any], name: str) -> Floats:
    """Draw a value for each vehicle between the bounds of its depot."""
    bounds = np.array([getattr(vehicle.depot, name) for vehicle in vehicles], float)
    drawn: Floats = bounds[:, 0] + rng.random(len(vehicles)) * (bounds[:, 1] - bounds[:, 0])
    return drawn
