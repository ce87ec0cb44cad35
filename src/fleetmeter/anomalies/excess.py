"""Where an hour has more DC than AC, and whose readings may say why."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from fleetmeter.anomalies.evidence import tolerance_mwh
from fleetmeter.anomalies.memory import Suspicion
from fleetmeter.anomalies.model import Kind, Subject, VehicleHour
from fleetmeter.anomalies.observed import Observed
from fleetmeter.anomalies.parameters import DcExceedsAc
from fleetmeter.anomalies.rules import Rulebook
from fleetmeter.anomalies.turn import interval_s

KIND: Kind = "dc_exceeds_ac"

_EFFICIENCY = 0.9
"""Assumed of vehicles that charge at a meter, to see what is left for another."""

_LEFT_MWH = 100_000
"""Less is nobody's charging."""

_LONG_S = 1800
"""Energy of longer than the readings of an hour tell: of a register, since one before it."""

_SURPLUS = (0.9, 2.0)
"""AC for a vehicle's DC at the meter at which it may charge in truth: between these times as
much."""


class Group(NamedTuple):
    """A meter and the vehicles there, to be explained by readings."""

    meter_id: str
    since: datetime
    """From when vehicles' readings count."""

    begins: dict[str, datetime]
    """By vehicle: when its session at the meter began."""

    suspects: list[str]
    """Vehicles that are not known to exceed."""

    candidates: list[str]
    """Other meters."""

    takers: dict[str, list[str]]
    """By other meter: vehicles that charge there."""

    dc_mwh: int
    ac_mwh: int


def _parameters(observed: Observed, rulebook: Rulebook, vehicle_id: str) -> DcExceedsAc:
    subject = Subject("vehicle", vehicle_id)
    device = observed.hour.devices.get(subject)
    return cast(DcExceedsAc, rulebook.of(KIND, subject, device.site if device else None))


def exceeding(observed: Observed, rulebook: Rulebook) -> dict[str, int]:
    """Meters at which more DC was delivered in this hour than AC was metered, and how much; mWh."""
    found = {}
    for meter_id, rows in observed.at_meter.items():
        meter = observed.meters.get(meter_id)
        if meter is None or not meter.readings:  # when its energy came is not known
            continue
        dc_mwh = sum(row.dc_mwh for row in rows)
        excess = dc_mwh - meter.unattributed_mwh - sum(row.ac_mwh or 0 for row in rows)
        if excess <= 0 or any(_is_of_before(observed, row) for row in rows):
            continue
        parameters = _parameters(observed, rulebook, max(rows, key=lambda r: r.dc_mwh).vehicle_id)
        interval = _longest_interval_s(observed, meter_id, rows)
        if meter.covered_ac_s >= parameters.coverage * 3600 and _is_much(
            excess, dc_mwh, interval, parameters
        ):
            found[meter_id] = excess
    return found


def _is_of_before(observed: Observed, row: VehicleHour) -> bool:
    """Whether a reading tells the energy of a time in which the vehicle reported nothing."""
    interval = interval_s(observed.hour, Subject("vehicle", row.vehicle_id))
    return row.covered_dc_s > row.readings * interval + _LONG_S


def _is_much(excess: int, dc_mwh: int, interval: int, parameters: DcExceedsAc) -> bool:
    """What the readings of a longer interval have at the edges of the hour may be missing."""
    edges = dc_mwh * interval / 3600
    return excess > max(tolerance_mwh(parameters, dc_mwh), edges)


def _longest_interval_s(observed: Observed, meter_id: str, rows: Sequence[VehicleHour]) -> int:
    """Of a meter and the vehicles there."""
    hour = observed.hour
    of_vehicles = [interval_s(hour, Subject("vehicle", row.vehicle_id)) for row in rows]
    return max(interval_s(hour, Subject("meter", meter_id)), *of_vehicles)


