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
from fleetmeter.anomalies.rules.shared.context import HourContext, is_open
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
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


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> list[Subject]:
    """Devices that lack so many readings of the hour that they may be half of the way to silent.

    Those that were silent before and sent nothing are not asked about again. Nor is one that brings
    readings of a time before: it is heard of, and will tell of this hour as well.
    """
    same = {kind: cast(Silent | None, rulebook.everywhere(kind)) for kind in _KIND.values()}
    found = []
    for subject, device in hour.devices.items():
        if device.reports == "while_charging":
            continue
        kind = _KIND[subject.device_kind]
        parameters = same[kind] or cast(Silent, rulebook.of(kind, subject, device.site))
        if _catches_up(device, parameters, hour.ends):
            continue
        readings = hour.readings(subject)
        if readings:
            seconds = (readings + parameters.intervals / 2) * device.reporting_interval_s
            if seconds > 3600:
                continue
        else:
            state = hour.states.get(subject)
            if state is not None and state.silent_since is not None:
                continue
        found.append(subject)
    return found


def _catches_up(device: Device, parameters: Silent, ends: datetime) -> bool:
    """Whether its newest readings came lately, and are of a time before the end of an hour."""
    newest, last_seen = device.newest, device.last_seen
    if newest is None or last_seen is None or newest > ends:
        return False
    return (ends - last_seen).total_seconds() < parameters.intervals * device.reporting_interval_s


def _back(hour: ObservedHour) -> list[Subject]:
    """Devices that were silent and report again."""
    return [subject for subject, _ in hour.silent if hour.readings(subject)]


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the last reading of devices that may be silent, the first of those that are back."""
    suspects = _suspects(hour, rulebook)
    needs.last_times.update(suspects)
    starts, ends = hour.starts, hour.ends
    for subject in suspects if len(suspects) <= _MOST_ASKED else ():
        device = hour.devices[subject]
        if device.reports is None:
            kind = _KIND[subject.device_kind]
            intervals = cast(Silent, rulebook.of(kind, subject, device.site)).intervals
            # one that is found silent now sent its last reading not longer ago
            silence = timedelta(hours=1, seconds=intervals * device.reporting_interval_s)
            since = ends - min(silence + around(device), _MOST_READ)
            needs.readings[subject] = min(needs.readings.get(subject, since), since)
    for subject in _back(hour):
        needs.readings[subject] = min(needs.readings.get(subject, starts), starts)


def judge(context: HourContext) -> None:
    """Apply the three rules."""
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
        parameters = cast(Silent, context.parameters(_KIND[subject.device_kind], subject))
        intervals = (context.ends - last).total_seconds() / device.reporting_interval_s
        if intervals >= parameters.intervals:
            state = context.state_of(subject)
            state.silent_since = last
            points = _points(context, subject)
            state.was_charging = charged_before(points, last, device) if points else None
        elif site is not None and (
            intervals >= parameters.intervals / 2 or last <= context.hour.starts
        ):
            quiet[site] = quiet.get(site, 0) + 1
    silent = [
        subject
        for subject, device in context.hour.devices.items()
        if (known := context.states.get(subject)) is not None
        and known.silent_since is not None
        and not only_while_charging(device, known)
    ]
    held = (
        silent_sites(context, silent, Counts(quiet, unknown))
        if context.hour.whole_fleet
        else were_silent(context)
    )
    for subject in silent:
        if context.site(subject) not in held:
            _raise(context, subject)


def _interval_s(context: HourContext, subject: Subject) -> int:
    return context.hour.devices[subject].reporting_interval_s


def _comes_back(context: HourContext, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    points = _points(context, subject)
    first = next((p.time for p in points if p.time > context.hour.starts), context.hour.starts)
    state = context.state_of(subject)
    state.silent_since = None
    device, was_charging = context.device(subject), state.was_charging
    state.was_charging = None
    if device is not None and was_charging is not None:
        is_charging = charged_after(points, first, context.ends, device)
        if not was_charging or is_charging is False:
            state.pauses = 0
        elif is_charging:
            state.pauses = min(state.pauses + 1, HABIT)
    if context.is_open(kind, subject):
        context.clear(kind, subject, first, f"{subject.device_id} reports again")


def _points(context: HourContext, subject: Subject) -> Sequence[VehiclePoint | MeterPoint]:
    if subject.device_kind == "vehicle":
        return context.answers.vehicle_readings.get(subject.device_id, ())
    return context.answers.meter_readings.get(subject.device_id, ())


def _excuse(context: HourContext) -> None:
    """End the silence of devices that have been set to report only while they charge."""
    for kind in _KIND.values():
        for subject in list(context.hour.opened.get(kind, ())):
            device = context.device(subject)
            if device is not None and device.reports == "while_charging":
                context.state_of(subject).silent_since = None
                context.clear(kind, subject, context.ends, "it reports only while it charges")


def _raise(context: HourContext, subject: Subject) -> None:
    kind = _KIND[subject.device_kind]
    state = context.states[subject]
    since = state.silent_since
    if since is None or is_open(state, kind):
        return
    parameters = cast(Silent, context.parameters(kind, subject))
    if not parameters.enabled:
        return
    interval = _interval_s(context, subject)
    minutes = (context.ends - since).total_seconds() / 60
    context.breach(
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
