"""When devices were heard of last, while one hour after the other is evaluated anew.

In a month before its first reading a device would be asked about hour by hour, and so would one
that has nothing in its history any more.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from fleetmeter.anomalies.model import Hour, Subject
from fleetmeter.anomalies.rules.shared.needs import Needs


class Heard:
    """What history said of devices' newest readings: it holds until an hour has others.

    Only where hours are read that hold all that is stored of them.
    """

    def __init__(self) -> None:
        self._newest: dict[Subject, datetime | None] = {}
        self._until: datetime | None = None

    def turn_to(self, hour: Hour) -> None:
        """Forget whom the hour has readings of; and all unless it is the next one."""
        if self._until not in (hour.starts, hour.ends):
            self._newest.clear()
        for row in hour.vehicles:
            if row.readings:
                self._newest.pop(Subject("vehicle", row.vehicle_id), None)
        for each in hour.meters:
            if each.readings:
                self._newest.pop(Subject("meter", each.meter_id), None)
        self._until = hour.ends

    def left(self, needs: Needs) -> Needs:
        """What history has to be asked still."""
        newest = self._newest
        return Needs(
            {subject for subject in needs.last_times if subject not in newest},
            {
                subject: since
                for subject, since in needs.readings.items()
                if subject not in newest or ((at := newest[subject]) is not None and at >= since)
            },
            needs.peaks,
        )

    def learn(self, asked: Iterable[Subject], told: Mapping[Subject, datetime]) -> None:
        """Take what history has answered; missing: there is none."""
        self._newest.update({subject: told.get(subject) for subject in asked})

    def newest(self, subjects: Iterable[Subject], since: datetime) -> dict[Subject, datetime]:
        """The newest readings of these that are younger than that."""
        return {
            subject: at
            for subject in subjects
            if (at := self._newest[subject]) is not None and at > since
        }
