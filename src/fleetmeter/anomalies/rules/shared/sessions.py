"""Follows charging sessions: consecutive hours in which a vehicle charged at one meter."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from fleetmeter.anomalies.model import AnomalyKind, Subject, VehicleHour
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.state import State

MOST_HOURS = 48
"""Maximum length of a session; a longer one is split."""

SESSION_READ = timedelta(hours=12)
"""The last hours of a longer session are enough, where its readings decide."""

_ALONE = 0.98
"""Part of a meter's DC; a vehicle that took that much was as good as alone there."""

_COVERED_S = 3240
"""Coverage of an hour from which a vehicle misses none of it, seconds."""

_LACKING = 0.12
"""Part of an hour's readings that may be lost; more is another meter for a part of the hour."""

_SLOW_S = 120
"""A meter that reports less often counts in the next hour what somebody took at the end of this
one."""

_METERED_S = 2520
"""Coverage of an hour from which a meter can be compared with its vehicles, seconds."""


_DROVE_BP = 300
"""Fall in the state of charge above which the vehicle was driven; less may be a correction."""


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
    """The vehicle's readings cover the hour."""

    is_alone: bool
    """No other vehicle charged at the meter."""


class HourlySession(msgspec.Struct, omit_defaults=True):
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

    found: list[AnomalyKind] = []
    """Findings about it from before it ended."""


class ChargingState(State):
    """The session of a vehicle that charges."""

    session: HourlySession | None = None


class FollowedSession:
    """A vehicle's session after an hour."""

    def __init__(self, subject: Subject, session: HourlySession, *, is_over: bool) -> None:
        self.subject = subject
        self.session = session
        self.is_over = is_over
        self.measured: Any = None
        """Its efficiency by expectation, once it has been measured."""

    @cached_property
    def since_drive(self) -> HourlySession:
        """The part of the session after the last short drive, which its states of charge show."""
        hours = self.session.hours
        for number in range(len(hours) - 1, 0, -1):
            before, least = hours[number - 1].soc_bp_max, hours[number].soc_bp_min
            if before is not None and least is not None and least < before - _DROVE_BP:
                return replace(self.session, hours=hours[number:])
        return self.session

    @property
    def begins(self) -> datetime:
        """Return when its first hour began."""
        return self.session.hours[0].hour

    @property
    def ends(self) -> datetime:
        """Return when its last hour ended."""
        return self.session.hours[-1].hour + timedelta(hours=1)


def ending_sessions(hour: ObservedHour) -> list[tuple[Subject, HourlySession]]:
    """Return the sessions that end because this hour is the first without them."""
    return [
        (subject, session)
        for subject, state in hour.having(ChargingState)
        if (session := state.session) and not _goes_on(hour, subject.device_id, session)
    ]


def _goes_on(hour: ObservedHour, vehicle_id: str, session: HourlySession) -> bool:
    return any(row.meter_id == session.meter for row in hour.charging.get(vehicle_id, ()))


def session_dc_mwh(session: HourlySession) -> int:
    """Return the DC of a session."""
    return sum(hour.dc_mwh for hour in session.hours)


def session_socs(session: HourlySession) -> set[int]:
    """Return the least and the most state of charge of each hour of a session, bp, if known."""
    ends = (soc for hour in session.hours for soc in (hour.soc_bp_min, hour.soc_bp_max))
    return {soc for soc in ends if soc is not None}


def follow(context: HourContext) -> Iterator[FollowedSession]:
    """Add this hour to the sessions; yield those that it ended, and those that continue."""
    for subject, _ in ending_sessions(context.hour):
        yield from _end(context, subject)
    for vehicle_id, rows in context.hour.charging.items():
        subject = Subject("vehicle", vehicle_id)
        if not context.hour.says_of(subject):
            continue
        state = context.change(subject, ChargingState)
        session = state.session
        # the meter at which it was comes first: where it went then, it went later
        for row in sorted(rows, key=lambda r: session is None or r.meter_id != session.meter):
            session = state.session
            if session is not None and (
                session.meter != row.meter_id or len(session.hours) >= MOST_HOURS
            ):
                yield from _end(context, subject)
                session = None
            if session is None:
                session = state.session = HourlySession(row.meter_id, [])
            _extend(session, row, context.hour)
            if vehicle_id in context.doubtful:
                session.doubtful = True
        if session is not None:
            yield FollowedSession(subject, session, is_over=False)


def _end(context: HourContext, subject: Subject) -> Iterator[FollowedSession]:
    state = context.change(subject, ChargingState)
    session = state.session
    state.session = None
    if session is not None:
        yield FollowedSession(subject, session, is_over=True)


def _while_covered(row: VehicleHour) -> int | None:
    """Return the AC of the time that the vehicle covers, where a few readings are missing."""
    if row.ac_mwh is None or row.covered_ac_s <= 0:
        return None
    share = row.covered_dc_s / row.covered_ac_s
    return round(row.ac_mwh * share) if abs(share - 1) <= _LACKING else row.ac_mwh


def _extend(session: HourlySession, row: VehicleHour, hour: ObservedHour) -> None:
    meter_id = row.meter_id
    is_slow = meter_id is not None and hour.interval_s(Subject("meter", meter_id)) > _SLOW_S
    ac_mwh, is_alone = None, False
    meter = None if meter_id is None else hour.meters.get(meter_id)
    if meter_id is not None:
        there = hour.at_meter[meter_id]
        session.is_shared |= hour.present[meter_id] > 1
        dc_mwh = sum(each.dc_mwh for each in there) if len(there) > 1 else row.dc_mwh
        is_alone = row.dc_mwh >= dc_mwh * _ALONE and meter_id not in hour.unsure_at
        follows = session.hours[-1] if session.hours else None
        # without readings, it is unknown when in a longer interval the energy was used
        has_readings = row.readings > 0 and meter is not None and meter.readings > 0
        is_apart = is_alone and (follows is None or follows.is_alone or not is_slow)
        if row.comparable and has_readings and is_apart:
            ac_mwh = _while_covered(row)
        for each in there:
            if each.vehicle_id != row.vehicle_id and each.vehicle_id not in session.others:
                session.others.append(each.vehicle_id)
    is_metered = meter is not None and meter.readings > 0
    if is_metered and (row.comparable or (meter and meter.covered_ac_s >= _METERED_S)):
        session.fitting_mwh += row.dc_mwh
    temp_cdeg, coldest_cdeg = row.battery_temp_cdeg, row.battery_temp_cdeg_min
    session.hours.append(
        SessionHour(
            row.hour,
            row.dc_mwh,
            ac_mwh,
            row.soc_bp_min,
            row.soc_bp_max,
            None if temp_cdeg is None else round(temp_cdeg / 100, 1),
            None if coldest_cdeg is None else coldest_cdeg / 100,
            row.covered_dc_s >= _COVERED_S,
            is_alone,
        )
    )
