"""Finds hot batteries: suspected by the hour's highest temperature, decided by readings.

A reading without a temperature says nothing about a battery.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.hysteresis import crossings, longest_gap
from fleetmeter.anomalies.rules.shared.needs import Needs
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.thresholds.base import Thresholds, require
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class BatteryHot(Thresholds, frozen=True, kw_only=True):
    """Thresholds of battery_hot."""

    kind = "battery_hot"

    open_c: Annotated[
        float, Meta(ge=-40, le=150, description="Opens at this temperature or above, °C.")
    ] = 45.0
    clear_c: Annotated[
        float, Meta(ge=-40, le=150, description="Clears below this temperature, °C.")
    ] = 42.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 10.0

    def __post_init__(self) -> None:
        require(self.clear_c <= self.open_c, "clearC must not exceed openC")


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> Iterator[tuple[Subject, BatteryHot]]:
    """Find vehicles whose highest temperature suggests a change, and those that are hot."""
    everywhere = rulebook.everywhere(BatteryHot)
    open_cdeg = everywhere.open_c * 100 if everywhere else -1e9
    suspects: dict[Subject, None] = {}
    for row in hour.vehicle_rows:
        hottest_cdeg = row.battery_temp_cdeg_max
        if hottest_cdeg is None or hottest_cdeg < open_cdeg:
            continue
        subject = Subject("vehicle", row.vehicle_id)
        thresholds = rulebook.of(BatteryHot, subject, hour.site(subject))
        if thresholds.enabled and hottest_cdeg >= thresholds.open_c * 100:
            suspects[subject] = None
    for subject in hour.opened.get(BatteryHot.kind, ()):
        if subject.device_id in hour.vehicle_readings:
            suspects[subject] = None
    for subject in suspects:
        yield subject, rulebook.of(BatteryHot, subject, hour.site(subject))


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings of the hour and of the minutes before it that count."""
    for subject, thresholds in _suspects(hour, rulebook):
        needs.readings_since(subject, hour.starts - timedelta(minutes=thresholds.minutes))


def _judge(context: HourContext) -> None:
    for subject, thresholds in _suspects(context.hour, context.rulebook):
        _judge_vehicle(context, subject, thresholds)


def _judge_vehicle(context: HourContext, subject: Subject, thresholds: BatteryHot) -> None:
    kind = BatteryHot.kind
    open_cdeg, clear_cdeg = thresholds.open_c * 100, thresholds.clear_c * 100
    lasting = timedelta(minutes=thresholds.minutes)
    since = context.hour.starts - lasting
    measured = [
        (point.time, point.battery_temp_cdeg)
        for point in context.answers.vehicle_readings.get(subject.device_id, ())
        if point.time >= since and point.battery_temp_cdeg is not None
    ]
    if not measured:
        return
    verdicts = [
        (time, True if cdeg >= open_cdeg else False if cdeg < clear_cdeg else None)
        for time, cdeg in measured
    ]
    hottest_cdeg = max(cdeg for _, cdeg in measured)
    is_open = context.is_open(kind, subject)
    if is_open and hottest_cdeg >= clear_cdeg:
        context.condition(kind, subject).at = context.ends
    gap = longest_gap(context.hour.interval_s(subject))
    for is_breach, at in crossings(verdicts, is_open, lasting, gap):
        if is_breach:
            context.breach(
                kind,
                subject,
                at,
                f"the battery of {subject.device_id} was at {thresholds.open_c:g} °C or more for "
                f"{thresholds.minutes:g} minutes, up to {hottest_cdeg / 100:.1f} °C",
                {
                    "maxC": round(hottest_cdeg / 100, 2),
                    "thresholdC": thresholds.open_c,
                    "minutes": thresholds.minutes,
                },
            )
        else:
            context.clear(kind, subject, at, f"below {thresholds.clear_c:g} °C again")


BATTERY_HOT = Rule(
    thresholds=BatteryHot,
    title="Battery hot",
    description="The battery was too hot for minutes without a break.",
    source="Lithium-ion cells are charged at up to 45 °C; above that, they age fast.",
    severity="critical",
    device_kinds=("vehicle",),
    phase=Phase.DEVICE,
    needs=_need,
    judge=_judge,
)
