"""Finds states of charge sent as a ratio of 0 to 1; the hours of a session decide."""

from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.model import Device
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.sessions import (
    FollowedSession,
    session_dc_mwh,
    session_socs,
)
from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds


class SocScale(Thresholds, frozen=True, kw_only=True):
    """Thresholds of soc_scale."""

    kind = "soc_scale"

    reopen_within_h: ReopenWithin = 96.0
    minimum_kwh: Annotated[
        float, Meta(ge=0.5, le=1000, description="Least DC of a session to decide, kWh.")
    ] = 5.0


_KIND = SocScale.kind

_HIGHEST_BP = 100
"""1 %, the highest possible ratio."""

_FITS = 2.0
"""The largest factor by which a hundred times the gain may differ from the energy."""


def _judge(context: HourContext, followed: FollowedSession) -> None:
    """Judge a session that is over."""
    subject, session = followed.subject, followed.session
    thresholds = context.thresholds(SocScale, subject)
    socs, dc_mwh = session_socs(session), session_dc_mwh(session)
    if (
        not followed.is_over
        or not socs
        or not thresholds.enabled
        or dc_mwh < thresholds.minimum_kwh * 1e6
    ):
        return
    begins = session.hours[0].hour
    highest = max(socs)
    if highest > _HIGHEST_BP:
        summary = f"its state of charge rose to {highest / 100:g} %"
        context.clear(_KIND, subject, begins, summary, {"maxSoc": highest / 100})
    elif len(socs) > 1 and _fits(highest - min(socs), dc_mwh, context.device(subject)):
        context.breach(
            _KIND,
            subject,
            begins,
            f"{subject.device_id} took {dc_mwh / 1e6:.1f} kWh while its state of charge rose from "
            f"{min(socs) / 100:g} to {highest / 100:g} %: it is probably sent as a ratio",
            {
                "dcKwh": round(dc_mwh / 1e6, 3),
                "minSoc": min(socs) / 100,
                "maxSoc": highest / 100,
                "factor": 100,
            },
        )


def _fits(gain_bp: int, dc_mwh: int, device: Device | None) -> bool:
    """Return whether a hundred times the gain matches the energy, if the capacity is known."""
    capacity_wh = device.battery_capacity_wh if device else None
    if not capacity_wh:
        return True
    ratio = dc_mwh / (100 * gain_bp / 1e4 * capacity_wh * 1000)
    return 1 / _FITS <= ratio <= _FITS


SOC_SCALE = Rule(
    thresholds=SocScale,
    title="State of charge of 0 to 1",
    description="The state of charge stays between 0 and 1 % over a session, as if it were a "
    "ratio.",
    source="5 kWh are more than a hundredth of any battery below 500 kWh; where the capacity is "
    "set, a hundred times the gain must fit the energy within a factor of 2.",
    severity="info",
    device_kinds=("vehicle",),
    phase=Phase.SESSION,
    judge_session=_judge,
)
