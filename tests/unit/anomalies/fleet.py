"""A fleet on paper: readings of vehicles and meters, and the hours that the rules see of them.

Rows are what energy_slices() makes of the readings; readings are what history would answer. A
reading's energy is spread over its interval, and what it measured belongs to where it is stamped.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from fleetmeter.anomalies.evaluation.decide import evaluate, needs
from fleetmeter.anomalies.model import (
    AnomalyKind,
    Change,
    Device,
    Falls,
    Hour,
    MeterHour,
    Subject,
    VehicleHour,
    Voltage,
)
from fleetmeter.anomalies.rules.shared.needs import (
    Answers,
    MeterPoint,
    Needs,
    PeakPoint,
    VehiclePoint,
)
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.rules.silence.watch import SILENCE_KNOWN
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)


Reports = Literal["always", "while_charging"]

Values = Callable[[float], float | None] | float | None
"""By the hours after the start, or always the same; None is absent."""


def at(hours: float) -> datetime:
    """So many hours after the start."""
    return START + timedelta(hours=hours)


def vehicle(id_: str) -> Subject:
    return Subject("vehicle", id_)


def meter(id_: str) -> Subject:
    return Subject("meter", id_)


class Part(NamedTuple):
    """The part of a reading that lies in an hour."""

    point: VehiclePoint | MeterPoint
    meter_id: str | None
    is_stamped: bool
    """Within the hour."""

    energy_mwh: int
    covered_ms: int


class Fleet:
    """Readings, kept by device."""

    def __init__(self) -> None:
        self.devices: dict[Subject, Device] = {}
        self.vehicles: dict[str, list[tuple[VehiclePoint, str | None]]] = {}
        """In the order of their times, as those of meters."""

        self.meters: dict[str, list[MeterPoint]] = {}
        self.asked: list[Needs] = []
        self.falls: dict[tuple[Subject, datetime], Falls] = {}
        """By the hour's begin."""

    def add_vehicle(
        self,
        id_: str,
        site: str | None = None,
        interval_s: int = 60,
        capacity_wh: int | None = None,
        reports: Reports | None = None,
        *,
        counts_sessions: bool = False,
    ) -> None:
        self.devices[vehicle(id_)] = Device(
            *(vehicle(id_), site, interval_s, capacity_wh),
            reports=reports,
            counts_sessions=counts_sessions,
        )
        self.vehicles[id_] = []

    def add_meter(
        self,
        id_: str,
        site: str | None = None,
        interval_s: int = 60,
        rated_w: int | None = None,
        role: str | None = None,
        reports: Reports | None = None,
    ) -> None:
        self.devices[meter(id_)] = Device(
            meter(id_), site, interval_s, rated_power_w=rated_w, role=role, reports=reports
        )
        self.meters[id_] = []

    def drives(
        self,
        id_: str,
        hours: tuple[float, float],
        dc_kw: Values = 0.0,
        meter_id: str | None = None,
        soc: Values = None,
        temp_c: Values = 20.0,
        late_s: float = 0.0,
        keeps: Callable[[int], bool] = lambda n: True,
    ) -> None:
        """Readings of a vehicle; functions are of hours after the start."""
        step = self.devices[vehicle(id_)].reporting_interval_s
        points = self.vehicles[id_]
        energy_of, soc_of = _scaled(dc_kw, step / 3600 * 1e6), _scaled(soc, 100)
        temp_of = _scaled(temp_c, 100)
        before = points[-1][0].time if points else None
        for when, stamp in _stamps(hours, step, late_s, keeps):
            energy = energy_of(when)
            span_ms = None if energy is None else _span_ms(stamp, before, step)
            point = VehiclePoint(stamp, energy, span_ms, soc_of(when), temp_of(when))
            points.append((point, meter_id))
            before = stamp

    def meters_(
        self,
        id_: str,
        hours: tuple[float, float],
        ac_kw: Values = 0.01,
        volts: Values = 230.0,
        keeps: Callable[[int], bool] = lambda n: True,
        late_s: float = 0.0,
        phases: Sequence[Values] = (),
    ) -> None:
        """Readings of a meter; `phases`: volts of each."""
        step = self.devices[meter(id_)].reporting_interval_s
        points = self.meters[id_]
        energy_of, volts_of = _scaled(ac_kw, step / 3600 * 1e6), _scaled(volts, 1000)
        phases_of = [_scaled(each, 1000) for each in phases]
        before = points[-1].time if points else None
        for when, stamp in _stamps(hours, step, late_s, keeps):
            energy = energy_of(when)
            span_ms = None if energy is None else _span_ms(stamp, before, step)
            measured = tuple([of_phase(when) for of_phase in phases_of])
            points.append(MeterPoint(stamp, energy, span_ms, volts_of(when), False, measured))
            before = stamp

    def hour(self, number: int, devices: Iterable[Subject] | None = None) -> Hour:
        """The rows of the hour that begins so many hours after the start."""
        starts, ends = at(number), at(number + 1)
        dc = {
            id_: parts
            for id_, points in self.vehicles.items()
            if (parts := _parts(points, lambda pair: pair, starts, ends))
        }
        ac = {
            id_: parts
            for id_, points in self.meters.items()
            if (parts := _parts(points, _all_at(id_), starts, ends))
        }
        hour = Hour(starts, ends, [], [], self.devices)
        hour.falls = {subject: f for (subject, begins), f in self.falls.items() if begins == starts}
        for id_, parts in sorted(dc.items()):
            for meter_id in dict.fromkeys(part.meter_id for part in parts):
                hour.vehicles.append(_vehicle_row(starts, id_, meter_id, dc, ac))
        for id_, parts in sorted(ac.items()):
            hour.meters.append(_meter_row(starts, id_, parts, dc))
        if devices is not None:
            kept = set(devices)
            hour.devices = {s: d for s, d in self.devices.items() if s in kept}
            hour.vehicles = [r for r in hour.vehicles if vehicle(r.vehicle_id) in kept]
            hour.meters = [r for r in hour.meters if meter(r.meter_id) in kept]
            hour.whole_fleet = False
        return hour

    def known(self, wanted: Needs, ends: datetime) -> Answers:
        """Answer as history does."""
        self.asked.append(wanted)
        known = Answers()
        for subject in wanted.last_times:
            times = [t for t in self._times(subject) if ends - SILENCE_KNOWN < t <= ends]
            if times:
                known.last_times[subject] = max(times)
        for (kind, id_), since in wanted.readings.items():
            if kind == "vehicle":
                own = self.vehicles.get(id_, [])
                known.vehicle_readings[id_] = [p for p, _ in own if since <= p.time <= ends]
            else:
                points = self.meters.get(id_, [])
                known.meter_readings[id_] = [p for p in points if since <= p.time <= ends]
        for subject, (since, limit_w) in wanted.peaks.items():
            measured: Sequence[VehiclePoint | MeterPoint] = (
                [point for point, _ in self.vehicles[subject.device_id]]
                if subject.device_kind == "vehicle"
                else self.meters[subject.device_id]
            )
            known.peaks[subject] = [
                PeakPoint(point.time, point.energy_mwh, point.span_ms)
                for point in measured
                if since <= point.time <= ends
                and point.energy_mwh
                and point.span_ms
                and point.energy_mwh * 3600 > limit_w * point.span_ms
            ]
        return known

    def _times(self, subject: Subject) -> Sequence[datetime]:
        if subject.device_kind == "vehicle":
            return [p.time for p, _ in self.vehicles.get(subject.device_id, [])]
        return [p.time for p in self.meters.get(subject.device_id, [])]

    def fold(
        self,
        first: int,
        last: int,
        states: dict[Subject, DeviceState] | None = None,
        rulebook: Rulebook | None = None,
        devices: Iterable[Subject] | None = None,
    ) -> list[Change]:
        """Changes of the hours [first, last)."""
        states = {} if states is None else states
        rulebook = rulebook or Rulebook()
        changes: list[Change] = []
        for number in range(first, last):
            hour = self.hour(number, devices)
            known = self.known(needs(hour, states, rulebook), hour.ends)
            changes += evaluate(hour, known, states, rulebook).changes
        return changes


