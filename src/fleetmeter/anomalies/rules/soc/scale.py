"""A state of charge that is sent as a ratio of 0 to 1: decided by the hours of a session."""

from typing import cast

from fleetmeter.anomalies.model import Device, Kind
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.sessions import (
    Followed,
    session_dc_mwh,
    session_socs,
)
from fleetmeter.anomalies.thresholds.device_parameters import SocScale

_KIND: Kind = "soc_scale"

_HIGHEST_BP = 100
"""1 %: no ratio is higher."""

_FITS = 2.0
"""By at most this factor may a hundred times the gain differ from the energy."""


def judge(context: HourContext, followed: Followed) -> None:
    """Apply the rule to a session that is over."""
    subject, _, session, is_over = followed
    parameters = cast(SocScale, context.parameters(_KIND, subject))
    socs, dc_mwh = session_socs(session), session_dc_mwh(session)
    if not is_over or not socs or not parameters.enabled or dc_mwh < parameters.minimum_kwh * 1e6:
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
    """Whether a hundred times the gain is the energy's, as far as the capacity is known."""
    capacity_wh = device.battery_capacity_wh if device else None
    if not capacity_wh:
        return True
    ratio = dc_mwh / (100 * gain_bp / 1e4 * capacity_wh * 1000)
    return 1 / _FITS <= ratio <= _FITS
