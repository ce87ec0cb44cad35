"""Requests the readings that may explain why DC exceeds AC, and gathers them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from fleetmeter.anomalies.model import Subject, SubjectKind
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import (
    Case,
    intervals,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.state import LONGEST
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs

MOST_READ = timedelta(hours=36)
"""Maximum time before the end of the hour from which a device's readings are read."""

_MOST_FAR = 500
"""Maximum number of meters per hour read as far back as clocks may be off."""

_BEFORE = timedelta(hours=2)
"""Read before a session: when clocks differ, the meter's curve begins earlier."""


class ReadingRequests:
    """Adds requests for readings to the needs of an hour."""

    def __init__(self, hour: ObservedHour, needs: Needs) -> None:
        self._hour = hour
        self._readings = needs.readings
        self._far_meters = 0

    def near(self, device_kind: SubjectKind, device_id: str, begins: datetime) -> None:
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

    def _ask(self, device_kind: SubjectKind, device_id: str, since: datetime) -> None:
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
    """Return the readings around a meter, the vehicles there since `begins`, and other meters.

    With `only_near`, only those from about the time of the session.
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
