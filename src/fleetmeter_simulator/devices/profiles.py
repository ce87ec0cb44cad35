"""Describes the devices of a fleet, and what each of them is like."""

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.register_profiles import RegisterProfile, register_profile

BAY_SIZES = (1, 1, 2, 1, 1, 1, 3, 1, 1, 1, 2, 1, 1, 1, 1, 1, 0)
"""Vehicles per meter, repeated over and over: most have their own, some meters are a building's."""
BAYS_PER_SITE = 8

RATED_KW = (2.3, 3.7, 7.4, 11.0, 22.0)
_RATED_SHARES = (22, 16, 20, 32, 10)
"""Rated powers out of a hundred vehicles; nearly a quarter charges at a household socket."""
_DAILY_KWH = {2.3: (6, 11), 3.7: (8, 16), 7.4: (9, 22), 11.0: (10, 24), 22.0: (12, 28)}
"""Least and most energy used on a working day: no more than a night restores."""
_CAPACITIES_KWH = (40, 45, 50, 52, 58, 62, 64, 75, 77, 82, 90, 100)
_NOMINAL_V = (230, 230, 230, 230, 230, 230, 230, 120, 208, 277, 400, 480)
"""Nominal voltages, drawn at random for each site."""
_ONLY_WHILE_CHARGING = 0.1
"""Probability that a device reports only while it charges."""
_SAYS_SO = 0.7
"""Probability that a vehicle's setting says so; a meter's always does."""
_TARGETS = (0.8, 0.8, 0.9, 0.9, 1.0)
_VEHICLE_REGISTERS, _METER_REGISTERS = 0.08, 0.12
"""Probabilities that a vehicle and a meter send a register."""
_SLEEPS = 0.08
"""Probability that a vehicle's modem sleeps while it is parked."""
_SELDOM = 0.06
"""Probability that a meter reports only every quarter hour or hour."""

Sleep = Literal["never", "silent", "late"]
"""Behaviour of a sleeping modem: measures nothing, or keeps readings until it wakes up."""


class VehicleProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a vehicle, its driver's habits, and its modem."""

    vehicle_id: str
    number: int
    capacity_kwh: float
    """Nominal capacity, which is sent as a setting."""

    health: float
    """Share of the capacity that is left."""

    rated_kw: float
    """Most power that its charger takes from the grid."""

    efficiency_spread: float
    """Deviation from the efficiency of others of its kind."""

    daily_kwh: float
    leaves_at_h: float
    back_at_h: float
    weekend: float
    """Probability that it drives on a weekend day."""

    plugs_in: float
    """Probability that it is plugged in at night without need."""

    target: float
    """State of charge at which it stops charging."""

    waits_for_night: bool
    """True if it charges at night only, when energy is cheap."""

    preconditions: float
    """Probability that it heats or cools before it leaves."""

    holiday_from: int
    """Day of its first holiday; another one comes every HOLIDAY_EVERY days."""

    holiday_days: int
    soc_step_bp: int
    interval_min: int
    sends_register: bool
    register: RegisterProfile
    declares_meter: bool
    """True if it names its meter in each reading."""

    loses: float
    """Probability that it loses one reading of an hour."""

    only_while_charging: bool
    """True if it reports only while charging."""

    says_so: bool
    """True if its setting says that, or that its modem sleeps."""

    sleeps: Sleep


HOLIDAY_EVERY = 60


class MeterProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a meter and its modem."""

    meter_id: str
    number: int
    site: str
    standby_mwh: int
    """Standby energy per minute."""

    nominal_v: int
    voltage_mv: int
    interval_min: int
    on_the_hour: bool
    """True if it stamps readings with the exact end of their interval."""

    sends_register: bool
    register: RegisterProfile
    loses: float
    only_while_charging: bool
    """True if it reports only while charging; its setting says so."""

    is_charger: bool
    """True if its role is set to charger; otherwise none is set."""

    phase_us: int
    """Delay after the full minute with which the meter and its vehicles take their readings."""


class BayProfile(msgspec.Struct, frozen=True):
    """Describes a meter and the vehicles that charge there."""

    meter: MeterProfile
    vehicles: tuple[VehicleProfile, ...]


def is_usual(meter: MeterProfile) -> bool:
    """Return whether a meter reports every few minutes, and everything that it meters."""
    return not meter.on_the_hour and not (meter.sends_register and meter.register.of_sessions)


def bays(seed: int, vehicles: int, prefix: str, winter: bool) -> Iterator[BayProfile]:
    """Yield the bays of a fleet with this many vehicles."""
    left, number, vehicle = vehicles, 0, 1
    while left > 0:
        size = min(BAY_SIZES[number % len(BAY_SIZES)], left)
        yield BayProfile(
            _meter(seed, number + 1, prefix, vehicles=size),
            tuple(_vehicle(seed, vehicle + n, prefix, winter) for n in range(size)),
        )
        left, number, vehicle = left - size, number + 1, vehicle + size


def _meter(seed: int, number: int, prefix: str, *, vehicles: int) -> MeterProfile:
    rng, habits = seeded(seed, "meter", number), seeded(seed, "habits", "meter", number)
    field = seeded(seed, "field habits", "meter", number)
    is_building = not vehicles
    site = (number - 1) // BAYS_PER_SITE + 1
    nominal_v = seeded(seed, "site", site).choice(_NOMINAL_V)
    base_w = habits.uniform(200, 900)
    is_seldom, seldom_min = field.random() < _SELDOM, field.choice((15, 60))
    return MeterProfile(
        meter_id=f"{prefix}MTR-{number}",
        number=number,
        site=f"{prefix}SITE-{site}",
        standby_mwh=round((base_w if is_building else rng.uniform(3, 25)) * 1000 / 60),
        nominal_v=nominal_v,
        voltage_mv=nominal_v * 1000 + round(min(max(rng.gauss(0, 1000), -2000), 2000)),
        interval_min=_interval_min(rng, seldom_min if is_seldom else 1),
        on_the_hour=is_seldom,
        sends_register=rng.random() < _METER_REGISTERS,
        register=register_profile(field, is_alone=vehicles == 1, can_be_exchanged=True),
        loses=rng.uniform(0.1, 0.7),
        phase_us=rng.randrange(0, 50_000) * 1000,
        only_while_charging=(
            habits.random() < _ONLY_WHILE_CHARGING and not is_building and not is_seldom
        ),
        is_charger=habits.random() < 0.5 and not is_building,
    )


def _interval_min(rng: Random, otherwise: int) -> int:
    return 5 if rng.random() < 0.05 and otherwise == 1 else otherwise


def _vehicle(seed: int, number: int, prefix: str, winter: bool) -> VehicleProfile:
    rng, habits = seeded(seed, "vehicle", number), seeded(seed, "habits", "vehicle", number)
    field = seeded(seed, "field habits", "vehicle", number)
    sleeps: Sleep = (
        field.choice(("silent", "silent", "late")) if field.random() < _SLEEPS else "never"
    )
    only_while_charging = habits.random() < _ONLY_WHILE_CHARGING
    rated_kw = rng.choices(RATED_KW, _RATED_SHARES)[0]
    return VehicleProfile(
        vehicle_id=f"{prefix}EV-{number}",
        number=number,
        rated_kw=rated_kw,
        capacity_kwh=float(rng.choice(_CAPACITIES_KWH)),
        health=rng.uniform(0.95, 1),
        efficiency_spread=min(max(rng.gauss(0, 0.007), -0.015), 0.015),
        daily_kwh=rng.uniform(*_DAILY_KWH[rated_kw]),
        leaves_at_h=rng.uniform(5.5, 9),
        back_at_h=rng.uniform(14.5, 19),
        weekend=rng.uniform(0.1, 0.5),
        plugs_in=rng.uniform(0.6, 0.95),
        target=rng.choice(_TARGETS),
        waits_for_night=rng.random() < 0.3,
        preconditions=rng.uniform(0.1, 0.3) if winter else rng.uniform(0, 0.08),
        holiday_from=rng.randrange(HOLIDAY_EVERY),
        holiday_days=rng.randint(5, 9),
        soc_step_bp=rng.choice((10, 10, 50)),
        interval_min=5 if rng.random() < 0.05 else 1,
        sends_register=rng.random() < _VEHICLE_REGISTERS,
        register=register_profile(field, is_alone=True, can_be_exchanged=False),
        declares_meter=rng.random() < 0.05,
        loses=rng.uniform(0.1, 0.7),
        only_while_charging=only_while_charging,
        says_so=habits.random() < _SAYS_SO,
        sleeps="never" if only_while_charging else sleeps,
    )
