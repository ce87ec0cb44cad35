"""Finds meters with more DC than AC in an hour, and the devices whose readings may explain it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from fleetmeter.anomalies.model import (
    MeterHour,
    Subject,
    VehicleHour,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.candidates import (
    EFFICIENCY,
    candidates,
    surpluses,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import tolerance_mwh
from fleetmeter.anomalies.rules.dc_exceeds_ac.state import (
    LONGEST,
    MeterExcess,
    Suspicion,
    Unexplained,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.sessions import ChargingState, HourlySession
from fleetmeter.anomalies.rules.silence.pauses import only_while_charging
from fleetmeter.anomalies.rules.silence.state import DeviceSilence
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

KIND = DcExceedsAc.kind

_UNCLAIMED_MWH = 400_000
"""AC in an hour above this is more than standby and losses: it may be a charge."""

_LONG_S = 1800
"""Energy of longer than the readings of an hour cover comes from a register."""


class Group(NamedTuple):
    """A meter and the vehicles there, to be explained by readings."""

    meter_id: str
    since: datetime
    """The time from which vehicles' readings count."""

    begins: dict[str, datetime]
    """Start of each vehicle's session at the meter."""

    suspects: list[str]
    """Vehicles not yet known to exceed."""

    candidates: list[str]
    """Other meters."""

    takers: dict[str, list[str]]
    """Vehicles that charge at another meter, by that meter."""

    dc_mwh: int
    ac_mwh: int
    """DC and AC of the hour with the largest excess."""

    is_covered: bool
    """The meter reported in that hour."""


class Excess(NamedTuple):
    """More DC than AC in an hour of a meter."""

    meter_id: str
    mwh: int
    dc_mwh: int
    ac_mwh: int
    is_covered: bool


def _thresholds(hour: ObservedHour, rulebook: Rulebook, vehicle_id: str) -> DcExceedsAc:
    subject = Subject("vehicle", vehicle_id)
    return rulebook.of(DcExceedsAc, subject, hour.site(subject))


def find_excesses(hour: ObservedHour, rulebook: Rulebook) -> dict[str, Excess]:
    """Find meters at which more DC was delivered in this hour than AC was metered.

    Where the meter did not report, that alone says nothing.
    """
    found = {}
    for meter_id, rows in hour.at_meter.items():
        dc_mwh = sum(row.dc_mwh for row in rows)
        meter = hour.meters.get(meter_id)
        ac_mwh = 0 if meter is None else hour.metered_mwh(meter_id)
        excess = dc_mwh - ac_mwh
        if excess <= 0 or any(
            _is_of_before(hour, row) or _is_of_silence(hour, row) for row in rows
        ):
            continue
        thresholds = _thresholds(hour, rulebook, max(rows, key=lambda r: r.dc_mwh).vehicle_id)
        interval = _longest_interval_s(hour, meter_id, rows)
        if _is_much(excess, dc_mwh, interval, thresholds):
            is_covered = _is_covered(meter, rows, thresholds)
            found[meter_id] = Excess(meter_id, excess, dc_mwh, ac_mwh, is_covered)
    return found


def _is_covered(
    meter: MeterHour | None, rows: Sequence[VehicleHour], thresholds: DcExceedsAc
) -> bool:
    """Return whether the meter reported in the hour, or in as much of it as the vehicles there."""
    if meter is None or not meter.readings:  # when its energy came is not known
        return False
    return meter.covered_ac_s >= thresholds.coverage * 3600 or all(row.comparable for row in rows)


def _is_of_before(hour: ObservedHour, row: VehicleHour) -> bool:
    """Return whether a reading includes energy of a time without reports of the vehicle."""
    interval = hour.interval_s(Subject("vehicle", row.vehicle_id))
    return row.covered_dc_s > row.readings * interval + _LONG_S


def _is_of_silence(hour: ObservedHour, row: VehicleHour) -> bool:
    """Return whether a silent vehicle's session counter may have restarted unnoticed.

    Its first reading then holds all of the energy.
    """
    subject = Subject("vehicle", row.vehicle_id)
    device = hour.devices.get(subject)
    if device is None or not device.counts_sessions:
        return False
    silence = hour.read(subject, DeviceSilence)
    return silence is not None and silence.silent_since is not None


def _is_much(excess: int, dc_mwh: int, interval: int, thresholds: DcExceedsAc) -> bool:
    """Return whether an excess is larger than long intervals may miss at the edges of the hour."""
    edges = dc_mwh * interval / 3600
    return excess > max(tolerance_mwh(thresholds, dc_mwh), edges)


def _longest_interval_s(hour: ObservedHour, meter_id: str, rows: Sequence[VehicleHour]) -> int:
    """Return the longest reporting interval of a meter and the vehicles there."""
    of_vehicles = [hour.interval_s(Subject("vehicle", row.vehicle_id)) for row in rows]
    return max(hour.interval_s(Subject("meter", meter_id)), *of_vehicles)


