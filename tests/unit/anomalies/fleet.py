"""A fleet on paper: readings of vehicles and meters, and the hours that the rules see of them.

Rows are what energy_slices() makes of the readings; readings are what history would answer.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from fleetmeter.anomalies.evaluate import SILENCE_KNOWN, Memory, evaluate, needs
from fleetmeter.anomalies.model import (
    Change,
    Device,
    Hour,
    Kind,
    Known,
    MeterHour,
    MeterPoint,
    Needs,
    Subject,
    VehicleHour,
    VehiclePoint,
)
from fleetmeter.anomalies.rules import Rulebook

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def at(hours: float) -> datetime:
    """So many hours after the start."""
    return START + timedelta(hours=hours)


def vehicle(id_: str) -> Subject:
    return Subject("vehicle", id_)


def meter(id_: str) -> Subject:
    return Subject("meter", id_)


class Fleet:
    """Readings, kept by device."""

    def __init__(self) -> None:
        self.devices: dict[Subject, Device] = {}
        self.vehicles: dict[str, list[tuple[VehiclePoint, str | None]]] = {}
        self.meters: dict[str, list[MeterPoint]] = {}
        self.asked: list[Needs] = []

    def add_vehicle(
        self,
        id_: str,
        site: str | None = None,
        interval_s: int = 60,
        capacity_wh: int | None = None,
    ) -> None:
        self.devices[vehicle(id_)] = Device(vehicle(id_), site, interval_s, capacity_wh)
        self.vehicles[id_] = []

    def add_meter(self, id_: str, site: str | None = None, interval_s: int = 60) -> None:
        self.devices[meter(id_)] = Device(meter(id_), site, interval_s)
        self.meters[id_] = []

    def drives(
        self,
        id_: str,
        hours: tuple[float, float],
        dc_kw: Callable[[float], float] | float = 0.0,
        meter_id: str | None = None,
        soc: Callable[[float], float] | float = 50.0,
        temp_c: Callable[[float], float] | float = 20.0,
        late_s: float = 0.0,
        keeps: Callable[[int], bool] = lambda n: True,
    ) -> None:
        """Readings of a vehicle; functions are of hours after the start."""
        step = self.devices[vehicle(id_)].reporting_interval_s
        for number, time in enumerate(_times(hours, step)):
            if keeps(number):
                when = time + step / 7200
                point = VehiclePoint(
                    at(time) + timedelta(seconds=step + late_s),
                    round(_value(dc_kw, when) * step / 3600 * 1e6),
                    round(_value(soc, when) * 100),
                    round(_value(temp_c, when) * 100),
                )
                self.vehicles[id_].append((point, meter_id))

    def meters_(
        self,
        id_: str,
        hours: tuple[float, float],
        ac_kw: Callable[[float], float] | float = 0.01,
        volts: Callable[[float], float] | float = 230.0,
        keeps: Callable[[int], bool] = lambda n: True,
        late_s: float = 0.0,
        resets: Callable[[int], bool] = lambda n: False,
    ) -> None:
        """Readings of a meter."""
        step = self.devices[meter(id_)].reporting_interval_s
        for number, time in enumerate(_times(hours, step)):
            if keeps(number):
                when = time + step / 7200
                self.meters[id_].append(
                    MeterPoint(
                        at(time) + timedelta(seconds=step + late_s),
                        round(_value(ac_kw, when) * step / 3600 * 1e6),
                        round(_value(volts, when) * 1000),
                        resets(number),
                    )
                )

    def hour(self, number: int, devices: Iterable[Subject] | None = None) -> Hour:
        """The rows of the hour that begins so many hours after the start."""
        starts, ends = at(number), at(number + 1)
        dc: dict[str, dict[str | None, list[VehiclePoint]]] = {}
        for id_, own in self.vehicles.items():
            for point, meter_id in own:
                if starts <= point.time < ends:
                    dc.setdefault(id_, {}).setdefault(meter_id, []).append(point)
        ac = {
            id_: [p for p in points if starts <= p.time < ends]
            for id_, points in self.meters.items()
        }
        ac = {id_: points for id_, points in ac.items() if points}
        hour = Hour(starts, ends, [], [], self.devices)
        for id_, by_meter in sorted(dc.items()):
            for meter_id, points in by_meter.items():
                hour.vehicles.append(self._vehicle_row(starts, id_, meter_id, points, dc, ac))
        for id_, points in sorted(ac.items()):
            hour.meters.append(self._meter_row(starts, id_, points, dc))
        if devices is not None:
            kept = set(devices)
            hour.devices = {s: d for s, d in self.devices.items() if s in kept}
            hour.vehicles = [r for r in hour.vehicles if vehicle(r.vehicle_id) in kept]
            hour.meters = [r for r in hour.meters if meter(r.meter_id) in kept]
            hour.whole_fleet = False
        return hour

    def _covered_s(self, subject: Subject, readings: int) -> int:
        return readings * self.devices[subject].reporting_interval_s

    def _there(
        self, meter_id: str, dc: dict[str, dict[str | None, list[VehiclePoint]]]
    ) -> dict[str, tuple[int, int]]:
        """DC and coverage of vehicles at a meter."""
        return {
            id_: (
                sum(p.energy_mwh for p in by_meter[meter_id]),
                self._covered_s(vehicle(id_), sum(map(len, by_meter.values()))),
            )
            for id_, by_meter in dc.items()
            if meter_id in by_meter
        }

    def _vehicle_row(
        self,
        starts: datetime,
        id_: str,
        meter_id: str | None,
        points: list[VehiclePoint],
        dc: dict[str, dict[str | None, list[VehiclePoint]]],
        ac: dict[str, list[MeterPoint]],
    ) -> VehicleHour:
        energy = sum(p.energy_mwh for p in points)
        share, comparable, covered_ac = None, False, 0
        if meter_id is not None and meter_id in ac:
            there = self._there(meter_id, dc)
            total = sum(taken for taken, _ in there.values())
            metered = sum(p.energy_mwh for p in ac[meter_id])
            share = metered * energy // total if total else 0
            covered_ac = self._covered_s(meter(meter_id), len(ac[meter_id]))
            covers = [covered for _, covered in there.values()]
            comparable = min([*covers, covered_ac]) >= 0.9 * max([*covers, covered_ac])
        return VehicleHour(
            hour=starts,
            vehicle_id=id_,
            meter_id=meter_id,
            dc_mwh=energy,
            ac_mwh=share,
            comparable=comparable,
            covered_dc_s=min(3600, self._covered_s(vehicle(id_), len(points))),
            covered_ac_s=min(3600, covered_ac),
            readings=len(points),
            resets=0,
            soc_bp_min=min(p.soc_bp for p in points),
            soc_bp_max=max(p.soc_bp for p in points),
            battery_temp_cdeg_sum=sum(p.battery_temp_cdeg for p in points),
            battery_temp_cdeg_min=min(p.battery_temp_cdeg for p in points),
            battery_temp_cdeg_max=max(p.battery_temp_cdeg for p in points),
        )

    def _meter_row(
        self,
        starts: datetime,
        id_: str,
        points: list[MeterPoint],
        dc: dict[str, dict[str | None, list[VehiclePoint]]],
    ) -> MeterHour:
        there = self._there(id_, dc)
        taken = sum(energy for energy, _ in there.values())
        return MeterHour(
            hour=starts,
            meter_id=id_,
            unattributed_mwh=0 if taken else sum(p.energy_mwh for p in points),
            covered_dc_s=min([3600, *(covered for _, covered in there.values())]) if there else 0,
            covered_ac_s=min(3600, self._covered_s(meter(id_), len(points))),
            readings=len(points),
            resets=sum(p.reset for p in points),
            voltage_mv_sum=sum(p.voltage_mv for p in points),
            voltage_mv_min=min(p.voltage_mv for p in points),
            voltage_mv_max=max(p.voltage_mv for p in points),
        )

    def known(self, wanted: Needs, ends: datetime) -> Known:
        """What history answers."""
        self.asked.append(wanted)
        known = Known()
        for subject in wanted.last_times:
            times = [t for t in self._times(subject) if ends - SILENCE_KNOWN <= t < ends]
            if times:
                known.last_times[subject] = max(times)
        for (kind, id_), since in wanted.readings.items():
            if kind == "vehicle":
                own = self.vehicles.get(id_, [])
                known.vehicle_readings[id_] = [p for p, _ in own if since <= p.time < ends]
            else:
                points = self.meters.get(id_, [])
                known.meter_readings[id_] = [p for p in points if since <= p.time < ends]
        return known

    def _times(self, subject: Subject) -> Sequence[datetime]:
        if subject.device_kind == "vehicle":
            return [p.time for p, _ in self.vehicles.get(subject.device_id, [])]
        return [p.time for p in self.meters.get(subject.device_id, [])]

    def fold(
        self,
        first: int,
        last: int,
        memories: dict[Subject, Memory] | None = None,
        rulebook: Rulebook | None = None,
        devices: Iterable[Subject] | None = None,
    ) -> list[Change]:
        """Changes of the hours [first, last)."""
        memories = {} if memories is None else memories
        rulebook = rulebook or Rulebook()
        changes: list[Change] = []
        for number in range(first, last):
            hour = self.hour(number, devices)
            known = self.known(needs(hour, memories, rulebook), hour.ends)
            changes += evaluate(hour, known, memories, rulebook).changes
        return changes


def of(kind: Kind, changes: Iterable[Change]) -> list[Change]:
    """Changes of a kind."""
    return [change for change in changes if change.kind == kind]


def between(
    begin: float, end: float, value: float, otherwise: float = 0.0
) -> Callable[[float], float]:
    """A value from one hour to another."""
    return lambda time: value if begin <= time < end else otherwise


def _value(given: Callable[[float], float] | float, time: float) -> float:
    return given(time) if callable(given) else given


def _times(hours: tuple[float, float], step_s: int) -> list[float]:
    begin, end = hours
    count = round((end - begin) * 3600 / step_s)
    return [begin + number * step_s / 3600 for number in range(count)]
