"""Devices that do not report any more.

A device is silent when its last reading is many reporting intervals old at the end of an hour. When
most of a site is silent together that is one anomaly, of the site (site.py); its devices'
own are not raised while that lasts, nor while it looks like coming: most of the site is half way to
the threshold, or sent nothing for the whole hour. What is still silent an hour after the site is
back gets its own.

A device that is set to report only while it charges is never silent. One that is not set is taken
for such when its last silences lay between two charges (see pauses.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from fleetmeter.anomalies.model import (
    Device,
    Kind,
    Subject,
)
from fleetmeter.anomalies.rules.shared.context import HourTurn, is_open
from fleetmeter.anomalies.rules.shared.hour import Observed
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, Needs, VehiclePoint
from fleetmeter.anomalies.rules.silence.pauses import (
    HABIT,
    around,
    charged_after,
    charged_before,
    only_while_charging,
)
from fleetmeter.anomalies.rules.silence.site import Counts, silent_sites, were_silent
from fleetmeter.anomalies.thresholds.device_parameters import Silent
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

SILENCE_KNOWN = timedelta(days=30)
"""How far back a device's last reading is looked for; one that is older is not known."""

_MOST_READ = timedelta(hours=12)
"""Of a silent device, before the end of the hour."""

_MOST_ASKED = 1000
"""When more are silent at once, it is not asked whether they charged before: it was an outage."""

_KIND: dict[str, Kind] = {"vehicle": "vehicle_silent", "meter": "meter_silent"}


def _suspects(observed: Observed, rulebook: Rulebook) -> list[Subject]:
    """Devices that lack so many readings of the hour that they may be half of the way to silent.

    Those that were silent before and sent nothing are not asked about again. Nor is one that brings
    readings of a time before: it is heard of, and will tell of this hour as well.
    """
    hour = observed.hour
    same = {kind: cast(Silent | None, rulebook.everywhere(kind)) for kind in _KIND.values()}
    found = []
    for subject, device in hour.devices.items():
        if device.reports == "while_charging":
            continue
        kind = _KIND[subject.device_kind]
        parameters = same[kind] or cast(Silent, rulebook.of(kind, subject, device.site))
        if _catches_up(device, parameters, hour.ends):
            continue
        readings = observed.readings(subject)
        if readings:
            seconds = (readings + parameters.intervals / 2) * device.reporting_interval_s
            if seconds > 3600:
                continue
        else:
            memory = observed.memories.get(subject)
            if memory is not None and memory.silent_since is not None:
                continue
        found.append(subject)
    return found


def _catches_up(device: Device, parameters: Silent, ends: datetime) -> bool:
    """Whether its newest readings came lately, and are of a time before the end of an hour."""
    newest, last_seen = device.newest, device.last_seen
    if newest is None or last_seen is None or newest > ends:
        return False
    return (ends - last_seen).total_seconds() < parameters.intervals * device.reporting_interval_s


def _back(observed: Observed) -> list[Subject]:
    """Devices that were silent and report again."""
    return [subject for subject, _ in observed.silent if observed.readings(subject)]


def need(observed: Observed, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the last reading of devices that may be silent, the first of those that are back."""
    suspects = _suspects(observed, rulebook)
    needs.last_times.update(suspects)
    starts, ends = observed.hour.starts, observed.hour.ends
    for subject in suspects if len(suspects) <= _MOST_ASKED else ():
        device = observed.hour.devices[subject]
        if device.reports is None:
            kind = _KIND[subject.device_kind]
            intervals = cast(Silent, rulebook.of(kind, subject, device.site)).intervals
            # one that is found silent now sent its last reading not longer ago
            silence = timedelta(hours=1, seconds=intervals * device.reporting_interval_s)
            since = ends - min(silence + around(device), _MOST_READ)
            needs.readings[subject] = min(needs.readings.get(subject, since), since)
    for subject in _back(observed):
        needs.readings[subject] = min(needs.readings.get(subject, starts), starts)


def judge(turn: HourTurn, observed: Observed) -> None:
    """Apply the three rules."""
    suspects = _suspects(observed, turn.rulebook)
    for subject in _back(observed):
        _comes_back(turn, subject)
    _excuse(turn, observed)
    quiet: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for subject in suspects:
        site = turn.site(subject)
        last = turn.known.last_times.get(subject)
        if last is None:
            if site is not None:
                unknown[site] = unknown.get(site, 0) + 1
            continue
        device = turn.hour.devices[subject]
        parameters = cast(Silent, turn.parameters(_KIND[subject.device_kind], subject))
        intervals = (turn.ends - last).total_seconds() / device.reporting_interval_s
        if intervals >= parameters.intervals:
            memory = turn.remembered(subject)
            memory.silent_since = last
            points = _points(turn, subject)
            memory.was_charging = charged_before(points, last, device) if points else None
        elif site is not None and (
            intervals >= parameters.intervals / 2 or last <= turn.hour.starts
        ):
            quiet[site] = quiet.get(site, 0) + 1
    silent = [
        subject
        for subject, device in turn.hour.devices.items()
        if (known := turn.memories.get(subject)) is not None
        and known.silent_since is not None
        and not only_while_charging(device, known)
    ]
    held = (
        silent_sites(turn, observed, silent, Counts(quiet, unknown))
        if turn.hour.whole_fleet
        else were_silent(turn)
    )
    for subject in silent:
        if turn.site(subject) not in held:
            _raise(turn, subject)


def _interval_s(turn: HourTurn, subject: Subject) -> int:
    return turn.hour.devices[subject].reporting_interval_s


def _comes_back(turn: HourTurn, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    points = _points(turn, subject)
    first = next((p.time for p in points if p.time > turn.hour.starts), turn.hour.starts)
    memory = turn.remembered(subject)
    memory.silent_since = None
    device, was_charging = turn.device(subject), memory.was_charging
    memory.was_charging = None
    if device is not None and was_charging is not None:
        is_charging = charged_after(points, first, turn.ends, device)
        if not was_charging or is_charging is False:
            memory.pauses = 0
        elif is_charging:
            memory.pauses = min(memory.pauses + 1, HABIT)
    if turn.is_open(kind, subject):
        turn.clear(kind, subject, first, f"{subject.device_id} reports again")


def _points(turn: HourTurn, subject: Subject) -> Sequence[VehiclePoint | MeterPoint]:
    if subject.device_kind == "vehicle":
        return turn.known.vehicle_readings.get(subject.device_id, ())
    return turn.known.meter_readings.get(subject.device_id, ())


def _excuse(turn: HourTurn, observed: Observed) -> None:
    """End the silence of devices that have been set to report only while they charge."""
    for kind in _KIND.values():
        for subject in list(observed.opened.get(kind, ())):
            device = turn.device(subject)
            if device is not None and device.reports == "while_charging":
                turn.remembered(subject).silent_since = None
                turn.clear(kind, subject, turn.ends, "it reports only while it charges")


def _raise(turn: HourTurn, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    memory = turn.memories[subject]
    since = memory.silent_since
    if since is None or is_open(memory, kind):
        return
    parameters = cast(Silent, turn.parameters(kind, subject))
    if not parameters.enabled:
        return
    interval = _interval_s(turn, subject)
    minutes = (turn.ends - since).total_seconds() / 60
    turn.breach(
        kind,
        subject,
        since,
        f"no reading of {subject.device_id} since {since:%Y-%m-%d %H:%M} UTC "
        f"({_long(minutes)}; expected every {interval} s)",
        {
            "silentMin": round(minutes, 1),
            "reportingIntervalS": interval,
            "thresholdIntervals": parameters.intervals,
        },
    )


def _long(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