def groups(observed: Observed, rulebook: Rulebook) -> Iterator[Group]:
    """Meters whose excess is not explained by vehicles that are known to exceed, and those that
    were not sure an hour ago."""
    excesses = exceeding(observed, rulebook)
    suspicions = {subject.device_id: memory.suspicion for subject, memory in observed.suspected}
    if not excesses and not suspicions:
        return
    metered = {other: observed.metered_mwh(other) for other in observed.at_meter}
    surpluses = _surpluses(observed, metered)
    for meter_id in sorted(excesses.keys() | suspicions.keys()):
        suspicion = suspicions.get(meter_id)
        rows = observed.at_meter.get(meter_id, [])
        known = {row.vehicle_id for row in rows if exceeds(observed, row.vehicle_id)}
        if suspicion is None:
            dc_mwh = sum(row.dc_mwh for row in rows)
            of_known = sum(row.dc_mwh for row in rows if row.vehicle_id in known)
            left = excesses[meter_id] - of_known
            biggest = max(rows, key=lambda r: r.dc_mwh).vehicle_id
            parameters = _parameters(observed, rulebook, biggest)
            interval = _longest_interval_s(observed, meter_id, rows)
            if not _is_much(left, dc_mwh - of_known, interval, parameters):
                continue
        ids = sorted(
            {row.vehicle_id for row in rows} | set(suspicion.vehicles if suspicion else ())
        )
        suspects = [
            id_
            for id_ in ids
            if _parameters(observed, rulebook, id_).enabled and not exceeds(observed, id_)
        ]
        if not suspects:
            continue
        begins = {id_: _begin(observed, id_, meter_id, suspicion) for id_ in ids}
        for id_ in suspects:
            memory = observed.memories.get(Subject("vehicle", id_))
            if memory and memory.session and memory.session.meter == meter_id:
                for other in memory.session.others:
                    begins.setdefault(other, begins[id_])
        yield Group(
            meter_id,
            min(begins.values()),
            begins,
            suspects,
            candidates := _candidates(
                observed, rulebook, meter_id, suspects, surpluses, metered, suspicion
            ),
            {
                other: [row.vehicle_id for row in observed.at_meter[other]]
                for other in candidates
                if other in observed.at_meter
            },
            observed.delivered_mwh(meter_id),
            observed.metered_mwh(meter_id),
        )


def exceeds(observed: Observed, vehicle_id: str) -> bool:
    """Whether a vehicle is known to."""
    return Subject("vehicle", vehicle_id) in observed.opened.get(KIND, ())


def _begin(
    observed: Observed,
    vehicle_id: str,
    meter_id: str,
    suspicion: Suspicion | None,
) -> datetime:
    memory = observed.memories.get(Subject("vehicle", vehicle_id))
    if memory and memory.session and memory.session.meter == meter_id:
        return memory.session.hours[0].hour
    return suspicion.since if suspicion else observed.hour.starts


def _surpluses(observed: Observed, metered: Mapping[str, int]) -> dict[str, float]:
    """By meter: AC that nobody there took by their own account, mWh."""
    found = {
        row.meter_id: float(row.unattributed_mwh)
        for row in observed.hour.meters
        if row.unattributed_mwh > _LEFT_MWH
    }
    for meter_id, mwh in metered.items():
        left = mwh - observed.delivered_mwh(meter_id) / _EFFICIENCY
        if left > _LEFT_MWH:
            found[meter_id] = left
    return found


def _candidates(
    observed: Observed,
    rulebook: Rulebook,
    meter_id: str,
    suspects: Sequence[str],
    surpluses: Mapping[str, float],
    metered: Mapping[str, int],
    suspicion: Suspicion | None,
) -> list[str]:
    """Other meters that may feed one of the vehicles, the closest by energy of this hour: first of
    energy that nobody there claims, then of all, since two vehicles may have changed places."""
    unclaimed: dict[str, float] = {}
    claimed: dict[str, float] = {}
    for row in observed.at_meter.get(meter_id, ()):
        if row.vehicle_id in suspects:
            _close(unclaimed, surpluses, row.dc_mwh)
            _close(claimed, metered, row.dc_mwh)
    number = _parameters(observed, rulebook, suspects[0]).other_meters
    before = suspicion.candidates if suspicion else []
    closest = [
        other
        for found in (unclaimed, claimed)
        for other in sorted(found, key=lambda each: (found[each], each))
        if other != meter_id
    ]
    return list(dict.fromkeys([*before, *closest]))[:number]


def _close(
    found: dict[str, float], energies: Mapping[str, float] | Mapping[str, int], dc_mwh: int
) -> None:
    """Add meters whose energy may be a vehicle's, and how far it is off what is usual."""
    least, most = _SURPLUS
    for other, mwh in energies.items():
        if least * dc_mwh <= mwh <= most * dc_mwh:
            off = abs(mwh * _EFFICIENCY / dc_mwh - 1)
            found[other] = min(off, found.get(other, off))
