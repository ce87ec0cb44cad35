"""Learns the nominal voltage of a meter from its first day, where none is set.

The first day's median decides for good, and until then the median of the hours so far. Where
another meter of the site is known and its nominal voltage is about as far away, that one is taken:
a weak supply of 212 V in a building of 230 V is not one of 208 V. A meter with the same role is
asked first: a main meter or an inverter may be behind a transformer, or measure between phases.
"""

from datetime import datetime, timedelta
from statistics import fmean, median

import msgspec

from fleetmeter.anomalies.model import ABSENT_MV, MeterHour, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.state import State

STANDARD_V = (120, 208, 230, 277, 400, 480)

_FARTHEST = 1.2
"""Maximum factor between a voltage and its nominal one."""

_OF_SITE = 1.15
"""Maximum factor by which a meter may differ from its site's nominal voltage."""

_DAY = timedelta(hours=24)


class Nominal(msgspec.Struct, array_like=True):
    """The nominal voltage of a meter, as its first day shows it."""

    volts: int
    since: datetime | None
    """Start of the first day; None once it is over."""

    means: list[float] = []
    """Mean voltages of the hours of that day, V."""


class VoltageState(State):
    """The nominal voltage of a meter or a site."""

    nominal: Nominal | None = None
    """A meter's own; a site's is that of the first of its meters."""

    nominal_of_role: dict[str, int] = msgspec.field(default_factory=dict)
    """A site's nominal voltage by role, as its first meter with that role has it."""


def nearest(volts: float, of_site: int | None = None) -> int | None:
    """Return the nearest standard voltage, or None if none is near."""
    if of_site is not None and _factor(volts, of_site) <= _OF_SITE:
        return of_site
    found = min(STANDARD_V, key=lambda standard: _factor(volts, standard))
    return found if _factor(volts, found) <= _FARTHEST else None


def _factor(volts: float, standard: int) -> float:
    return max(volts / standard, standard / volts)


def nominal_v(hour: ObservedHour, row: MeterHour) -> float | None:
    """Return the nominal voltage that readings show of a meter with voltages in this hour."""
    state = hour.read(Subject("meter", row.meter_id), VoltageState)
    if state is not None and state.nominal is not None:
        return state.nominal.volts
    return nearest(_mean_v(row), _of_others(hour, row.meter_id))


def learn(context: HourContext) -> None:
    """Add this hour's voltages to the first day of meters without a nominal voltage."""
    for row in context.hour.meter_rows:
        subject = Subject("meter", row.meter_id)
        state = context.read(subject, VoltageState)
        learnt = None if state is None else state.nominal
        if (learnt is not None and learnt.since is None) or not row.voltages:
            continue
        means = [*(learnt.means if learnt else ()), round(_mean_v(row), 1)]
        volts = nearest(median(means), _of_others(context.hour, row.meter_id))
        if volts is None:
            continue
        since = learnt.since if learnt and learnt.since else context.hour.starts
        state = context.change(subject, VoltageState)
        if context.ends - since < _DAY:
            state.nominal = Nominal(volts, since, means)
            continue
        state.nominal = Nominal(volts, None)
        site = context.site(subject)
        if site is not None:
            of_site = context.change(Subject("site", site), VoltageState)
            of_site.nominal = of_site.nominal or Nominal(volts, None)
            role = _role(context.hour, row.meter_id)
            of_site.nominal_of_role = {role: volts} | of_site.nominal_of_role


def _mean_v(row: MeterHour) -> float:
    # what was absent at times is in the mean as nothing
    return (
        fmean(
            voltage.highest if voltage.lowest < ABSENT_MV else voltage.mean
            for voltage in row.voltages
        )
        / 1000
    )


def _of_others(hour: ObservedHour, meter_id: str) -> int | None:
    """Return the nominal voltage of the site: of a meter with the same role, or else of any."""
    device = hour.devices.get(Subject("meter", meter_id))
    if device is None or device.site is None:
        return None
    state = hour.read(Subject("site", device.site), VoltageState)
    if state is None or state.nominal is None:
        return None
    return state.nominal_of_role.get(_role(hour, meter_id), state.nominal.volts)


def _role(hour: ObservedHour, meter_id: str) -> str:
    device = hour.devices.get(Subject("meter", meter_id))
    return (device and device.role) or "charger"