def groups(hour: ObservedHour, rulebook: Rulebook) -> Iterator[Group]:
    """Yield meters whose excess known vehicles do not explain, and those unsure before."""
    excesses = find_excesses(hour, rulebook)
    suspicions = {
        subject.device_id: state.suspicion
        for subject, state in hour.having(MeterExcess)
        if state.suspicion is not None
    }
    if not excesses and not suspicions:
        return
    metered = {other: hour.metered_mwh(other) for other in hour.at_meter}
    surplus = surpluses(hour, metered)
    for meter_id in sorted(excesses.keys() | suspicions.keys()):
        suspicion, excess = suspicions.get(meter_id), excesses.get(meter_id)
        is_covered = bool((excess and excess.is_covered) or (suspicion and suspicion.is_covered))
        if not is_covered and not _may_fit(hour, meter_id):
            continue
        rows = hour.at_meter.get(meter_id, [])
        if excess is not None and suspicion is None and not _is_new(hour, rulebook, excess):
            continue
        suspects, begins = _who(hour, rulebook, meter_id, rows, suspicion)
        if not suspects:
            continue
        most = _thresholds(hour, rulebook, suspects[0]).other_meters
        others = (
            candidates(hour, most, meter_id, suspects, surplus, metered, suspicion)
            if is_covered or _is_quiet_when_idle(hour, meter_id)
            else []
        )
        yield Group(
            meter_id,
            min(begins.values()),
            begins,
            suspects,
            others,
            {
                other: [row.vehicle_id for row in hour.at_meter[other]]
                for other in others
                if other in hour.at_meter
            },
            *largest(excess, suspicion),
            is_covered,
        )


def _is_new(hour: ObservedHour, rulebook: Rulebook, excess: Excess) -> bool:
    """Return whether the vehicles known to exceed leave the excess unexplained."""
    rows = hour.at_meter[excess.meter_id]
    of_known = sum(row.dc_mwh for row in rows if is_known_to_exceed(hour, row.vehicle_id))
    biggest = max(rows, key=lambda r: r.dc_mwh).vehicle_id
    return _is_much(
        excess.mwh - of_known,
        excess.dc_mwh - of_known,
        _longest_interval_s(hour, excess.meter_id, rows),
        _thresholds(hour, rulebook, biggest),
    )


def _who(
    hour: ObservedHour,
    rulebook: Rulebook,
    meter_id: str,
    rows: Sequence[VehicleHour],
    suspicion: Suspicion | None,
) -> tuple[list[str], dict[str, datetime]]:
    """Find vehicles that may be the cause, and since when each vehicle there counts."""
    ids = sorted({row.vehicle_id for row in rows} | set(suspicion.vehicles if suspicion else ()))
    suspects = [
        id_
        for id_ in ids
        if _thresholds(hour, rulebook, id_).enabled and not is_known_to_exceed(hour, id_)
    ]
    begins = {id_: _begin(hour, id_, meter_id, suspicion) for id_ in ids}
    for id_ in suspects:
        session = session_at(hour, id_, meter_id)
        if session is not None:
            for other in session.others:
                begins.setdefault(other, begins[id_])
    return suspects, begins


def largest(excess: Excess | None, before: Suspicion | Unexplained | None) -> tuple[int, int]:
    """Return DC and AC of the hour with the largest excess, this one or one before, mWh."""
    hours = [(each.dc_mwh, each.ac_mwh) for each in (excess, before) if each is not None]
    return max(hours, key=lambda hour: hour[0] - hour[1], default=(0, 0))


def has_surplus(hour: ObservedHour, meter_id: str) -> bool:
    """Return whether a meter metered more than the vehicles there took, by far."""
    taken = hour.delivered_mwh(meter_id) / EFFICIENCY
    return hour.metered_mwh(meter_id) - taken >= _UNCLAIMED_MWH


def _may_fit(hour: ObservedHour, meter_id: str) -> bool:
    """Return whether a meter has, in this hour or lately, metered energy that no vehicle took."""
    if has_surplus(hour, meter_id):
        return True
    state = hour.read(Subject("meter", meter_id), MeterExcess)
    before = None if state is None else state.unclaimed
    return before is not None and hour.ends - before <= LONGEST


def _is_quiet_when_idle(hour: ObservedHour, meter_id: str) -> bool:
    """Return whether a meter that did not report had no vehicle there, as far as is known."""
    subject = Subject("meter", meter_id)
    return only_while_charging(hour.devices.get(subject), hour.read(subject, DeviceSilence))


def is_known_to_exceed(hour: ObservedHour, vehicle_id: str) -> bool:
    """Return whether a vehicle is already known to exceed."""
    return Subject("vehicle", vehicle_id) in hour.opened.get(KIND, ())


def _begin(
    hour: ObservedHour,
    vehicle_id: str,
    meter_id: str,
    suspicion: Suspicion | None,
) -> datetime:
    session = session_at(hour, vehicle_id, meter_id)
    if session is not None:
        return session.hours[0].hour
    return suspicion.since if suspicion else hour.starts


def session_at(hour: ObservedHour, vehicle_id: str, meter_id: str) -> HourlySession | None:
    """Return the session of a vehicle that has charged at a meter until this hour."""
    state = hour.read(Subject("vehicle", vehicle_id), ChargingState)
    session = None if state is None else state.session
    return session if session is not None and session.meter == meter_id else None
