"""Reports silent devices, for vehicle_silent and meter_silent alike."""

from fleetmeter.anomalies.model import Subject, SubjectKind
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.silence.state import DeviceSilence
from fleetmeter.anomalies.rules.silence.thresholds import SILENT


def report_silent(context: HourContext, device_kind: SubjectKind) -> None:
    """Report the silent devices of a kind whose site does not excuse them."""
    for subject in context.silences.silent:
        if subject.device_kind == device_kind and context.site(subject) not in context.silent_sites:
            _report(context, subject)


def _report(context: HourContext, subject: Subject) -> None:
    silent = SILENT[subject.device_kind]
    silence = context.read(subject, DeviceSilence)
    since = None if silence is None else silence.silent_since
    if since is None or context.is_open(silent.kind, subject):
        return
    thresholds = context.thresholds(silent, subject)
    if not thresholds.enabled:
        return
    interval_s = context.hour.devices[subject].reporting_interval_s
    minutes = (context.ends - since).total_seconds() / 60
    context.breach(
        silent.kind,
        subject,
        since,
        f"no reading of {subject.device_id} since {since:%Y-%m-%d %H:%M} UTC "
        f"({_long(minutes)}; expected every {interval_s} s)",
        {
            "silentMin": round(minutes, 1),
            "reportingIntervalS": interval_s,
            "thresholdIntervals": thresholds.intervals,
        },
    )


def _long(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
