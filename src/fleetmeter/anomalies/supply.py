"""Rules of a meter alone: its voltage, and what it counts while nobody charges."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from fleetmeter.anomalies.memory import Run
from fleetmeter.anomalies.model import Kind, MeterHour, MeterPoint, Needs, Subject
from fleetmeter.anomalies.observed import Observed
from fleetmeter.anomalies.parameters import StandbyLoss, VoltageOutOfRange
from fleetmeter.anomalies.rules import Rulebook
from fleetmeter.anomalies.turn import HourTurn, interval_s
from fleetmeter.readings.model import MICROSECOND, rfc3339

_VOLTAGE: Kind = "voltage_out_of_range"
_STANDBY: Kind = "standby_loss"

_WINDOW = timedelta(minutes=10)
_PAUSE = timedelta(hours=24)
"""Hours that count are no run any more when so much lies between them."""


class Limits(NamedTuple):
    """Between which a voltage is right, mV."""

    low: float
    high: float


def _limits(parameters: VoltageOutOfRange, tolerance: float) -> Limits:
    nominal = parameters.nominal_v * 1000
    return Limits(nominal * (1 - tolerance), nominal * (1 + tolerance))


def _is_outside(row: MeterHour, limits: Limits) -> bool:
    """Whether any of an hour's voltages is; none when none was measured."""
    return any(
        voltage.lowest < limits.low or voltage.highest > limits.high for voltage in row.voltages
    )


def _voltage_candidates(
    observed: Observed, rulebook: Rulebook
) -> Iterator[tuple[Subject, MeterHour, VoltageOutOfRange]]:
    """Meters whose extremes of the hour lie outside, or that did before."""
    hour = observed.hour
    same = cast(VoltageOutOfRange | None, rulebook.everywhere(_VOLTAGE))
    limits = _limits(same, same.tolerance) if same else Limits(1e9, -1e9)
    opened = {subject.device_id for subject in observed.opened.get(_VOLTAGE, ())}
    for row in hour.meters:
        if row.voltages and (_is_outside(row, limits) or row.meter_id in opened):
            subject = Subject("meter", row.meter_id)
            device = hour.devices.get(subject)
            own = rulebook.of(_VOLTAGE, subject, device.site if device else None)
            parameters = cast(VoltageOutOfRange, own)
            outside = _is_outside(row, _limits(parameters, parameters.tolerance))
            if parameters.enabled and (outside or row.meter_id in opened):
                yield subject, row, parameters


def _is_plain(row: MeterHour, parameters: VoltageOutOfRange) -> bool | None:
    """Whether all of an hour lies outside on one side (True), of a phase at least, or well inside
    (False); None: neither."""
    low, high = _limits(parameters, parameters.tolerance)
    if any(
        (voltage.highest < low or voltage.lowest > high)
        and voltage.count >= parameters.minimum_readings
        for voltage in row.voltages
    ):
        return True
    low, high = _limits(parameters, parameters.clear_tolerance)
    if all(low <= voltage.lowest and voltage.highest <= high for voltage in row.voltages):
        return False
    return None


