"""What a charger counts while nobody charges there.

Only where vehicles charge: the base load of a building is none of it. A meter with the role
`charger` is one, and so is a meter without a role at which a vehicle charged within a month.
"""

from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import LEAST_CHARGED_MWH
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, Run
from fleetmeter.anomalies.thresholds.parameters import StandbyLoss

_KIND: Kind = "standby_loss"

_PAUSE = timedelta(hours=24)
"""Hours that count are no run any more when so much lies between them."""

_NOTED_EVERY = timedelta(days=7)
"""How old a note may be that somebody charged at a meter."""


def _remember_chargers(context: HourContext) -> None:
    for meter_id, rows in context.hour.at_meter.items():
        if sum(row.dc_mwh for row in rows) >= LEAST_CHARGED_MWH:
            subject = Subject("meter", meter_id)
            state = context.states.get(subject)
            noted = None if state is None else state.charged
            if noted is None or context.ends - noted > _NOTED_EVERY:
                context.state_of(subject).charged = context.ends


def _is_charger(context: HourContext, subject: Subject) -> bool:
    device = context.device(subject)
    if device is not None and device.role is not None:
        return device.role == "charger"
    state = context.states.get(subject)
    noted = None if state is None else state.charged
    return noted is not None and context.ends - noted <= EMPTY_AFTER


def judge(context: HourContext) -> None:
    """Apply the rule."""
    _remember_chargers(context)
    same = cast(StandbyLoss | None, context.rulebook.everywhere(_KIND))
    least_mwh = same.open_w * 1000 * same.coverage if same else 0
    loud = [
        row.meter_id
        for row in context.hour.meter_rows
        if row.unattributed_mwh > 0 and row.unattributed_mwh >= least_mwh
    ]
    known = [subject.device_id for subject, _ in context.hour.running]
    known += [subject.device_id for subject in context.hour.opened.get(_KIND, ())]
    for meter_id in dict.fromkeys([*loud, *known]):
        if meter_id in context.hour.meters:
            _judge(context, meter_id)


def _judge(context: HourContext, meter_id: str) -> None:
    subject = Subject("meter", meter_id)
    parameters = cast(StandbyLoss, context.parameters(_KIND, subject))
    row = context.hour.meters[meter_id]
    covered_s = parameters.coverage * 3600
    is_unknown = (
        meter_id in context.hour.at_meter
        or not row.readings  # when its energy came is not known
        or row.covered_ac_s < covered_s
        or 0 < row.covered_dc_s < covered_s
    )
    if not parameters.enabled or is_unknown or not _is_charger(context, subject):
        return
    watts = row.unattributed_mwh / 1000 * 3600 / row.covered_ac_s
    if watts > parameters.ceiling_w:
        return
    if context.is_open(_KIND, subject):
        if watts >= parameters.open_w:
            context.condition(_KIND, subject).at = context.ends
        is_clear = watts < parameters.clear_w
        context.count_clear(_KIND, subject, parameters.clear_hours, is_clear=is_clear)
        return
    state = context.states.get(subject)
    run = None if state is None else state.run
    if watts < parameters.open_w:
        if run is not None:
            context.state_of(subject).run = None
        return
    if run is None or context.hour.starts - run.last > _PAUSE:
        run = Run(context.hour.starts, context.ends, 0, 0, 0)
    run = Run(
        run.since,
        context.ends,
        run.hours + 1,
        run.attended + (row.covered_dc_s > 0),
        run.mwh + round(watts * 1000),
    )
    context.state_of(subject).run = run
    if run.attended >= parameters.hours or run.hours >= parameters.hours_alone:
        context.state_of(subject).run = None
        mean_w = run.mwh / 1000 / run.hours
        context.breach(
            _KIND,
            subject,
            run.since,
            f"{meter_id} took {mean_w:.0f} W in the mean of {run.hours} hours without charging",
            {
                "meanW": round(mean_w, 1),
                "kwh": round(run.mwh / 1e6, 3),
                "hours": run.hours,
                "thresholdW": parameters.open_w,
            },
        )
