"""Decides how long faults last, what must be there for them to show, and how bad they are."""

from random import Random

import msgspec

from fleetmeter_simulator.devices.profiles import MeterProfile, VehicleProfile

_DAY_H = 24.0


class Needs(msgspec.Struct, frozen=True):
    """Describes the conditions under which a fault shows."""

    hours: tuple[float, float]
    """Shortest and longest duration."""

    sessions: int = 0
    """Minimum number of charges of its vehicle in that time."""

    kwh: float = 0.0
    """Least energy of each of these charges."""

    lasting_min: int = 0
    """Least length of each of these charges."""

    steady_kwh: float = 0.0
    """Least energy of each before the battery limits the power: a trickle says little."""

    before: int = 0
    """Minimum number of charges before it, without any fault for CLEAN_DAYS."""

    rated_kw: float = 0.0
    """Least rated power: at low power, so little arrives that it hides the fault."""

    gain: float = 0.0
    """Least gain in state of charge of each charge, from 0 to 1."""

    alone: bool = False
    """True if the vehicle must have a meter of its own."""

    interval_energy: bool = False
    """True if neither the vehicle nor the meter may send a register."""

    makes_register: bool = False
    """True if the fault makes the meter send a register."""

    while_charging: bool = False
    """True if it also shows where the vehicle or the meter reports only while charging."""

    any_meter: bool = False
    """True if it also shows where the meter reports only every quarter hour or hour, or counts only
    what is charged.
    """


CLEAN_DAYS = 12

_ZONES_H = (-11, -8, -5, -2, -1, 1, 2, 3, 5, 6, 8, 10, 12)
"""Hours by which a clock with a wrong time zone is behind; negative if it is ahead."""

NEEDS: dict[str, Needs] = {
    "efficiency_low": Needs(
        hours=(5 * _DAY_H, 8 * _DAY_H),
        sessions=3,
        kwh=5,
        lasting_min=150,
        steady_kwh=5,
        alone=True,
        while_charging=True,
        any_meter=True,
    ),
    "efficiency_drop": Needs(
        hours=(5 * _DAY_H, 8 * _DAY_H),
        sessions=3,
        kwh=5,
        lasting_min=150,
        steady_kwh=5,
        before=7,
        alone=True,
        while_charging=True,
        any_meter=True,
    ),
    "wrong-meter": Needs((4 * _DAY_H, 6 * _DAY_H), 3, 5, alone=True),
    "clock-offset": Needs(
        (4 * _DAY_H, 6 * _DAY_H),
        sessions=3,
        kwh=5,
        rated_kw=3.7,
        alone=True,
        interval_energy=True,
        while_charging=True,
    ),
    "time-zone": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 3, 5, rated_kw=3.7, alone=True, interval_energy=True
    ),
    "missing-ac": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 3, 5, rated_kw=7.4, alone=True, interval_energy=True
    ),
    "register-reset": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 3, 5, rated_kw=7.4, alone=True, makes_register=True
    ),
    "reporting-lag": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 3, 5, rated_kw=7.4, alone=True, interval_energy=True
    ),
    "standby_loss": Needs((2 * _DAY_H, 4 * _DAY_H)),
    "vehicle_silent": Needs((3, 48), any_meter=True),
    "meter_silent": Needs((3, 48)),
    "site_silent": Needs((2, 10)),
    "voltage_out_of_range": Needs((8, 48)),
    "battery_hot": Needs((2, 8), any_meter=True),
    "battery_cold_charging": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 2, 5, while_charging=True, any_meter=True
    ),
    "soc_mismatch": Needs(
        hours=(5 * _DAY_H, 7 * _DAY_H),
        sessions=3,
        kwh=5,
        gain=0.2,
        interval_energy=True,
        while_charging=True,
        any_meter=True,
    ),
    "soc": Needs(
        hours=(5 * _DAY_H, 7 * _DAY_H),
        sessions=3,
        kwh=5,
        gain=0.27,  # of which up to a third is not shown
        interval_energy=True,
        while_charging=True,
        any_meter=True,
    ),
    "clock_skew": Needs((4, 24), interval_energy=True),
    "power_implausible": Needs(
        (3 * _DAY_H, 5 * _DAY_H), 2, 5, alone=True, interval_energy=True, while_charging=True
    ),
    "soc_stuck": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 2, 6, gain=0.12, while_charging=True, any_meter=True
    ),
    "soc_scale": Needs(
        (4 * _DAY_H, 6 * _DAY_H), 2, 6, gain=0.12, while_charging=True, any_meter=True
    ),
    "register_unstable": Needs((_DAY_H, 3 * _DAY_H), makes_register=True),
    "readings_refused": Needs((4, 24), interval_energy=True),
    "unit": Needs((4, 24), makes_register=True),
}
"""Conditions under which each kind shows; for kinds with variants that differ, each variant."""


def numbers_of(
    what: str, rng: Random, vehicle: VehicleProfile, meter: MeterProfile
) -> dict[str, float]:
    """Draw how bad a fault is; `what` is its variant, or its kind if it has none."""
    match what:
        case "efficiency_low":
            return {"points": round(rng.uniform(0.12, 0.2), 3)}
        case "efficiency_drop":
            return {"points": round(rng.uniform(0.06, 0.09), 3)}
        case "clock-offset":
            return {"behindS": rng.randint(16, 74) * 60 + _odd_s(rng)}
        case "time-zone":
            return {"behindS": rng.choice(_ZONES_H) * 3600 + _odd_s(rng)}
        case "wh":
            return {"powerFactor": 1000.0}
        case "double":
            return {"powerFactor": round(rng.uniform(2, 3), 2)}
        case "register_unstable":
            return {"everyMin": rng.randint(60, 180)}
        case "missing-ac":
            return {"lost": round(rng.uniform(0.17, 0.28), 3)}
        case "register-reset":
            return {"everyMin": rng.randint(32, 42), "hangsMin": rng.randint(8, 11)}
        case "reporting-lag":
            return {"lagMin": rng.randint(20, 50)}
        case "standby_loss":
            return {"watts": rng.randint(200, 900)}
        case "sag":
            return {"volts": round(rng.uniform(0.845, 0.885) * meter.nominal_v, 1)}
        case "swell":
            return {"volts": round(rng.uniform(1.115, 1.145) * meter.nominal_v, 1)}
        case "battery_hot":
            return {"temperatureC": round(rng.uniform(46.5, 60), 1)}
        case "battery_cold_charging":
            return {"temperatureC": round(rng.uniform(-15, -3), 1)}
        case "soc":
            return {"capacityFactor": round(_far_off(rng) / vehicle.health, 3)}
        case "energy":
            return {"energyFactor": round(_far_off(rng) / vehicle.health, 3)}
        case "behind":
            return {"behindS": rng.randint(6, 39) * 60 + _odd_s(rng)}
        case "year":
            return {"behindS": -365 * 86400 - _odd_s(rng)}
        case "minutes":
            return {"behindS": -6 * 60 - _odd_s(rng)}
        case "ahead":
            return {"behindS": -rng.choice((95, 105, 145, 160, 200, 220, 265, 280))}
        case _:
            return {}


def _odd_s(rng: Random) -> int:
    """Draw seconds that keep a reading from getting the time of another one."""
    return rng.randint(10, 50)


def _far_off(rng: Random) -> float:
    return rng.choice((rng.uniform(0.5, 0.7), rng.uniform(1.3, 1.5)))
