"""Finds wrong clocks: compares a device's timestamps with their arrival.

A wrong clock is off by the same time in every reading. A backlog's readings are old as well, but
less and less so; and a device that sends nothing shows nothing new.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import ClockSample
from fleetmeter.anomalies.rules.shared.context import Context
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.state import State
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Override


class ClockSkew(Thresholds, frozen=True, kw_only=True):
    """Thresholds of clock_skew."""

    kind = "clock_skew"

    behind_s: Annotated[
        float,
        Meta(
            ge=10,
            le=86_400,
            description="Opens when timestamps are older than arrival by more, seconds.",
        ),
    ] = 300.0
    ahead_s: Annotated[
        float,
        Meta(
            ge=5,
            le=300,
            description="Opens when timestamps are newer than arrival by more, seconds.",
        ),
    ] = 60.0
    minutes: Annotated[
        float, Meta(ge=1, le=1440, description="How long the skew must stay the same, minutes.")
    ] = 30.0
    samples: Annotated[
        int, Meta(ge=2, le=1000, description="How many readings must show it, at least.")
    ] = 3
    steady_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="A skew that moves by no more than this is the same, seconds,",
        ),
    ] = 60.0
    steady_share: Annotated[
        float, Meta(ge=0, le=1, description="or by no more than this part of it.")
    ] = 0.1

    def is_off(self, skew_s: float) -> bool:
        """Return whether a clock this far behind (ahead if negative) is wrong."""
        return skew_s > self.behind_s or -skew_s > self.ahead_s


class Skew(msgspec.Struct, array_like=True):
    """Consecutive readings with about the same difference between timestamp and arrival."""

    skew_s: float
    since: datetime
    last: datetime
    samples: int


class ClockState(State):
    """Recent offsets of a device's clock."""

    skew: Skew | None = None


def smallest_skews(overrides: Iterable[Override]) -> tuple[float, float]:
    """Return the smallest skew behind and ahead that is wrong anywhere in the fleet, seconds."""
    defaults = ClockSkew()
    own = [override.parameters for override in overrides if override.kind == ClockSkew.kind]
    return (
        min([defaults.behind_s, *(each["behindS"] for each in own if "behindS" in each)]),
        min([defaults.ahead_s, *(each["aheadS"] for each in own if "aheadS" in each)]),
    )


def _judge(context: Context, sample: ClockSample) -> None:
    subject = sample.device.subject
    state = context.read(subject, ClockState)
    run = None if state is None else state.skew
    if run is not None and sample.last_seen <= run.last:
        return
    thresholds = context.thresholds(ClockSkew, subject)
    if not thresholds.enabled:
        return
    skew_s = (sample.last_seen - sample.time).total_seconds()
    is_off = thresholds.is_off(skew_s)
    was_off = run is not None and thresholds.is_off(run.skew_s)
    if not is_off and not context.is_open(ClockSkew.kind, subject):
        if run is not None:
            context.change(subject, ClockState).skew = None
        return
    tolerance = max(thresholds.steady_s, thresholds.steady_share * abs(skew_s))
    is_same = run is not None and (abs(run.skew_s - skew_s) <= tolerance if is_off else not was_off)
    if run is None or not is_same or was_off != is_off:
        run = Skew(round(skew_s, 1), sample.last_seen, sample.last_seen, 0)
    run = Skew(run.skew_s, run.since, sample.last_seen, run.samples + 1)
    context.change(subject, ClockState).skew = run
    lasting = timedelta(minutes=thresholds.minutes)
    if run.last - run.since < lasting or run.samples < thresholds.samples:
        return
    context.ends = sample.last_seen
    if is_off:
        _breach(context, sample, run, thresholds)
    else:
        context.change(subject, ClockState).skew = None
        summary = "its timestamps agree with their arrival again"
        context.clear(ClockSkew.kind, subject, run.since, summary)


def _breach(context: Context, sample: ClockSample, run: Skew, thresholds: ClockSkew) -> None:
    subject = sample.device.subject
    skew_s = round((sample.last_seen - sample.time).total_seconds())
    way = "behind" if skew_s > 0 else "ahead of"
    context.breach(
        ClockSkew.kind,
        subject,
        run.since,
        f"timestamps of {subject.device_id} are {abs(skew_s)} s {way} their arrival, for "
        f"{(run.last - run.since).total_seconds() / 60:.0f} minutes",
        {
            "skewS": skew_s,
            "thresholdS": thresholds.behind_s if skew_s > 0 else -thresholds.ahead_s,
            "samples": run.samples,
        },
    )


CLOCK_SKEW = Rule(
    thresholds=ClockSkew,
    title="Clock wrong",
    description="A device's timestamps are ahead of or behind their arrival by a constant time.",
    source="A convention: 5 minutes behind is more than batching and a slow network explain; "
    "nothing explains a timestamp ahead, so a minute is enough. OCPP chargers set their clock by "
    "each heartbeat.",
    severity="warning",
    device_kinds=("vehicle", "meter"),
    phase=Phase.CLOCK,
    states=(ClockState,),
    judge_clock=_judge,
)
