"""What can be wrong in a fleet on purpose, and how it is asked for."""

import re
from datetime import datetime, timedelta
from typing import get_args

import msgspec

from fleetmeter.anomalies.model import Cause, Kind, Subject
from fleetmeter_simulator.durations import parse_duration
from fleetmeter_simulator.faults.magnitudes import NEEDS

VARIANTS: dict[Kind, tuple[str, ...]] = {
    "dc_exceeds_ac": (
        "wrong-meter",
        "clock-offset",
        "missing-ac",
        "register-reset",
        "reporting-lag",
        "time-zone",
    ),
    "power_implausible": ("wh", "double"),
    "voltage_out_of_range": ("sag", "swell"),
    "soc_mismatch": ("soc", "energy"),
    "clock_skew": ("behind", "ahead"),
    "readings_refused": ("year", "minutes", "unit"),
}
"""In which ways, of the kinds that have several."""


def _can_be_made(kind: Kind) -> bool:
    variants = VARIANTS.get(kind, ())
    return kind in NEEDS or (bool(variants) and all(each in NEEDS for each in variants))


KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if _can_be_made(kind))
"""The kinds that can be simulated, in the order of the rules; of a new rule, once NEEDS has it."""

CAUSES: dict[str, Cause] = {
    "wrong-meter": "wrong_meter",
    "clock-offset": "clock_offset",
    "missing-ac": "missing_ac_readings",
    "register-reset": "register_reset",
    "reporting-lag": "reporting_lag",
    "time-zone": "clock_offset",
    "wh": "unit_wh",
}
"""What a rule should call it."""

_FORM = "a fault is KIND[:VARIANT]@DEVICE[+START[/LENGTH]], like efficiency_low@EV-3+12h/5d"
_WANTED = re.compile(
    r"(?P<kind>[^:@+/]+)(?::(?P<variant>[^:@+/]+))?@(?P<device>[^@+/]+)"
    r"(?:\+(?P<start>[^@+/]+)(?:/(?P<length>[^@+/]+))?)?"
)


class Wanted(msgspec.Struct, frozen=True):
    """A fault that a fleet is to have; what is not said is chosen so that it shows."""

    kind: Kind
    variant: str | None = None
    device: str | None = None
    """A vehicle, a meter or a site; a vehicle stands for its meter, and for its site."""

    start: timedelta | None = None
    """After the fleet's start."""

    length: timedelta | None = None


class Charged(
    msgspec.Struct,
    frozen=True,
    rename={
        "vehicle_id": "vehicleId",
        "begin": "from",
        "end": "to",
        "dc_kwh": "dcKwh",
        "soc_gain": "socGain",
    },
):
    """A charging session as it really was."""

    vehicle_id: str
    begin: datetime
    end: datetime
    dc_kwh: float
    soc_gain: float
    """Percentage points."""


class Fault(msgspec.Struct, kw_only=True):
    """A fault that a fleet has: what the rules should find."""

    kind: Kind
    variant: str | None
    cause: Cause | None
    subject: Subject
    site: str
    meter_id: str | None
    """The meter that is concerned: the subject, or that of the vehicle."""

    other_meter_id: str | None = None
    """Of a wrong assignment: where the vehicle really charges."""

    vehicle_ids: list[str]
    """The vehicles that are concerned."""

    bystanders: list[str]
    """Vehicles that are not, and share the meter."""

    start: datetime
    end: datetime
    numbers: dict[str, float]
    """How much of it; a name carries its unit."""

    charged: list[Charged] = []
    """When those vehicles charged in this time; known once the fleet has got there."""


class Acceptable(msgspec.Struct, frozen=True):
    """What is true though nobody wanted it: a rule may find it, and need not."""

    kind: Kind
    subject: Subject
    start: datetime
    end: datetime
    why: str


def parse_wanted(text: str) -> Wanted:
    """KIND[:VARIANT]@DEVICE[+START[/LENGTH]]. Raises ValueError, which says what would be right."""
    match = _WANTED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} cannot be read; {_FORM}")
    kind, variant = match["kind"], match["variant"]
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; choose from {', '.join(KINDS)}")
    variants = VARIANTS.get(kind, ())
    if variant is not None and variant not in variants:
        known = f"has {', '.join(variants)}" if variants else "has no variants"
        raise ValueError(f"there is no variant {variant!r}: {kind} {known}")
    start = parse_duration(match["start"]) if match["start"] else None
    length = parse_duration(match["length"]) if match["length"] else None
    if length is not None and length < timedelta(minutes=1):
        raise ValueError(f"{text!r}: a fault lasts a minute at least")
    return Wanted(kind, variant, match["device"], start, length)


def kinds_and_variants() -> str:
    """List the kinds, a line each, with their variants."""
    width = max(map(len, KINDS))
    return "\n".join(
        f"  {kind:{width}}  {', '.join(VARIANTS.get(kind, ()))}".rstrip() for kind in KINDS
    )


def per_kind(number: int) -> list[Wanted]:
    """So many of each kind, its variants in turn, anywhere."""
    return [
        Wanted(kind, variants[n % len(variants)])
        for kind in KINDS
        for variants in (VARIANTS.get(kind, (None,)),)
        for n in range(number)
    ]
