"""Names the faults a fleet can be given, and parses requests for them."""

import re
from datetime import datetime, timedelta

import msgspec

from fleetmeter.anomalies.model import AnomalyKind, Cause, Subject
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter_simulator.durations import parse_duration
from fleetmeter_simulator.faults.magnitudes import NEEDS

VARIANTS: dict[AnomalyKind, tuple[str, ...]] = {
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
"""The variants of each kind that has more than one."""


def _can_be_made(kind: AnomalyKind) -> bool:
    variants = VARIANTS.get(kind, ())
    return kind in NEEDS or (bool(variants) and all(each in NEEDS for each in variants))


KINDS: tuple[AnomalyKind, ...] = tuple(kind for kind in RULES if _can_be_made(kind))
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
"""The cause that a rule should name, by variant."""

_FORM = "a fault is KIND[:VARIANT]@DEVICE[+START[/LENGTH]], like efficiency_low@EV-3+12h/5d"
_WANTED = re.compile(
    r"(?P<kind>[^:@+/]+)(?::(?P<variant>[^:@+/]+))?@(?P<device>[^@+/]+)"
    r"(?:\+(?P<start>[^@+/]+)(?:/(?P<length>[^@+/]+))?)?"
)


class Wanted(msgspec.Struct, frozen=True):
    """Asks for a fault; whatever is left open is chosen so that the fault shows."""

    kind: AnomalyKind
    variant: str | None = None
    device: str | None = None
    """A vehicle, meter or site; a vehicle also stands for its meter and its site."""

    start: timedelta | None = None
    """Offset from the fleet's start."""

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
    """Records a charging session as it really was."""

    vehicle_id: str
    begin: datetime
    end: datetime
    dc_kwh: float
    soc_gain: float
    """Percentage points."""


class Fault(msgspec.Struct, kw_only=True):
    """Describes a fault that a fleet has, and that the rules should find."""

    kind: AnomalyKind
    variant: str | None
    cause: Cause | None
    subject: Subject
    site: str
    meter_id: str | None
    """The affected meter: the subject itself, or the meter of the vehicle."""

    other_meter_id: str | None = None
    """For a wrong assignment, the meter at which the vehicle really charges."""

    vehicle_ids: list[str]
    """The affected vehicles."""

    bystanders: list[str]
    """Unaffected vehicles that share the meter."""

    start: datetime
    end: datetime
    numbers: dict[str, float]
    """The size of the fault; each name carries its unit."""

    charged: list[Charged] = []
    """Charging sessions of the affected vehicles during the fault, as far as simulated."""


class Acceptable(msgspec.Struct, frozen=True):
    """Describes a side effect of a fault: a rule may report it but need not."""

    kind: AnomalyKind
    subject: Subject
    start: datetime
    end: datetime
    why: str


def parse_wanted(text: str) -> Wanted:
    """Parse KIND[:VARIANT]@DEVICE[+START[/LENGTH]]. Raises ValueError with what would be right."""
    match = _WANTED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} cannot be read; {_FORM}")
    kind, variant = match["kind"], match["variant"]
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; choose from {', '.join(KINDS)}")
    variants = VARIANTS.get(kind, ())
    if variant is not None and variant not in variants:
        known = f"has {', '.join(variants)}" if variants else "has no variants"
        raise ValueError(f"unknown variant {variant!r}: {kind} {known}")
    start = parse_duration(match["start"]) if match["start"] else None
    length = parse_duration(match["length"]) if match["length"] else None
    if length is not None and length < timedelta(minutes=1):
        raise ValueError(f"{text!r}: a fault lasts at least a minute")
    return Wanted(kind, variant, match["device"], start, length)


def per_kind(number: int) -> list[Wanted]:
    """Ask for a number of faults of each kind, taking its variants in turn."""
    return [
        Wanted(kind, variants[n % len(variants)])
        for kind in KINDS
        for variants in (VARIANTS.get(kind, (None,)),)
        for n in range(number)
    ]
