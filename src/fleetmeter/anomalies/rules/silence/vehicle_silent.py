"""Finds vehicles that stopped reporting (see watch.py)."""

from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.silence.report import report_silent
from fleetmeter.anomalies.rules.silence.state import DeviceSilence, hold
from fleetmeter.anomalies.rules.silence.thresholds import SOURCE, VehicleSilent


def _judge(context: HourContext) -> None:
    report_silent(context, "vehicle")


VEHICLE_SILENT = Rule(
    thresholds=VehicleSilent,
    title="Vehicle silent",
    description="A vehicle has sent no reading for many of its reporting intervals.",
    source=SOURCE,
    severity="warning",
    device_kinds=("vehicle",),
    phase=Phase.SILENCE,
    states=(DeviceSilence,),
    judge=_judge,
    found_hourly=True,
    hold=hold,
)
