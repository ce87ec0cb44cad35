"""Voltages that are too high or too low: suspected by the hour's extremes, decided by means of ten
minutes, against the nominal voltage (nominal_voltage.py). A voltage of about nothing is one that
was not measured."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from fleetmeter.anomalies.model import (
    ABSENT_MV,
    Kind,
    MeterHour,
    Subject,
)
from fleetmeter.anomalies.rules.nominal_voltage import learn, nominal_v
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, Needs
from fleetmeter.anomalies.thresholds.device_parameters import VoltageOutOfRange
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.readings.model import MICROSECOND, rfc3339

_KIND: Kind = "voltage_out_of_range"

_WINDOW = timedelta(minutes=10)


class Limits(NamedTuple):
    """Between which a voltage is right, mV."""

    low: float
    high: float


class Supply(NamedTuple):
    """A meter's voltages of an hour, and what they should be."""

    subject: Subject
    row: MeterHour
    nominal_v: float
    parameters: VoltageOutOfRange

    @property
    def opens(self) -> Limits:
        """A voltage outside is wrong."""
        return self._around(self.parameters.tolerance)

    @property
    def clears(self) -> Limits:
        """A voltage inside is right."""
        return self._around(self.parameters.clear_tolerance)

    def _around(self, tolerance: float) -> Limits:
        nominal = self.nominal_v * 1000
        return Limits(nominal * (1 - tolerance), nominal * (1 + tolerance))


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> Iterator[Supply]:
    """Meters whose extremes of the hour lie outside, or that were outside before."""
    opened = {subject.device_id for subject in hour.opened.get(_KIND, ())}
    for row in hour.meter_rows:
        if not row.voltages:
            continue
        subject = Subject("meter", row.meter_id)
        device = hour.devices.get(subject)
        own = rulebook.of(_KIND, subject, device.site if device else None)
        parameters = cast(VoltageOutOfRange, own)
        volts = nominal_v(hour, row, parameters)
        if volts is None or not parameters.enabled:
            continue
        supply = Supply(subject, row, volts, parameters)
        if row.meter_id in opened or _is_outside(row, supply.opens):
            yield supply


def _is_outside(row: MeterHour, limits: Limits) -> bool:
    return any(
        voltage.lowest < limits.low or voltage.highest > limits.high for voltage in row.voltages
    )


def _is_plain(supply: Supply) -> bool | None:
    """Whether all of an hour lies outside on one side (True), of a phase at least, or well inside
    (False); None: neither, or some of it is absent."""
    voltages = supply.row.voltages
    if any(voltage.lowest < ABSENT_MV for voltage in voltages):
        return None
    low, high = supply.opens
    if any(
        (voltage.highest < low or voltage.lowest > high)
        and voltage.count >= supply.parameters.minimum_readings
        for voltage in voltages
    ):
        return True
    low, high = supply.clears
    if all(low <= voltage.lowest and voltage.highest <= high for voltage in voltages):
        return False
    return None


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the readings of hours whose extremes do not decide."""
    starts = hour.starts
    for supply in _suspects(hour, rulebook):
        if _is_plain(supply) is None:
            asked = needs.readings.get(supply.subject, starts)
            needs.readings[supply.subject] = min(asked, starts)


class Mean(NamedTuple):
    """A mean voltage, mV, from a time on, of a phase (see Voltage)."""

    since: datetime
    phase: str
    voltage_mv: float


def _means(points: Sequence[MeterPoint], starts: datetime, least: int) -> list[Mean]:
    """The mean voltages of each ten minutes of an hour that has readings enough."""
    windows: dict[tuple[int, str], list[int]] = {}
    for point in points:
        if point.time > starts:
            # as the hour, each is closed where it ends
            number = (point.time - starts - MICROSECOND) // _WINDOW
            for phase, voltage in point.voltages().items():
                windows.setdefault((number, phase), []).append(voltage)
    return [
        Mean(starts + number * _WINDOW, phase, sum(values) / len(values))
        for (number, phase), values in sorted(windows.items())
        if len(values) >= least
    ]


def _least_readings(context: HourContext, subject: Subject, parameters: VoltageOutOfRange) -> int:
    """Of a mean: fewer of a meter that reports rarely, but never one alone."""
    expected = _WINDOW // timedelta(seconds=context.hour.interval_s(subject))
    return min(parameters.minimum_readings, max(2, expected))


def judge(context: HourContext) -> None:
    """Apply the rule, to the worst phase."""
    starts = context.hour.starts
    for supply in list(_suspects(context.hour, context.rulebook)):
        subject, row, _, parameters = supply
        if _is_plain(supply) is None:
            points = context.answers.meter_readings.get(subject.device_id, ())
            means = _means(points, starts, _least_readings(context, subject, parameters))
        else:
            means = [Mean(starts, voltage.phase, voltage.mean) for voltage in row.voltages]
        if not means:
            continue
        low, high = supply.opens
        outside = [each for each in means if not low <= each.voltage_mv <= high]
        if outside:
            _breach(context, supply, outside)
        elif context.is_open(_KIND, subject):
            low, high = supply.clears
            is_clear = all(low <= each.voltage_mv <= high for each in means)
            context.count_clear(_KIND, subject, parameters.clear_hours, is_clear=is_clear)
    learn(context)


def _breach(context: HourContext, supply: Supply, outside: list[Mean]) -> None:
    subject, _, volts, parameters = supply
    worst = max(outside, key=lambda each: abs(each.voltage_mv - volts * 1000))
    low, high = supply.opens
    mean_v, where = worst.voltage_mv / 1000, f" on {worst.phase}" if worst.phase else ""
    evidence = {
        "meanV": round(mean_v, 2),
        "windowFrom": rfc3339(worst.since),
        "lowV": round(low / 1000, 2),
        "highV": round(high / 1000, 2),
        "nominalV": volts,
        "nominalFrom": "readings" if parameters.nominal_v is None else "setting",
    }
    context.breach(
        _KIND,
        subject,
        outside[0].since,
        f"{subject.device_id} had {mean_v:.1f} V{where} in the mean of ten minutes, outside "
        f"{low / 1000:.1f} to {high / 1000:.1f} V ({volts:g} V ± {parameters.tolerance * 100:g} %)",
        evidence | ({"phase": worst.phase} if worst.phase else {}),
    )
