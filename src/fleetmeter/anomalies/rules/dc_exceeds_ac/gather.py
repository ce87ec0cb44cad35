"""Asks for the readings that may say why DC exceeds AC, gathers them, and words what they show."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from fleetmeter.anomalies.model import DeviceKind, Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import (
    Case,
    Finding,
    intervals,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.clock_offsets import said
from fleetmeter.anomalies.rules.dc_exceeds_ac.state import LONGEST
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs

MOST_READ = timedelta(hours=36)
"""How far back from the end of the hour a device's readings are read."""

_MOST_FAR = 500
"""Meters of an hour whose readings are read as far back as clocks may be off."""

_BEFORE = timedelta(hours=2)
"""Read before a session: when clocks differ, the meter's curve begins earlier."""


class ReadingRequests:
    """Adds to what the rules need to know of an hour."""

    def __init__(self, hour: ObservedHour, needs: Needs) -> None:
        self._hour = hour
        self._readings = needs.readings
        self._far_meters = 0

    def near(self, device_kind: DeviceKind, device_id: str, begins: datetime) -> None:
        """Ask for readings of about the time of a session."""
        self._ask(device_kind, device_id, _near(begins, self._hour.ends))

    def whole(self, meter_id: str, vehicle_ids: Iterable[str], begins: datetime) -> None:
        """Ask for readings of a meter and of all that may have charged there, as far from the
        session as clocks may be off; of the first meters, when there are very many."""
        self._far_meters += 1
        is_far = self._far_meters <= _MOST_FAR
        since = (_far if is_far else _near)(begins, self._hour.ends)
        self._ask("meter", meter_id, since)
        for id_ in {*vehicle_ids, *self._hour.belonging.get(meter_id, ())}:
            self._ask("vehicle", id_, since)

    def _ask(self, device_kind: DeviceKind, device_id: str, since: datetime) -> None:
        subject = Subject(device_kind, device_id)
        self._readings[subject] = min(self._readings.get(subject, since), since)


def _near(begins: datetime, ends: datetime) -> datetime:
    return max(begins - _BEFORE, ends - MOST_READ)


def _far(begins: datetime, ends: datetime) -> datetime:
    return max(begins - LONGEST, ends - MOST_READ)


def gather(
    context: HourContext,
    meter_id: str,
    begins: Mapping[str, datetime],
    *,
    takers: Mapping[str, Sequence[str]] | None = None,
    candidates: Sequence[str] = (),
    is_covered: bool = True,
    only_near: bool = False,
) -> Case:
    """What is known of a meter, of the vehicles that charged there since `begins`, and of others.

    `only_near`: only of about the time of the session.
    """
    answers, takers = context.answers, takers or {}
    first = min(begins.values())
    near = _near(first, context.ends)
    start = near if only_near else _far(first, context.ends)
    belonging = () if only_near else context.hour.belonging.get(meter_id, ())
    neighbours = [id_ for id_ in belonging if id_ not in begins]
    of_others = [id_ for ids in takers.values() for id_ in ids]
    ids = list(dict.fromkeys([*begins, *of_others, *neighbours]))
    return Case(
        start,
        round((context.ends - start).total_seconds() / 60),
        meter_id,
        intervals(answers.meter_readings.get(meter_id, ()), start),
        context.hour.interval_s(Subject("meter", meter_id)),
        {id_: intervals(answers.vehicle_readings.get(id_, ()), start) for id_ in ids},
        {id_: context.hour.interval_s(Subject("vehicle", id_)) for id_ in ids},
        begins,
        {id_: intervals(answers.meter_readings.get(id_, ()), near) for id_ in candidates},
        {id_: context.hour.interval_s(Subject("meter", id_)) for id_ in candidates},
        takers,
        near,
        neighbours,
        _behind_s(context, meter_id, begins),
        is_covered,
    )


def _behind_s(
    context: HourContext, meter_id: str, vehicle_ids: Iterable[str]
) -> dict[Subject, float]:
    subjects = [Subject("meter", meter_id), *(Subject("vehicle", id_) for id_ in vehicle_ids)]
    return {
        subject: (device.last_seen - device.newest).total_seconds()
        for subject in subjects
        if (device := context.device(subject)) and device.last_seen and device.newest
    }


class Report:
    """What is said of a vehicle that does not fit."""

    def __init__(
        self,
        case: Case,
        meter_id: str,
        found: Finding,
        begins: datetime,
        hour_mwh: tuple[int, int],
    ) -> None:
        """`hour_mwh`: DC and AC of the hour with the largest excess."""
        points = [p for p in case.vehicle_points[found.vehicle_id] if p.energy_mwh > 0]
        points = [p for p in points if p.time > begins]
        self.begins = begins
        self.since = points[0].time if points else begins
        dc_kwh = sum(p.energy_mwh for p in points) / 1e6
        at_meter = [p for p in case.meter_points if p.time >= self.since]
        ac_kwh = sum(p.energy_mwh for p in at_meter) / 1e6
        self.summary = (
            f"{found.vehicle_id} took {dc_kwh:.1f} kWh at {meter_id}, which metered "
            f"{ac_kwh:.1f} kWh since then: {_because(found, meter_id)}"
        )
        self.evidence = {
            "meterId": meter_id,
            "dcKwh": round(dc_kwh, 3),
            "acKwh": round(ac_kwh, 3),
            "hourDcKwh": round(hour_mwh[0] / 1e6, 3),
            "hourAcKwh": round(hour_mwh[1] / 1e6, 3),
        } | found.evidence


def _because(found: Finding, meter_id: str) -> str:
    evidence = found.evidence
    if found.cause == "wrong_meter":
        return f"the curve of {evidence['otherMeterId']} fits, so it probably charges there"
    if found.cause == "clock_offset":
        late_s, whose = evidence["offsetS"], evidence.get("clockOf")
        if whose == "meter":
            return f"the curves fit when the timestamps of {meter_id} are {said(-late_s)}"
        other = "" if whose else f", or those of {meter_id} {said(-late_s, short=True)}"
        return f"the curves fit when its timestamps are {said(late_s)}{other}"
    if found.cause == "register_reset":
        return f"the register of {meter_id} began again ({evidence['resets']} times)"
    if found.cause == "missing_ac_readings":
        return f"readings of {meter_id} cover {evidence['coverageAc'] * 100:.0f} % of the time"
    if found.cause == "reporting_lag":
        return f"{meter_id} shows its energy late and in lumps"
    return "nothing that is known explains it"