T = TypeVar("T")

Parts = dict[str, list[Part]]
"""By device."""


def _all_at(meter_id: str) -> Callable[[MeterPoint], tuple[MeterPoint, str]]:
    return lambda point: (point, meter_id)


def _parts(
    points: Sequence[T],
    taken_at: Callable[[T], tuple[VehiclePoint | MeterPoint, str | None]],
    starts: datetime,
    ends: datetime,
) -> list[Part]:
    """Return the parts of a device's readings in (starts, ends], each taken at a meter."""
    found = []
    first = bisect_right(points, starts, key=lambda each: taken_at(each)[0].time)
    for place in range(first, len(points)):
        point, meter_id = taken_at(points[place])
        span_ms = point.span_ms or 0
        energy = point.energy_mwh or 0
        begins = point.time - span_ms * MILLISECOND
        if begins >= starts and point.time <= ends:  # all of it, as of nearly all readings
            found.append(Part(point, meter_id, True, energy if span_ms else 0, span_ms))
            continue
        if point.time > ends and begins >= ends:
            break
        from_ms = max(0, (starts - begins) // MILLISECOND)
        to_ms = min(span_ms, (ends - begins) // MILLISECOND)
        part = energy * to_ms // span_ms - energy * from_ms // span_ms if span_ms else 0
        found.append(Part(point, meter_id, point.time <= ends, part, to_ms - from_ms))
    return found


def _total(parts: Iterable[Part]) -> int:
    return sum(part.energy_mwh for part in parts)


def _covered_s(parts: Iterable[Part]) -> float:
    return sum(part.covered_ms for part in parts) / 1000


def _there(meter_id: str, dc: Parts) -> dict[str, tuple[int, float]]:
    """DC and coverage of vehicles at a meter."""
    return {
        id_: (_total(p for p in parts if p.meter_id == meter_id), _covered_s(parts))
        for id_, parts in dc.items()
        if any(part.meter_id == meter_id for part in parts)
    }


def _vehicle_row(
    starts: datetime, id_: str, meter_id: str | None, dc: Parts, ac: Parts
) -> VehicleHour:
    parts = [part for part in dc[id_] if part.meter_id == meter_id]
    energy = _total(parts)
    share, comparable, covered_ac = None, False, 0.0
    if meter_id is not None and meter_id in ac:
        there = _there(meter_id, dc)
        total = sum(taken for taken, _ in there.values())
        share = _total(ac[meter_id]) * energy // total if total else 0
        covered_ac = _covered_s(ac[meter_id])
        covers = [covered for _, covered in there.values()]
        comparable = min([*covers, covered_ac]) >= 0.9 * max([*covers, covered_ac]) > 0
    points = [p.point for p in parts if p.is_stamped and isinstance(p.point, VehiclePoint)]
    socs = [point.soc_bp for point in points if point.soc_bp is not None]
    temps = [p.battery_temp_cdeg for p in points if p.battery_temp_cdeg is not None]
    return VehicleHour(
        hour=starts,
        vehicle_id=id_,
        meter_id=meter_id,
        dc_mwh=energy,
        ac_mwh=share,
        comparable=comparable,
        covered_dc_s=_covered_s(parts),
        covered_ac_s=covered_ac,
        readings=len(points),
        resets=0,
        soc_bp_min=min(socs, default=None),
        soc_bp_max=max(socs, default=None),
        battery_temp_cdeg_count=len(temps),
        battery_temp_cdeg_sum=sum(temps),
        battery_temp_cdeg_min=min(temps, default=None),
        battery_temp_cdeg_max=max(temps, default=None),
    )


def _meter_row(starts: datetime, id_: str, parts: list[Part], dc: Parts) -> MeterHour:
    there = _there(id_, dc)
    taken = sum(energy for energy, _ in there.values())
    points = [p.point for p in parts if p.is_stamped and isinstance(p.point, MeterPoint)]
    volts = [point.voltage_mv for point in points if point.voltage_mv is not None]
    by_phase = list(zip(*(point.phases for point in points), strict=True))
    return MeterHour(
        hour=starts,
        meter_id=id_,
        unattributed_mwh=0 if taken else _total(parts),
        covered_dc_s=min((covered for _, covered in there.values()), default=0),
        covered_ac_s=_covered_s(parts),
        readings=len(points),
        resets=sum(point.reset for point in points),
        voltage_mv_count=len(volts),
        voltage_mv_sum=sum(volts),
        voltage_mv_min=min(volts, default=None),
        voltage_mv_max=max(volts, default=None),
        phases=tuple(
            Voltage(f"L{number}", len(known), sum(known) / len(known), min(known), max(known))
            for number, values in enumerate(by_phase, 1)
            if (known := [value for value in values if value is not None])
        ),
    )


def of(kind: AnomalyKind, changes: Iterable[Change]) -> list[Change]:
    """Changes of a kind."""
    return [change for change in changes if change.kind == kind]


def between(
    begin: float, end: float, value: float, otherwise: float = 0.0
) -> Callable[[float], float]:
    """A value from one hour to another."""
    return lambda time: value if begin <= time < end else otherwise


def _scaled(given: Values, scale: float) -> Callable[[float], int | None]:
    """Return the value at a time in hours, as stored."""
    if callable(given):
        function = given  # a name of its own, since `given` could change
        return lambda time: None if (value := function(time)) is None else round(value * scale)
    always = None if given is None else round(given * scale)
    return lambda _: always


def _span_ms(stamp: datetime, before: datetime | None, interval_s: int) -> int:
    """From the reading before, but an interval at most."""
    most = interval_s * 1000
    return most if before is None else min(most, (stamp - before) // MILLISECOND)


def _stamps(
    hours: tuple[float, float], step_s: int, late_s: float, keeps: Callable[[int], bool]
) -> Iterator[tuple[float, datetime]]:
    """Yield the middle of each interval, in hours after the start, and its reading's stamp."""
    begin, end = hours
    first, step = at(begin) + timedelta(seconds=late_s), timedelta(seconds=step_s)
    for number in range(round((end - begin) * 3600 / step_s)):
        if keeps(number):
            yield begin + number * step_s / 3600 + step_s / 7200, first + (number + 1) * step