def need(observed: Observed, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the readings of hours whose extremes do not decide."""
    hour = observed.hour
    for subject, row, parameters in _voltage_candidates(observed, rulebook):
        if _is_plain(row, parameters) is None:
            asked = needs.readings.get(subject, hour.starts)
            needs.readings[subject] = min(asked, hour.starts)


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


def _least_readings(turn: HourTurn, subject: Subject, parameters: VoltageOutOfRange) -> int:
    """Of a mean: fewer of a meter that reports rarely, but never one alone."""
    expected = _WINDOW // timedelta(seconds=interval_s(turn.hour, subject))
    return min(parameters.minimum_readings, max(2, expected))


def judge_voltage(turn: HourTurn, observed: Observed) -> None:
    """Apply voltage_out_of_range, to the worst phase."""
    starts = turn.hour.starts
    for subject, row, parameters in list(_voltage_candidates(observed, turn.rulebook)):
        if _is_plain(row, parameters) is None:
            points = turn.known.meter_readings.get(subject.device_id, ())
            means = _means(points, starts, _least_readings(turn, subject, parameters))
        else:
            means = [Mean(starts, voltage.phase, voltage.mean) for voltage in row.voltages]
        if not means:
            continue
        low, high = _limits(parameters, parameters.tolerance)
        outside = [each for each in means if not low <= each.voltage_mv <= high]
        if outside:
            _breach_voltage(turn, subject, outside, parameters)
        elif turn.is_open(_VOLTAGE, subject):
            low, high = _limits(parameters, parameters.clear_tolerance)
            inside = all(low <= each.voltage_mv <= high for each in means)
            _count_clear(turn, _VOLTAGE, subject, inside, parameters.clear_hours)


def _breach_voltage(
    turn: HourTurn, subject: Subject, outside: list[Mean], parameters: VoltageOutOfRange
) -> None:
    nominal_v = parameters.nominal_v
    worst = max(outside, key=lambda each: abs(each.voltage_mv - nominal_v * 1000))
    low, high = _limits(parameters, parameters.tolerance)
    mean_v, where = worst.voltage_mv / 1000, f" on {worst.phase}" if worst.phase else ""
    evidence = {
        "meanV": round(mean_v, 2),
        "windowFrom": rfc3339(worst.since),
        "lowV": round(low / 1000, 2),
        "highV": round(high / 1000, 2),
        "nominalV": nominal_v,
    }
    turn.breach(
        _VOLTAGE,
        subject,
        outside[0].since,
        f"{subject.device_id} had {mean_v:.1f} V{where} in the mean of ten minutes, outside "
        f"{low / 1000:.1f} to {high / 1000:.1f} V",
        evidence | ({"phase": worst.phase} if worst.phase else {}),
    )


def _count_clear(turn: HourTurn, kind: Kind, subject: Subject, is_clear: bool, hours: int) -> None:
    """Hours in a row that are right end it at the first of them."""
    condition = turn.condition(kind, subject)
    if not is_clear:
        condition.count, condition.count_since = 0, None
        return
    condition.count += 1
    since = condition.count_since = condition.count_since or turn.hour.starts
    if condition.count >= hours:
        turn.clear(kind, subject, since, f"right again for {hours} hours")


def judge_standby(turn: HourTurn, observed: Observed) -> None:
    """Apply standby_loss."""
    same = cast(StandbyLoss | None, turn.rulebook.everywhere(_STANDBY))
    least_mwh = same.open_w * 1000 * same.coverage if same else 0
    loud = [
        row.meter_id
        for row in turn.hour.meters
        if row.unattributed_mwh > 0 and row.unattributed_mwh >= least_mwh
    ]
    known = [subject.device_id for subject, _ in observed.running]
    known += [subject.device_id for subject in observed.opened.get(_STANDBY, ())]
    for meter_id in dict.fromkeys([*loud, *known]):
        if meter_id in observed.meters:
            _judge_standby(turn, observed, meter_id)


def _judge_standby(turn: HourTurn, observed: Observed, meter_id: str) -> None:
    subject = Subject("meter", meter_id)
    parameters = cast(StandbyLoss, turn.parameters(_STANDBY, subject))
    row = observed.meters[meter_id]
    covered_s = parameters.coverage * 3600
    is_unknown = (
        meter_id in observed.at_meter
        or not row.readings  # when its energy came is not known
        or row.covered_ac_s < covered_s
        or 0 < row.covered_dc_s < covered_s
    )
    if not parameters.enabled or is_unknown:
        return
    watts = row.unattributed_mwh / 1000 * 3600 / row.covered_ac_s
    if watts > parameters.ceiling_w:
        return
    if turn.is_open(_STANDBY, subject):
        if watts >= parameters.open_w:
            turn.condition(_STANDBY, subject).at = turn.ends
        _count_clear(turn, _STANDBY, subject, watts < parameters.clear_w, parameters.clear_hours)
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
            _STANDBY,
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
