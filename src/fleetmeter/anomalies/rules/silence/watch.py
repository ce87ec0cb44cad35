"""Notes which devices are silent after an hour: a step that the three rules of silence share.

A device is silent when its last reading is many reporting intervals old at the end of an hour. When
most of a site is silent together, that is one anomaly of the site (site_silent.py). Per-device
anomalies are suppressed during a site outage, and also while one looks imminent: most of the site
is at least halfway to the threshold, or sent nothing for the whole hour. A device that is still
silent an hour after the site is back gets its own anomaly.

A device that is set to report only while it charges is never silent. One whose setting is missing
counts as such when its last silences lay between two charges (see pauses.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from fleetmeter.anomalies.model import Device, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext, Silences
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, Needs, VehiclePoint
from fleetmeter.anomalies.rules.silence.pauses import (
    HABIT,
    around,
    charged_after,
    charged_before,
    only_while_charging,
)
from fleetmeter.anomalies.rules.silence.state import DeviceSilence
from fleetmeter.anomalies.rules.silence.thresholds import SILENT, Silent
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

SILENCE_KNOWN = timedelta(days=30)
"""Time back to which a device's last reading is searched; an older one is unknown."""

_MOST_READ = timedelta(hours=12)
"""Time before the end of the hour from which a silent device's readings are read."""

_MOST_ASKED = 1000
"""Above this number of silent devices, it is an outage, and their charging is not examined."""


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> list[Subject]:
    """Find devices that lack enough readings of the hour to be halfway to silent.

    Those that were silent before and sent nothing are not asked about again. Nor is one that brings
    readings of a time before: it is heard of, and will report this hour as well.
    """
    everywhere = {kind: rulebook.everywhere(silent) for kind, silent in SILENT.items()}
    found = []
    for subject, device in hour.devices.items():
        if device.reports == "while_charging":
            continue
        kind = subject.device_kind
        thresholds = everywhere[kind] or rulebook.of(SILENT[kind], subject, device.site)
        if _catches_up(device, thresholds, hour.ends):
            continue
        readings = hour.readings(subject)
        if readings:
            seconds = (readings + thresholds.intervals / 2) * device.reporting_interval_s
            if seconds > 3600:
                continue
        elif _is_silent(hour.read(subject, DeviceSilence)):
            continue
        found.append(subject)
    return found


def _is_silent(silence: DeviceSilence | None) -> bool:
    return silence is not None and silence.silent_since is not None


def _catches_up(device: Device, thresholds: Silent, ends: datetime) -> bool:
    """Return whether its newest readings arrived lately, but are from before the end of an hour."""
    newest, last_seen = device.newest, device.last_seen
    if newest is None or last_seen is None or newest > ends:
        return False
    return (ends - last_seen).total_seconds() < thresholds.intervals * device.reporting_interval_s


def _back(hour: ObservedHour) -> list[Subject]:
    """Find devices that were silent and report again."""
    return [
        subject
        for subject, silence in hour.having(DeviceSilence)
        if silence.silent_since is not None and hour.readings(subject)
    ]


def ask_for_silences(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the last reading of devices that may be silent, the first of those that are back."""
    suspects = _suspects(hour, rulebook)
    needs.last_times.update(suspects)
    for subject in suspects if len(suspects) <= _MOST_ASKED else ():
        device = hour.devices[subject]
        if device.reports is None:
            silent = SILENT[subject.device_kind]
            intervals = rulebook.of(silent, subject, device.site).intervals
            # one that is found silent now sent its last reading not longer ago
            silence = timedelta(hours=1, seconds=intervals * device.reporting_interval_s)
            needs.readings_since(subject, hour.ends - min(silence + around(device), _MOST_READ))
    for subject in _back(hour):
        needs.readings_since(subject, hour.starts)


def watch_silences(context: HourContext) -> Silences:
    """Note who became silent and who is back, and return who is silent now."""
    suspects = _suspects(context.hour, context.rulebook)
    for subject in _back(context.hour):
        _comes_back(context, subject)
    _excuse(context)
    quiet: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for subject in suspects:
        site = context.site(subject)
        last = context.answers.last_times.get(subject)
        if last is None:
            if site is not None:
                unknown[site] = unknown.get(site, 0) + 1
            continue
        device = context.hour.devices[subject]
        least = context.thresholds(SILENT[subject.device_kind], subject).intervals
        intervals = (context.ends - last).total_seconds() / device.reporting_interval_s
        if intervals >= least:
            silence = context.change(subject, DeviceSilence)
            silence.silent_since = last
            points = _points(context, subject)
            silence.was_charging = charged_before(points, last, device) if points else None
        elif site is not None and (intervals >= least / 2 or last <= context.hour.starts):
            quiet[site] = quiet.get(site, 0) + 1
    silent = [
        subject
        for subject, device in context.hour.devices.items()
        if (found := context.read(subject, DeviceSilence)) is not None
        and found.silent_since is not None
        and not only_while_charging(device, found)
    ]
    return Silences(silent, quiet, unknown)


def _comes_back(context: HourContext, subject: Subject) -> None:
    kind = SILENT[subject.device_kind].kind
    points = _points(context, subject)
    first = next((p.time for p in points if p.time > context.hour.starts), context.hour.starts)
    silence = context.change(subject, DeviceSilence)
    silence.silent_since = None
    device, was_charging = context.device(subject), silence.was_charging
    silence.was_charging = None
    if device is not None and was_charging is not None:
        is_charging = charged_after(points, first, context.ends, device)
        if not was_charging or is_charging is False:
            silence.pauses = 0
        elif is_charging:
            silence.pauses = min(silence.pauses + 1, HABIT)
    if context.is_open(kind, subject):
        context.clear(kind, subject, first, f"{subject.device_id} reports again")


def _points(context: HourContext, subject: Subject) -> Sequence[VehiclePoint | MeterPoint]:
    if subject.device_kind == "vehicle":
        return context.answers.vehicle_readings.get(subject.device_id, ())
    return context.answers.meter_readings.get(subject.device_id, ())


def _excuse(context: HourContext) -> None:
    """End the silence of devices that have been set to report only while they charge."""
    for silent in SILENT.values():
        kind = silent.kind
        for subject in list(context.hour.opened.get(kind, ())):
            device = context.device(subject)
            if device is not None and device.reports == "while_charging":
                context.change(subject, DeviceSilence).silent_since = None
                context.clear(kind, subject, context.ends, "it reports only while it charges")
