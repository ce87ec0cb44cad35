"""Clocks of devices: their timestamps against arrival.

A wrong clock is off by the same time in every reading. A backlog's readings are old as well, but
less and less so; and a device that sends nothing shows nothing new.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import ClockSample, Kind
from fleetmeter.anomalies.rules.shared.context import Context
from fleetmeter.anomalies.rules.shared.state import Skew
from fleetmeter.anomalies.thresholds.device_parameters import ClockSkew

_KIND: Kind = "clock_skew"


def judge(context: Context, samples: Sequence[ClockSample]) -> None:
    """Apply the rule to the newest readings of devices."""
    for sample in samples:
        subject = sample.device.subject
        state = context.states.get(subject)
        run = None if state is None else state.skew
        if run is None or sample.last_seen > run.last:
            _judge(context, sample, run)


def _judge(context: Context, sample: ClockSample, run: Skew | None) -> None:
    subject = sample.device.subject
    parameters = cast(ClockSkew, context.parameters(_KIND, subject))
    if not parameters.enabled:
        return
    skew_s = (sample.last_seen - sample.time).total_seconds()
    is_off = skew_s > parameters.behind_s or -skew_s > parameters.ahead_s
    was_off = run is not None and (
        run.skew_s > parameters.behind_s or -run.skew_s > parameters.ahead_s
    )
    is_open = context.is_open(_KIND, subject)
    if not is_off and not is_open:
        if run is not None:
            context.state_of(subject).skew = None
        return
    tolerance = max(parameters.steady_s, parameters.steady_share * abs(skew_s))
    is_same = run is not None and (abs(run.skew_s - skew_s) <= tolerance if is_off else not was_off)
    if run is None or not is_same or was_off != is_off:
        run = Skew(round(skew_s, 1), sample.last_seen, sample.last_seen, 0)
    run = Skew(run.skew_s, run.since, sample.last_seen, run.samples + 1)
    context.state_of(subject).skew = run
    lasting = timedelta(minutes=parameters.minutes)
    if run.last - run.since < lasting or run.samples < parameters.samples:
        return
    context.ends = sample.last_seen
    if is_off:
        _breach(context, sample, run, parameters)
    else:
        context.state_of(subject).skew = None
        context.clear(_KIND, subject, run.since, "its timestamps agree with their arrival again")


def _breach(context: Context, sample: ClockSample, run: Skew, parameters: ClockSkew) -> None:
    subject = sample.device.subject
    skew_s = round((sample.last_seen - sample.time).total_seconds())
    way = "behind" if skew_s > 0 else "ahead of"
    context.breach(
        _KIND,
        subject,
        run.since,
        f"timestamps of {subject.device_id} are {abs(skew_s)} s {way} their arrival, for "
        f"{(run.last - run.since).total_seconds() / 60:.0f} minutes",
        {
            "skewS": skew_s,
            "thresholdS": parameters.behind_s if skew_s > 0 else -parameters.ahead_s,
            "samples": run.samples,
        },
    )
