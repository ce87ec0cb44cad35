"""What a charger counts while nobody charges there.

Only where vehicles charge: the base load of a building is none of it. A meter with the role
`charger` is one, and so is a meter without a role at which a vehicle charged within a month.
"""

from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.shared.context import HourTurn
from fleetmeter.anomalies.rules.shared.hour import LEAST_CHARGED_MWH, Observed
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, Run
from fleetmeter.anomalies.thresholds.parameters import StandbyLoss

_KIND: Kind = "standby_loss"

_PAUSE = timedelta(hours=24)
"""Hours that count are no run any more when so much lies between them."""

_NOTED_EVERY = timedelta(days=7)
"""How old a note may be that somebody charged at a meter."""


def _remember_chargers(turn: HourTurn, observed: Observed) -> None:
    for meter_id, rows in observed.at_meter.items():
        if sum(row.dc_mwh for row in rows) >= LEAST_CHARGED_MWH:
            subject = Subject("meter", meter_id)
            memory = turn.memories.get(subject)
            noted = None if memory is None else memory.charged
            if noted is None or turn.ends - noted > _NOTED_EVERY:
                turn.remembered(subject).charged = turn.ends


def _is_charger(turn: HourTurn, subject: Subject) -> bool:
    device = turn.device(subject)
    if device is not None and device.role is not None:
        return device.role == "charger"
    memory = turn.memories.get(subject)
    noted = None if memory is None else memory.charged
    return noted is not None and turn.ends - noted <= EMPTY_AFTER


def judge(turn: HourTurn, observed: Observed) -> None:
    """Apply the rule."""
    _remember_chargers(turn, observed)
    same = cast(StandbyLoss | None, turn.rulebook.everywhere(_KIND))
    least_mwh = same.open_w * 1000 * same.coverage if same else 0
    loud = [
        row.meter_id
        for row in turn.hour.meters
        if row.unattributed_mwh > 0 and row.unattributed_mwh >= least_mwh
    ]
    known = [subject.device_id for subject, _ in observed.running]
    known += [subject.device_id for subject in observed.opened.get(_KIND, ())]
    for meter_id in dict.fromkeys([*loud, *known]):
        if meter_id in observed.meters:
            _judge(turn, observed, meter_id)


def _judge(turn: HourTurn, observed: Observed, meter_id: str) -> None:
    subject = Subject("meter", meter_id)
    parameters = cast(StandbyLoss, turn.parameters(_KIND, subject))
    row = observed.meters[meter_id]
    covered_s = parameters.coverage * 3600
    is_unknown = (
        meter_id in observed.at_meter
        or not row.readings  # when its energy came is not known
        or row.covered_ac_s < covered_s
        or 0 < row.covered_dc_s < covered_s
    )
    if not parameters.enabled or is_unknown or not _is_charger(turn, subject):
        return
    watts = row.unattributed_mwh / 1000 * 3600 / row.covered_ac_s
    if watts > parameters.ceiling_w:
        return
    if turn.is_open(_KIND, subject):
        if watts >= parameters.open_w:
            turn.condition(_KIND, subject).at = turn.ends
        is_clear = watts < parameters.clear_w
        turn.count_clear(_KIND, subject, parameters.clear_hours, is_clear=is_clear)
        return
    memory = turn.memories.get(subject)
    run = None if memory is None else memory.run
    if watts < parameters.open_w:
        if run is not None:
            turn.remembered(subject).run = None
        return
    if run is None or turn.hour.starts - run.last > _PAUSE:
        run = Run(turn.hour.starts, turn.ends, 0, 0, 0)
    run = Run(
        run.since,
        turn.ends,
        run.hours + 1,
        run.attended + (row.covered_dc_s > 0),
        run.mwh + round(watts * 1000),
    )
    turn.remembered(subject).run = run
    if run.attended >= parameters.hours or run.hours >= parameters.hours_alone:
        turn.remembered(subject).run = None
        mean_w = run.mwh / 1000 / run.hours
        turn.breach(
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
