"""Finds batteries charged cold: suspected by the hour's lowest temperature, decided by readings.

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
from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds, require
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class BatteryColdCharging(Thresholds, frozen=True, kw_only=True):
    """Thresholds of battery_cold_charging."""

    kind = "battery_cold_charging"

    reopen_within_h: ReopenWithin = 96.0
    open_c: Annotated[
        float, Meta(ge=-60, le=40, description="Opens below this temperature, °C.")
    ] = 0.0
    clear_c: Annotated[
        float, Meta(ge=-60, le=40, description="Clears at this temperature or above, °C.")
    ] = 2.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 15.0
    idle_h: Annotated[
        float, Meta(ge=1, le=168, description="Clears after this long without charging, hours.")
    ] = 24.0

    def __post_init__(self) -> None:
        require(self.clear_c >= self.open_c, "clearC must not be less than openC")


_KIND = BatteryColdCharging.kind


def _suspects(
    hour: ObservedHour, rulebook: Rulebook
) -> Iterator[tuple[Subject, BatteryColdCharging]]:
    """Find vehicles whose lowest temperature suggests a change, and those that charge cold."""
    everywhere = rulebook.everywhere(BatteryColdCharging)
    open_cdeg = everywhere.open_c * 100 if everywhere else 1e9
    suspects: dict[Subject, None] = {}
    for row in hour.vehicle_rows:
        coldest_cdeg = row.battery_temp_cdeg_min
        if row.dc_mwh <= 0 or coldest_cdeg is None or coldest_cdeg >= open_cdeg:
            continue
        subject = Subject("vehicle", row.vehicle_id)
        thresholds = rulebook.of(BatteryColdCharging, subject, hour.site(subject))
        if thresholds.enabled and coldest_cdeg < thresholds.open_c * 100:
            suspects[subject] = None
    for subject in hour.opened.get(_KIND, ()):
        if subject.device_id in hour.vehicle_readings:
            suspects[subject] = None
    for subject in suspects:
        yield subject, rulebook.of(BatteryColdCharging, subject, hour.site(subject))


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings of the hour and of the minutes before it that count."""
    for subject, thresholds in _suspects(hour, rulebook):
        needs.readings_since(subject, hour.starts - timedelta(minutes=thresholds.minutes))


def _judge(context: HourContext) -> None:
    for subject, thresholds in _suspects(context.hour, context.rulebook):
        _judge_vehicle(context, subject, thresholds)
    for subject in context.hour.opened.get(_KIND, ()):
        if context.is_open(_KIND, subject):
            _judge_idle(context, subject)


def _judge_vehicle(context: HourContext, subject: Subject, thresholds: BatteryColdCharging) -> None:
    open_cdeg, clear_cdeg = thresholds.open_c * 100, thresholds.clear_c * 100
    lasting = timedelta(minutes=thresholds.minutes)
    since = context.hour.starts - lasting
    measured = [
        (point.time, point.energy_mwh, point.battery_temp_cdeg)
        for point in context.answers.vehicle_readings.get(subject.device_id, ())
        if point.time >= since and point.energy_mwh is not None
    ]
    charging = [time for time, energy_mwh, _ in measured if energy_mwh > 0]
    cold = [
        (cdeg, energy_mwh)
        for _, energy_mwh, cdeg in measured
        if energy_mwh > 0 and cdeg is not None and cdeg < open_cdeg
    ]

    def verdict(energy_mwh: int, cdeg: int | None) -> bool | None:
        if energy_mwh <= 0 or cdeg is None:
            return None
        return True if cdeg < open_cdeg else False if cdeg >= clear_cdeg else None

    verdicts = [
        (time, verdict(energy_mwh, cdeg))
        for time, energy_mwh, cdeg in measured
        if energy_mwh <= 0 or cdeg is not None
    ]
    gap = longest_gap(context.hour.interval_s(subject))
    for is_breach, at in crossings(verdicts, context.is_open(_KIND, subject), lasting, gap):
        if is_breach:
            coldest_c = min(cdeg for cdeg, _ in cold) / 100
            energy_kwh = sum(energy_mwh for _, energy_mwh in cold) / 1e6
            context.breach(
                _KIND,
                subject,
                at,
                f"{subject.device_id} charged below {thresholds.open_c:g} °C for "
                f"{thresholds.minutes:g} minutes, down to {coldest_c:.1f} °C",
                {
                    "minC": round(coldest_c, 2),
                    "thresholdC": thresholds.open_c,
                    "minutes": thresholds.minutes,
                    "coldKwh": round(energy_kwh, 3),
                },
            )
        else:
            context.clear(_KIND, subject, at, f"it charges at {thresholds.clear_c:g} °C or more")
    if charging and context.is_open(_KIND, subject):
        condition = context.condition(_KIND, subject)
        condition.count_since = charging[-1]
        if cold:
            condition.at = context.ends


def _judge_idle(context: HourContext, subject: Subject) -> None:
    """Clear the anomaly after a day without charging."""
    thresholds = context.thresholds(BatteryColdCharging, subject)
    last = context.states[subject].conditions[_KIND].count_since
    if last is not None and context.ends - last >= timedelta(hours=thresholds.idle_h):
        summary = f"it has not charged for {thresholds.idle_h:g} hours"
        context.clear(_KIND, subject, last, summary)


BATTERY_COLD_CHARGING = Rule(
    thresholds=BatteryColdCharging,
    title="Charging a cold battery",
    description="The battery was charged below freezing for minutes without a break.",
    source="Lithium-ion cells are charged at 0 °C or above; below, metallic lithium plates the "
    "anode.",
    severity="warning",
    device_kinds=("vehicle",),
    phase=Phase.DEVICE,
    needs=_need,
    judge=_judge,
)
