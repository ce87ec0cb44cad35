"""What the rules remember of a device from one hour to the next. JSON, and nothing of a healthy
idle device.

Nothing reaches back further than MEMORY_DAYS: what was found longer ago no longer counts, so that
hours evaluated anew from that far back end in the same state as hours evaluated all along.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from fleetmeter.anomalies.model import Cause, Kind

MEMORY_DAYS = 31
"""From how long before must hours be evaluated to know what is wrong after them."""

Verdict = Literal["breach", "clear"]


class Condition(msgspec.Struct, omit_defaults=True):
    """What is known of one rule about one device."""

    open: bool = False
    """It is wrong now."""

    since: datetime | None = None
    """When it began, while it is open."""

    cause: Cause | None = None
    """Why, as far as that was said, while it is open."""

    last: Verdict | None = None
    """What was found last, when that was beyond doubt."""

    at: datetime | None = None
    """When (the end of an hour) that was found last."""

    count: int = 0
    """Of whatever the rule counts up to a change."""

    count_since: datetime | None = None
    """Since when it counts."""


class SessionHour(msgspec.Struct, array_like=True):
    """One hour of a charging session at one meter."""

    hour: datetime
    dc_mwh: int
    ac_mwh: int | None
    """None when it cannot be compared."""

    soc_bp_min: int | None
    soc_bp_max: int | None
    temp_c: float | None
    """Mean, of the battery. It and the state of charge are None when nothing was measured."""

    temp_min_c: float | None
    is_covered: bool
    """The vehicle's readings cover it."""

    is_alone: bool
    """Nobody else charged at the meter."""


class Session(msgspec.Struct, omit_defaults=True):
    """Consecutive hours in which a vehicle charged at one meter."""

    meter: str | None
    hours: list[SessionHour]
    others: list[str] = []
    """Vehicles that charged at the meter in some of its hours."""

    is_shared: bool = False
    """Others reported from its meter, whether or not they charged."""

    doubtful: bool = False
    """More DC than AC in some hour, or somebody else's AC: its efficiency says nothing."""

    fitting_mwh: int = 0
    """DC of the hours that the meter covered."""

    found: list[Kind] = []
    """What was found of it already before it ended."""


class Judged(msgspec.Struct, array_like=True):
    """A session that is over, as the baseline sees it."""

    ended: datetime
    residual: float
    """Efficiency less what was expected."""

    cold: float
    """How much cold may have cost it."""


class Suspicion(msgspec.Struct, omit_defaults=True):
    """A meter at which DC exceeded AC in an hour, while it is not clear why."""

    since: datetime
    vehicles: list[str]
    candidates: list[str] = []
    """Other meters that may have fed them."""

    dc_mwh: int = 0
    ac_mwh: int = 0
    """DC and AC of the hour with the largest excess."""

    is_covered: bool = True
    """The meter reported. False: only a curve that fits elsewhere says that something is wrong."""

    until: datetime | None = None
    """When it did not: readings of later say nothing of it."""


class Unexplained(msgspec.Struct, omit_defaults=True):
    """DC beyond AC whose cause is not known, though later readings may say it."""

    meter: str
    since: datetime
    """When the session began, or the first hour that is looked at."""

    until: datetime
    """Readings of later say nothing of it."""

    dc_mwh: int = 0
    ac_mwh: int = 0


class Run(msgspec.Struct, array_like=True):
    """Hours in a row without charging in which a meter counted too much."""

    since: datetime
    last: datetime
    hours: int
    attended: int
    """Of these, with a vehicle there that reported."""

    mwh: int


class Nominal(msgspec.Struct, array_like=True):
    """The nominal voltage of a meter, as its first day shows it."""

    volts: int
    since: datetime | None
    """When the first day began; None: it is over."""

    means: list[float] = []
    """Volts, of the hours of that day."""


class Fallen(msgspec.Struct, array_like=True):
    """An hour in which a register fell."""

    hour: datetime
    times: int
    dips: int = 0
    flutters: int = 0
    """How many of `times` were dips and flutters; the others were resets."""


class Skew(msgspec.Struct, array_like=True):
    """Readings whose time differed from their arrival by about the same."""

    skew_s: float
    since: datetime
    last: datetime
    samples: int


class DeviceState(msgspec.Struct, omit_defaults=True):
    """All that is remembered of one device, or of one site."""

    conditions: dict[Kind, Condition] = {}
    session: Session | None = None
    """Of a vehicle that charges."""

    judged: list[Judged] = []
    """Of a vehicle: its last sessions."""

    other_meter: str | None = None
    """Of a vehicle whose DC exceeds the AC of its meter: where it charges instead."""

    unexplained: Unexplained | None = None
    """Of a vehicle whose DC exceeds the AC of its meter: why is not known."""

    suspicion: Suspicion | None = None
    """Of a meter."""

    unclaimed: datetime | None = None
    """Of a meter: the last hour in which it metered what no vehicle took."""

    run: Run | None = None
    """Of a meter."""

    peaking: bool = False
    """The last hour ended with a power that cannot be."""

    falls: list[Fallen] = []
    """Of a register: hours in which it fell or began again, and how often."""

    charged: datetime | None = None
    """Of a meter: when somebody charged there, a week ago at most if somebody did since."""

    nominal: Nominal | None = None
    """Of a meter, or of a site: as of the first of its meters."""

    nominal_of_role: dict[str, int] = {}
    """A site's nominal voltage by role, as its first meter with that role has it."""

    silent_since: datetime | None = None
    """Of a device: its last reading, when it has been silent for too long since."""

    was_charging: bool | None = None
    """Of a silent device: whether that last reading was one of charging; None: not known."""

    pauses: int = 0
    """Of a device: its last silences in a row that lay between two charges."""

    silences: list[tuple[datetime, datetime | None]] = []
    """Of a site: when all of it was silent."""

    skew: Skew | None = None
    """Of a device's clock."""

    def is_trivial(self) -> bool:
        """Whether there is nothing to remember."""
        return self == _NOTHING


_NOTHING = DeviceState()
EMPTY_AFTER = timedelta(days=MEMORY_DAYS - 1)
"""What was found longer ago does not count any more."""
