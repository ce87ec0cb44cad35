"""Charging sessions from hourly rows: consecutive hours in which a vehicle charged at one meter."""

from collections.abc import Iterator, Set
from typing import NamedTuple

from msgspec.structs import replace

from fleetmeter.anomalies.model import Subject, VehicleHour
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.state import DeviceState, Session, SessionHour

MOST_HOURS = 48
"""A longer session is taken for several."""

_ALONE = 0.98
"""Of a meter's DC: who took that much was as good as alone there."""

_COVERED_S = 3240
"""A vehicle that covers so much of an hour misses none of it."""

_LACKING = 0.12
"""Part of an hour's readings that may be lost; more is another meter for a part of the hour."""

_SLOW_S = 120
"""A meter that reports less often counts in the next hour what somebody took at the end of this
one."""

_METERED_S = 2520
"""A meter that covers so much of an hour can be compared with what vehicles took."""


_DROVE_BP = 300
"""A state of charge that falls by more has been driven; less may be a correction."""


class Followed(NamedTuple):
    """A vehicle's session after an hour."""

    subject: Subject
    state: DeviceState
    session: Session
    is_over: bool


def session_dc_mwh(session: Session) -> int:
    """DC of a session."""
    return sum(hour.dc_mwh for hour in session.hours)


def session_socs(session: Session) -> set[int]:
    """The least and the most state of charge of each hour of a session, bp, as far as known."""
    ends = (soc for hour in session.hours for soc in (hour.soc_bp_min, hour.soc_bp_max))
    return {soc for soc in ends if soc is not None}


def since_drive(session: Session) -> Session:
    """The part of a session after the last drive of less than an hour, as its states of charge say;
    all of it where there was none."""
    hours = session.hours
    for number in range(len(hours) - 1, 0, -1):
        before, least = hours[number - 1].soc_bp_max, hours[number].soc_bp_min
        if before is not None and least is not None and least < before - _DROVE_BP:
            return replace(session, hours=hours[number:])
    return session


def follow(context: HourContext, doubtful: Set[str]) -> Iterator[Followed]:
    """Take this hour into the sessions; those that it ended, and those that go on.

    `doubtful`: vehicles whose AC of this hour says nothing.
    """
    for subject, state, _ in context.hour.ending():
        yield from _end(context, subject, state)
    for vehicle_id, rows in context.hour.charging.items():
        subject = Subject("vehicle", vehicle_id)
        if not context.hour.says_of(subject):
            continue
        state = context.state_of(subject)
        session = state.session
        # the meter at which it was comes first: where it went then, it went later
        for row in sorted(rows, key=lambda r: session is None or r.meter_id != session.meter):
            session = state.session
            if session is not None and (
                session.meter != row.meter_id or len(session.hours) >= MOST_HOURS
            ):
                yield from _end(context, subject, state)
                session = None
            if session is None:
                session = state.session = Session(row.meter_id, [])
            _extend(session, row, context.hour)
            if vehicle_id in doubtful:
                session.doubtful = True
        if session is not None:
            yield Followed(subject, state, session, False)


def _end(context: HourContext, subject: Subject, state: DeviceState) -> Iterator[Followed]:
    session = state.session
    context.state_of(subject)
    state.session = None
    if session is not None:
        yield Followed(subject, state, session, True)


def _while_covered(row: VehicleHour) -> int | None:
    """AC of the time that the vehicle's readings cover, where a few of either side are lacking."""
    if row.ac_mwh is None or row.covered_ac_s <= 0:
        return None
    share = row.covered_dc_s / row.covered_ac_s
    return round(row.ac_mwh * share) if abs(share - 1) <= _LACKING else row.ac_mwh


def _extend(session: Session, row: VehicleHour, hour: ObservedHour) -> None:
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
        # of a device that sent nothing, it is not known when in a longer time its energy came
        is_told = row.readings > 0 and meter is not None and meter.readings > 0
        is_apart = is_alone and (follows is None or follows.is_alone or not is_slow)
        if row.comparable and is_told and is_apart:
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
