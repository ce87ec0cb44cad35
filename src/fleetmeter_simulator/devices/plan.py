"""Plans what a vehicle does: when it drives, how far, and when it is plugged in.

Minutes count from midnight UTC of the fleet's first day.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from random import Random
from typing import Literal, NamedTuple

from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.charging import efficiency, knee_of
from fleetmeter_simulator.devices.profiles import HOLIDAY_EVERY, VehicleProfile

DAY = 24 * 60
_IDLE_DAY = 0.07
_MIDDAY_TRIP = 0.35
_LEAST_SOC = 0.12
"""Drivers plan to come home with at least this much."""
_RESERVE_DAYS = 1.6
"""Everybody plugs in when the charge is enough for fewer days of driving than this."""
_NIGHT_FROM_H = 22
_NIGHT_MIN = 8 * 60
"""A vehicle may be plugged in during rests of at least this length."""
_TAPER = 0.9
"""Mean power of charging ÷ rated power."""


class Phase(NamedTuple):
    """Describes a stretch of time in which a vehicle does one thing."""

    begin: int
    end: int
    what: Literal["parked", "driving", "plugged", "preconditioning"]
    soc: float
    """Approximate state of charge at its start."""

    kwh: float
    """Driving: energy used. Plugged in: approximate energy taken."""

    charge_from: int = 0
    """Plugged in: earliest start of charging."""

    kw: float = 0.0
    """Preconditioning: power taken from the grid."""


class PlannedSession(NamedTuple):
    """Describes approximately when a vehicle charges, and how much."""

    begin: int
    end: int
    kwh: float
    steady_kwh: float
    """Energy taken before the battery limits the power."""


def phases(seed: int, vehicle: VehicleProfile, first_day: date) -> Iterator[Phase]:
    """Yield phases without gaps and without end, from the day before the first one."""
    rng = seeded(seed, "plan", vehicle.number)
    soc = rng.uniform(0.4, 0.8)
    at = -DAY
    for day in count(-1):
        for begin, end, kwh in _trips(rng, vehicle, first_day, day):
            if begin <= at:
                continue
            rest = _rest(rng, vehicle, at, begin, soc)
            rested = soc + sum(phase.kwh for phase in rest) / vehicle.capacity_kwh
            kwh = min(kwh, (rested - _LEAST_SOC) * vehicle.capacity_kwh)
            if kwh < 0.5:
                continue
            yield from rest
            yield Phase(begin, end, "driving", rested, kwh)
            soc = rested - kwh / vehicle.capacity_kwh
            at = end


def sessions(
    seed: int, vehicle: VehicleProfile, first_day: date, until: int
) -> list[PlannedSession]:
    """Yield the planned charging sessions up to a minute."""
    found: list[PlannedSession] = []
    kw = dc_kw(vehicle)
    for phase in phases(seed, vehicle, first_day):
        if phase.begin >= until:
            return found
        if phase.what == "plugged" and phase.kwh > 0:
            minutes = round(phase.kwh / kw * 60)
            begin = phase.charge_from
            room = max(0.0, knee_of(vehicle.rated_kw) - phase.soc) * vehicle.capacity_kwh
            end = min(begin + minutes, phase.end)
            found.append(PlannedSession(begin, end, phase.kwh, min(phase.kwh, room)))
    return found


def dc_kw(vehicle: VehicleProfile) -> float:
    """Return the approximate mean power that reaches the battery over a session."""
    return vehicle.rated_kw * efficiency(vehicle.rated_kw, 20) * _TAPER


def _trips(
    rng: Random, vehicle: VehicleProfile, first_day: date, day: int
) -> list[tuple[int, int, float]]:
    """Return (begin, end, kWh) of each trip of a day."""
    weekday = (first_day + timedelta(days=day)).weekday()
    drives = rng.random() < (vehicle.weekend if weekday >= 5 else 1 - _IDLE_DAY)
    used = vehicle.daily_kwh * rng.lognormvariate(0, 0.3) * (0.6 if weekday >= 5 else 1)
    leaves = round((vehicle.leaves_at_h + rng.gauss(0, 0.4)) * 60)
    back = round((vehicle.back_at_h + rng.gauss(0, 0.6)) * 60)
    at_midday = rng.random() < _MIDDAY_TRIP
    if not drives or (day - vehicle.holiday_from) % HOLIDAY_EVERY < vehicle.holiday_days:
        return []
    midnight = day * DAY
    share = used / (3 if at_midday else 2)
    length = max(15, round(share / 9 * 60))  # about 9 kW at the wheels
    trips = [(leaves, leaves + length, share)]
    if at_midday:
        begin = (leaves + back) // 2
        trips.append((begin, begin + length, share))
    trips.append((back - length, back, share))
    return [(midnight + begin, midnight + end, kwh) for begin, end, kwh in trips]


def _rest(rng: Random, vehicle: VehicleProfile, begin: int, end: int, soc: float) -> list[Phase]:
    """Plan the rest between two trips."""
    plugs_in = rng.random() < vehicle.plugs_in
    preconditions = rng.random() < vehicle.preconditions
    fumbling, minutes, share = rng.randint(2, 15), rng.randint(60, 120), rng.uniform(0.5, 1)
    low = soc * vehicle.capacity_kwh < _RESERVE_DAYS * vehicle.daily_kwh
    if end - begin < _NIGHT_MIN or not (plugs_in or low):
        return [Phase(begin, end, "parked", soc, 0)]
    plugged = begin + fumbling
    leaves = end - minutes if preconditions and end - plugged > 2 * minutes else end
    charge_from = plugged
    if vehicle.waits_for_night:
        night = plugged // DAY * DAY + _NIGHT_FROM_H * 60
        if plugged < night < leaves - 4 * 60:
            charge_from = night
    most = dc_kw(vehicle) * (leaves - charge_from) / 60
    kwh = max(0.0, min((vehicle.target - soc) * vehicle.capacity_kwh, most))
    rest = [
        Phase(begin, plugged, "parked", soc, 0),
        Phase(plugged, leaves, "plugged", soc, kwh, charge_from),
    ]
    if leaves < end:
        kw = min(vehicle.rated_kw, 1 + 2 * share)
        rest.append(Phase(leaves, end, "preconditioning", soc, 0, kw=kw))
    return rest
