"""Caches when devices last reported, while one hour after another is evaluated again.

Without it, history would be queried every hour for a device in the month before its first reading,
and for one whose history is gone.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from fleetmeter.anomalies.model import Hour, Subject
from fleetmeter.anomalies.rules.shared.needs import Needs


class NewestReadings:
    """Caches devices' newest readings in history, each until an hour has a newer one.

    Valid only while hours are read with everything that is stored about their devices.
    """

    def __init__(self) -> None:
        self._newest: dict[Subject, datetime | None] = {}
        self._until: datetime | None = None

    def turn_to(self, hour: Hour) -> None:
        """Forget devices with readings in the hour, or all of them if it is not the next one."""
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
        """Return the needs that still have to be queried from history."""
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

    def learn(self, asked: Iterable[Subject], found: Mapping[Subject, datetime]) -> None:
        """Remember the newest readings found; subjects missing in `found` have none."""
        self._newest.update({subject: found.get(subject) for subject in asked})

    def newest(self, subjects: Iterable[Subject], since: datetime) -> dict[Subject, datetime]:
        """Return when these devices last reported, for those that did after `since`."""
        return {
            subject: at
            for subject in subjects
            if (at := self._newest[subject]) is not None and at > since
        }
