"""Batteries that are too hot, or charged while too cold: suspected by the hour's extremes,
decided by readings. One without a temperature says nothing of a battery."""

from collections.abc import Iterator
from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.hysteresis import crossings, longest_gap
from fleetmeter.anomalies.rules.shared.needs import Needs, VehiclePoint
from fleetmeter.anomalies.thresholds.device_parameters import BatteryColdCharging, BatteryHot
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_HOT: Kind = "battery_hot"
_COLD: Kind = "battery_cold_charging"


def _candidates(hour: ObservedHour, rulebook: Rulebook) -> Iterator[tuple[Kind, Subject]]:
    """Vehicles whose extremes of the hour suspect a change, or that it goes on; some twice."""
    all_hot = cast(BatteryHot | None, rulebook.everywhere(_HOT))
    all_cold = cast(BatteryColdCharging | None, rulebook.everywhere(_COLD))
    hot_cdeg = all_hot.open_c * 100 if all_hot else -1e9
    cold_cdeg = all_cold.open_c * 100 if all_cold else 1e9
    for row in hour.vehicle_rows:
        coldest_cdeg, hottest_cdeg = row.battery_temp_cdeg_min, row.battery_temp_cdeg_max
        if coldest_cdeg is None or hottest_cdeg is None:
            continue
        if hottest_cdeg >= hot_cdeg:
            yield from _by_own(_HOT, row.vehicle_id, hottest_cdeg, hour, rulebook)
        if row.dc_mwh > 0 and coldest_cdeg < cold_cdeg:
            yield from _by_own(_COLD, row.vehicle_id, coldest_cdeg, hour, rulebook)
    for kind in (_HOT, _COLD):
        for subject in hour.opened.get(kind, ()):
            if subject.device_id in hour.vehicle_readings:
                yield kind, subject


def _by_own(
    kind: Kind, vehicle_id: str, extreme_cdeg: int, hour: ObservedHour, rulebook: Rulebook
) -> Iterator[tuple[Kind, Subject]]:
    """By the thresholds of the vehicle itself."""
    subject = Subject("vehicle", vehicle_id)
    device = hour.devices.get(subject)
    parameters = rulebook.of(kind, subject, device.site if device else None)
    if not parameters.enabled:
        return
    if isinstance(parameters, BatteryHot):
        if extreme_cdeg >= parameters.open_c * 100:
            yield kind, subject
    elif extreme_cdeg < cast(BatteryColdCharging, parameters).open_c * 100:
        yield kind, subject


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the readings of the hour, and of so long before as it takes."""
    for kind, subject in _candidates(hour, rulebook):
        device = hour.devices.get(subject)
        parameters = rulebook.of(kind, subject, device.site if device else None)
        minutes = cast(BatteryHot | BatteryColdCharging, parameters).minutes
        since = hour.starts - timedelta(minutes=minutes)
        needs.readings[subject] = min(needs.readings.get(subject, since), since)


def judge(context: HourContext) -> None:
    """Apply both rules."""
    for kind, subject in dict.fromkeys(_candidates(context.hour, context.rulebook)):
        points = context.answers.vehicle_readings.get(subject.device_id, [])
        if kind == _HOT:
            _judge_hot(context, subject, points)
        else:
            _judge_cold(context, subject, points)
    for subject in context.hour.opened.get(_COLD, ()):
        if context.is_open(_COLD, subject):
            _judge_idle(context, subject)


def _judge_hot(context: HourContext, subject: Subject, points: list[VehiclePoint]) -> None:
    parameters = cast(BatteryHot, context.parameters(_HOT, subject))
    open_cdeg, clear_cdeg = parameters.open_c * 100, parameters.clear_c * 100
    lasting = timedelta(minutes=parameters.minutes)
    since = context.hour.starts - lasting
    measured = [
        (p.time, p.battery_temp_cdeg)
        for p in points
        if p.time >= since and p.battery_temp_cdeg is not None
    ]
    verdicts = [
        (time, True if cdeg >= open_cdeg else False if cdeg < clear_cdeg else None)
        for time, cdeg in measured
    ]
    gap = longest_gap(context.hour.interval_s(subject))
    hottest = max((cdeg for _, cdeg in measured), default=None)
    if context.is_open(_HOT, subject) and hottest is not None and hottest >= clear_cdeg:
        context.condition(_HOT, subject).at = context.ends
    for is_breach, at in crossings(verdicts, context.is_open(_HOT, subject), lasting, gap):
        if is_breach and hottest is not None:
            context.breach(
                _HOT,
                subject,
                at,
                f"the battery of {subject.device_id} was at {parameters.open_c:g} °C or more for "
                f"{parameters.minutes:g} minutes, up to {hottest / 100:.1f} °C",
                {
                    "maxC": round(hottest / 100, 2),
                    "thresholdC": parameters.open_c,
                    "minutes": parameters.minutes,
                },
            )
        else:
            context.clear(_HOT, subject, at, f"below {parameters.clear_c:g} °C again")


def _judge_cold(context: HourContext, subject: Subject, points: list[VehiclePoint]) -> None:
    parameters = cast(BatteryColdCharging, context.parameters(_COLD, subject))
    open_cdeg, clear_cdeg = parameters.open_c * 100, parameters.clear_c * 100
    lasting = timedelta(minutes=parameters.minutes)
    since = context.hour.starts - lasting
    told = [
        (p.time, p.energy_mwh, p.battery_temp_cdeg)
        for p in points
        if p.time >= since and p.energy_mwh is not None
    ]
    charging = [time for time, energy_mwh, _ in told if energy_mwh > 0]
    cold = [
        (cdeg, energy_mwh)
        for _, energy_mwh, cdeg in told
        if energy_mwh > 0 and cdeg is not None and cdeg < open_cdeg
    ]
    verdicts = [
        (
            time,
            None
            if energy_mwh <= 0 or cdeg is None
            else True
            if cdeg < open_cdeg
            else False
            if cdeg >= clear_cdeg
            else None,
        )
        for time, energy_mwh, cdeg in told
        if energy_mwh <= 0 or cdeg is not None
    ]
    gap = longest_gap(context.hour.interval_s(subject))
    for is_breach, at in crossings(verdicts, context.is_open(_COLD, subject), lasting, gap):
        if is_breach:
            coldest = min(cdeg for cdeg, _ in cold) / 100
            energy_kwh = sum(energy_mwh for _, energy_mwh in cold) / 1e6
            context.breach(
                _COLD,
                subject,
                at,
                f"{subject.device_id} charged below {parameters.open_c:g} °C for "
                f"{parameters.minutes:g} minutes, down to {coldest:.1f} °C",
                {
                    "minC": round(coldest, 2),
                    "thresholdC": parameters.open_c,
                    "minutes": parameters.minutes,
                    "coldKwh": round(energy_kwh, 3),
                },
            )
        else:
            context.clear(_COLD, subject, at, f"it charges at {parameters.clear_c:g} °C or more")
    if charging and context.is_open(_COLD, subject):
        condition = context.condition(_COLD, subject)
        condition.count_since = charging[-1]
        if cold:
            condition.at = context.ends


def _judge_idle(context: HourContext, subject: Subject) -> None:
    """It is over when nothing was charged for a day."""
    parameters = cast(BatteryColdCharging, context.parameters(_COLD, subject))
    last = context.states[subject].conditions[_COLD].count_since
    if last is not None and context.ends - last >= timedelta(hours=parameters.idle_h):
        summary = f"it has not charged for {parameters.idle_h:g} hours"
        context.clear(_COLD, subject, last, summary)
