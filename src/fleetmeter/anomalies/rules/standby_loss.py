"""Finds consumption of a charger while no vehicle charges there.

It looks only where vehicles charge, not at the base load of a building. A meter with the role
`charger` is one, and so is a meter without a role at which a vehicle charged within a month.
"""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import LEAST_CHARGED_MWH
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, State
from fleetmeter.anomalies.thresholds.base import Thresholds, require


class StandbyLoss(Thresholds, frozen=True, kw_only=True):
    """Thresholds of standby_loss."""

    kind = "standby_loss"

    open_w: Annotated[
        float, Meta(ge=1, le=100_000, description="Opens at this mean power without charging, W.")
    ] = 150.0
    clear_w: Annotated[
        float, Meta(ge=0, le=100_000, description="Clears below this mean power, W.")
    ] = 100.0
    ceiling_w: Annotated[
        float,
        Meta(
            ge=1,
            le=1_000_000,
            description="Above this it is a vehicle that is not counted, W.",
        ),
    ] = 1500.0
    hours: Annotated[
        int,
        Meta(ge=1, le=24, description="Hours in a row without charging, where vehicles report."),
    ] = 6
    hours_alone: Annotated[
        int,
        Meta(ge=1, le=24, description="Hours in a row at a meter where no vehicle reports."),
    ] = 24
    clear_hours: Annotated[int, Meta(ge=1, le=24, description="Hours in a row to clear.")] = 2
    coverage: Annotated[
        float, Meta(ge=0.1, le=1, description="Part of the hour that both sides must cover.")
    ] = 0.7

    def __post_init__(self) -> None:
        require(self.clear_w <= self.open_w, "clearW must not exceed openW")
        require(self.open_w < self.ceiling_w, "ceilingW must exceed openW")


_KIND = StandbyLoss.kind

_PAUSE = timedelta(hours=24)
"""Gap between hours that ends a run."""

_NOTED_EVERY = timedelta(days=7)
"""Interval at which charging at a meter is noted."""


class Run(msgspec.Struct, array_like=True):
    """Hours in a row without charging in which a meter counted too much."""

    since: datetime
    last: datetime
    hours: int
    attended: int
    """Number of these hours in which a vehicle there reported."""

    mwh: int


class StandbyState(State):
    """Consumption of a meter without charging, and whether vehicles charge at it."""

    run: Run | None = None
    charged: datetime | None = None
    """A time of charging there, at most a week before the last."""

    def forget(self, ends: datetime) -> bool:
        """Drop what is too old."""
        oldest = ends - EMPTY_AFTER
        is_run_old = self.run is not None and self.run.last <= oldest
        is_charge_old = self.charged is not None and self.charged <= oldest
        if is_run_old:
            self.run = None
        if is_charge_old:
            self.charged = None
        return is_run_old or is_charge_old


def _remember_chargers(context: HourContext) -> None:
    for meter_id, rows in context.hour.at_meter.items():
        if sum(row.dc_mwh for row in rows) >= LEAST_CHARGED_MWH:
            subject = Subject("meter", meter_id)
            state = context.read(subject, StandbyState)
            noted = None if state is None else state.charged
            if noted is None or context.ends - noted > _NOTED_EVERY:
                context.change(subject, StandbyState).charged = context.ends


def _is_charger(context: HourContext, subject: Subject) -> bool:
    device = context.device(subject)
    if device is not None and device.role is not None:
        return device.role == "charger"
    state = context.read(subject, StandbyState)
    noted = None if state is None else state.charged
    return noted is not None and context.ends - noted <= EMPTY_AFTER


def _judge(context: HourContext) -> None:
    _remember_chargers(context)
    same = context.rulebook.everywhere(StandbyLoss)
    least_mwh = same.open_w * 1000 * same.coverage if same else 0
    loud = [
        row.meter_id
        for row in context.hour.meter_rows
        if row.unattributed_mwh > 0 and row.unattributed_mwh >= least_mwh
    ]
    watched = [s.device_id for s, state in context.hour.having(StandbyState) if state.run]
    watched += [subject.device_id for subject in context.hour.opened.get(_KIND, ())]
    for meter_id in dict.fromkeys([*loud, *watched]):
        if meter_id in context.hour.meters:
            _judge_meter(context, meter_id)


def _judge_meter(context: HourContext, meter_id: str) -> None:
    subject = Subject("meter", meter_id)
    thresholds = context.thresholds(StandbyLoss, subject)
    row = context.hour.meters[meter_id]
    covered_s = thresholds.coverage * 3600
    is_unknown = (
        meter_id in context.hour.at_meter
        or not row.readings  # when its energy came is not known
        or row.covered_ac_s < covered_s
        or 0 < row.covered_dc_s < covered_s
    )
    if not thresholds.enabled or is_unknown or not _is_charger(context, subject):
        return
    watts = row.unattributed_mwh / 1000 * 3600 / row.covered_ac_s
    if watts > thresholds.ceiling_w:
        return
    if context.is_open(_KIND, subject):
        if watts >= thresholds.open_w:
            context.condition(_KIND, subject).at = context.ends
        is_clear = watts < thresholds.clear_w
        context.count_clear(_KIND, subject, thresholds.clear_hours, is_clear=is_clear)
        return
    state = context.read(subject, StandbyState)
    run = None if state is None else state.run
    if watts < thresholds.open_w:
        if run is not None:
            context.change(subject, StandbyState).run = None
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
    context.change(subject, StandbyState).run = run
    if run.attended >= thresholds.hours or run.hours >= thresholds.hours_alone:
        context.change(subject, StandbyState).run = None
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
                "thresholdW": thresholds.open_w,
            },
        )


STANDBY_LOSS = Rule(
    thresholds=StandbyLoss,
    title="Consumption without charging",
    description="A charger's meter counted a steady consumption for hours in which no vehicle "
    "charged there.",
    source="Chargers draw 2 to 20 W on standby; with the electronics of a plugged vehicle, less "
    "than 100 W on average. 6 hours, since conditioning of a cabin or battery takes one or two.",
    severity="info",
    device_kinds=("meter",),
    phase=Phase.DEVICE,
    states=(StandbyState,),
    judge=_judge,
)
