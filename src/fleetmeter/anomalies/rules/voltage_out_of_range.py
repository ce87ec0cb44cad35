"""Finds wrong voltages: suspected by the hour's extremes, decided by means of ten minutes.

Both are held against the nominal voltage (nominal_voltage.py). A voltage of about nothing is one
that was not measured.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

from msgspec import Meta

from fleetmeter.anomalies.model import ABSENT_MV, MeterHour, Subject
from fleetmeter.anomalies.rules.nominal_voltage import VoltageState, learn, nominal_v
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, Needs
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.thresholds.base import Thresholds, require
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.readings.kinds import MAX_VOLTAGE
from fleetmeter.readings.model import MICROSECOND, rfc3339


class VoltageOutOfRange(Thresholds, frozen=True, kw_only=True):
    """Thresholds of voltage_out_of_range."""

    kind = "voltage_out_of_range"

    nominal_v: Annotated[
        Annotated[float, Meta(ge=10, le=MAX_VOLTAGE)] | None,
        Meta(
            description="Nominal voltage, V; null: 120, 208, 230, 277, 400 or 480, as the first "
            "day of the meter shows."
        ),
    ] = None
    tolerance: Annotated[
        float, Meta(gt=0, le=0.5, description="Opens outside nominal ± this part of it.")
    ] = 0.10
    clear_tolerance: Annotated[
        float, Meta(gt=0, le=0.5, description="Clears inside nominal ± this part of it.")
    ] = 0.09
    minimum_readings: Annotated[
        int,
        Meta(ge=2, le=600, description="Least readings in a ten-minute mean, if so many come."),
    ] = 3
    clear_hours: Annotated[
        int, Meta(ge=1, le=24, description="Clears after so many hours in a row.")
    ] = 2

    def __post_init__(self) -> None:
        require(self.clear_tolerance <= self.tolerance, "clearTolerance must not exceed tolerance")


_KIND = VoltageOutOfRange.kind

_WINDOW = timedelta(minutes=10)


class Limits(NamedTuple):
    """The limits between which a voltage is right, mV."""

    low: float
    high: float


class Supply(NamedTuple):
    """A meter's voltages in an hour, and its nominal voltage."""

    subject: Subject
    row: MeterHour
    nominal_v: float
    thresholds: VoltageOutOfRange

    @property
    def opens(self) -> Limits:
        """Return the limits outside of which a voltage is wrong."""
        return self._around(self.thresholds.tolerance)

    @property
    def clears(self) -> Limits:
        """Return the limits inside of which a voltage is right."""
        return self._around(self.thresholds.clear_tolerance)

    def _around(self, tolerance: float) -> Limits:
        nominal = self.nominal_v * 1000
        return Limits(nominal * (1 - tolerance), nominal * (1 + tolerance))


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> Iterator[Supply]:
    """Find meters whose extremes in the hour are outside, or that were outside before."""
    opened = {subject.device_id for subject in hour.opened.get(_KIND, ())}
    for row in hour.meter_rows:
        if not row.voltages:
            continue
        subject = Subject("meter", row.meter_id)
        thresholds = rulebook.of(VoltageOutOfRange, subject, hour.site(subject))
        volts = thresholds.nominal_v or nominal_v(hour, row)
        if volts is None or not thresholds.enabled:
            continue
        supply = Supply(subject, row, volts, thresholds)
        if row.meter_id in opened or _is_outside(row, supply.opens):
            yield supply


def _is_outside(row: MeterHour, limits: Limits) -> bool:
    return any(
        voltage.lowest < limits.low or voltage.highest > limits.high for voltage in row.voltages
    )


def _is_plain(supply: Supply) -> bool | None:
    """Return True if a phase is outside for the whole hour, on one side; False if well inside.

    None if neither holds, or some of it is absent.
    """
    voltages = supply.row.voltages
    if any(voltage.lowest < ABSENT_MV for voltage in voltages):
        return None
    low, high = supply.opens
    if any(
        (voltage.highest < low or voltage.lowest > high)
        and voltage.count >= supply.thresholds.minimum_readings
        for voltage in voltages
    ):
        return True
    low, high = supply.clears
    if all(low <= voltage.lowest and voltage.highest <= high for voltage in voltages):
        return False
    return None


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings of hours whose extremes do not decide."""
    for supply in _suspects(hour, rulebook):
        if _is_plain(supply) is None:
            needs.readings_since(supply.subject, hour.starts)


class Mean(NamedTuple):
    """A mean voltage, mV, from a time on, of a phase (see Voltage)."""

    since: datetime
    phase: str
    voltage_mv: float


def _means(points: Sequence[MeterPoint], starts: datetime, least: int) -> list[Mean]:
    """Return the mean voltages of each ten minutes of an hour that has readings enough."""
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


def _least_readings(context: HourContext, subject: Subject, thresholds: VoltageOutOfRange) -> int:
    """Return how many readings a mean takes: fewer of a meter that reports rarely, but two."""
    expected = _WINDOW // timedelta(seconds=context.hour.interval_s(subject))
    return min(thresholds.minimum_readings, max(2, expected))


def _judge(context: HourContext) -> None:
    """Judge each meter by its worst phase."""
    starts = context.hour.starts
    for supply in list(_suspects(context.hour, context.rulebook)):
        subject, row, _, thresholds = supply
        if _is_plain(supply) is None:
            points = context.answers.meter_readings.get(subject.device_id, ())
            means = _means(points, starts, _least_readings(context, subject, thresholds))
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
            context.count_clear(_KIND, subject, thresholds.clear_hours, is_clear=is_clear)
    learn(context)


def _breach(context: HourContext, supply: Supply, outside: list[Mean]) -> None:
    subject, _, volts, thresholds = supply
    worst = max(outside, key=lambda each: abs(each.voltage_mv - volts * 1000))
    low, high = supply.opens
    mean_v, where = worst.voltage_mv / 1000, f" on {worst.phase}" if worst.phase else ""
    evidence = {
        "meanV": round(mean_v, 2),
        "windowFrom": rfc3339(worst.since),
        "lowV": round(low / 1000, 2),
        "highV": round(high / 1000, 2),
        "nominalV": volts,
        "nominalFrom": "readings" if thresholds.nominal_v is None else "setting",
    }
    context.breach(
        _KIND,
        subject,
        outside[0].since,
        f"{subject.device_id} had {mean_v:.1f} V{where} in the mean of ten minutes, outside "
        f"{low / 1000:.1f} to {high / 1000:.1f} V ({volts:g} V ± {thresholds.tolerance * 100:g} %)",
        evidence | ({"phase": worst.phase} if worst.phase else {}),
    )


VOLTAGE_OUT_OF_RANGE = Rule(
    thresholds=VoltageOutOfRange,
    title="Voltage out of range",
    description="A ten-minute mean, of the worst phase, was outside the nominal voltage and its "
    "tolerance. The nominal voltage is the one that is set, or the standard one that the meter's "
    "first day shows.",
    source="EN 50160: ten-minute means within 230 V ± 10 %. For ANSI C84.1 set tolerance 0.05 "
    "(range A of the service voltage: 114 to 126 V of 120 V).",
    severity="warning",
    device_kinds=("meter",),
    phase=Phase.DEVICE,
    states=(VoltageState,),
    needs=_need,
    judge=_judge,
)
