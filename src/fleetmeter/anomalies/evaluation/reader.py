"""Reads the rules' input from the database: devices, hours, readings, clocks."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple, cast

from asyncpg import Record

from fleetmeter.anomalies.model import (
    ClockSample,
    Device,
    Falls,
    Hour,
    MeterHour,
    Reports,
    Subject,
    SubjectKind,
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
from fleetmeter.anomalies.rules.silence.watch import SILENCE_KNOWN
from fleetmeter.database.pool import LONG_S, Connection
from fleetmeter.database.queries import RosterRow
from fleetmeter.database.sql import queries
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import MICROSECOND

HOUR = timedelta(hours=1)

_PHASES = [
    (f"L{n}", *(f"voltage_l{n}_mv_{part}" for part in ("count", "sum", "min", "max")))
    for n in (1, 2, 3)
]
"""Each phase, and the columns of its voltage."""


class Around(NamedTuple):
    """Late devices, and those whose hours change with them."""

    changed: set[Subject]
    """Devices whose hours change: vehicles and meters that share energy with them."""

    vehicle_ids: list[str]
    meter_ids: list[str]
    """Meters that must be read so that those hours are complete."""


def floor_hour(time: datetime) -> datetime:
    """Return the start of the UTC hour that contains a time."""
    return time.replace(minute=0, second=0, microsecond=0)


def hour_of(time: datetime) -> datetime:
    """Return the start of a reading's hour: a reading on the hour belongs to the hour before."""
    return floor_hour(time - MICROSECOND)


async def roster(connection: Connection) -> dict[Subject, Device]:
    """Return the devices that have not been removed."""
    devices = (_device(row) async for row in queries.roster(connection))
    return {device.subject: device async for device in devices}


async def around(connection: Connection, late: set[Subject], since: datetime) -> Around:
    """Find the devices that change with late ones, through energy shared since then."""
    found = await _around(connection, late)
    rows = queries.charging_elsewhere(connection, meter_ids=found.meter_ids, since=since)
    elsewhere = {Subject("vehicle", row["device_id"]) async for row in rows}
    return await _around(connection, late | elsewhere) if elsewhere - found.changed else found


async def _around(connection: Connection, late: Collection[Subject]) -> Around:
    row = await queries.around_late_devices(
        connection, vehicle_ids=_ids("vehicle", late), meter_ids=_ids("meter", late)
    )
    return Around(
        {Subject("vehicle", id_) for id_ in row["changed_vehicle_ids"]}
        | {Subject("meter", id_) for id_ in row["changed_meter_ids"]},
        row["vehicle_ids"],
        row["meter_ids"],
    )


async def hours(
    connection: Connection,
    start: datetime,
    end: datetime,
    devices: dict[Subject, Device],
    vehicle_ids: list[str] | None = None,
    meter_ids: list[str] | None = None,
) -> list[Hour]:
    """Return each whole hour of (start, end], of `devices`: all that there are, or of those named.

    Those must be named with all that share meters with them.
    """
    # of a large fleet, or of devices that report every few seconds, it may take long
    rows = await connection.fetch(
        queries.observed_hours.sql, vehicle_ids, meter_ids, start, end, timeout=LONG_S
    )
    is_fleet = vehicle_ids is None
    found = await asyncio.to_thread(_hours, start, end, devices, is_fleet, rows)
    by_start = {hour.starts: hour for hour in found}
    # of all hours at once: to ask hour by hour takes longer than the rules do
    fallen = queries.register_falls(
        connection, vehicle_ids=vehicle_ids, meter_ids=meter_ids, start=start, end=end
    )
    async for starts, kind, id_, *counts in fallen:
        by_start[starts].falls[Subject(kind, id_)] = Falls(*counts)
    return found


async def answers(connection: Connection, needs: Needs, end: datetime) -> Answers:
    """Return the answer to what the rules need to know of the time up to the end of an hour."""
    found = Answers()
    since = end - SILENCE_KNOWN
    for kind in KINDS:
        if ids := _ids(kind.name, needs.last_times):
            newest = queries.newest_times(
                connection, kind=kind.name, ids=ids, since=since, until=end
            )
            async for row in newest:
                found.last_times[Subject(kind.name, row["id"])] = row["time"]
    if ids := _ids("vehicle", needs.readings):
        starts = [needs.readings[Subject("vehicle", id_)] for id_ in ids]
        found.vehicle_readings = {id_: [] for id_ in ids}
        async for id_, *values in queries.vehicle_points(
            connection, ids=ids, starts=starts, end=end
        ):
            found.vehicle_readings[id_].append(VehiclePoint(*values))
    if ids := _ids("meter", needs.readings):
        starts = [needs.readings[Subject("meter", id_)] for id_ in ids]
        found.meter_readings = {id_: [] for id_ in ids}
        async for (
            id_,
            time,
            energy_mwh,
            span_ms,
            voltage_mv,
            reset,
            *phases,
        ) in queries.meter_points(connection, ids=ids, starts=starts, end=end):
            point = MeterPoint(time, energy_mwh, span_ms, voltage_mv, reset, tuple(phases))
            found.meter_readings[id_].append(point)
    for kind in KINDS:
        if ids := _ids(kind.name, needs.peaks):
            peaks = [needs.peaks[Subject(kind.name, id_)] for id_ in ids]
            above = queries.peaks(
                connection,
                kind=kind.name,
                ids=ids,
                starts=[peak.since for peak in peaks],
                limits_w=[peak.limit_w for peak in peaks],
                end=end,
            )
            async for id_, *values in above:
                found.peaks.setdefault(Subject(kind.name, id_), []).append(PeakPoint(*values))
    return found


async def clock_samples(
    connection: Connection,
    smallest_s: tuple[float, float],
    since: datetime,
    watched: Collection[Subject],
) -> list[ClockSample]:
    """Read clocks of devices that reported since then and may be wrong, and of `watched` ones.

    `smallest_s`: the smallest skew behind and ahead that is wrong, seconds.
    """
    behind_s, ahead_s = smallest_s
    return [
        ClockSample(_device(row), row["time"], row["last_seen"])
        async for row in queries.clock_samples(
            connection,
            behind_s=behind_s,
            ahead_s=ahead_s,
            since=since,
            vehicle_ids=_ids("vehicle", watched),
            meter_ids=_ids("meter", watched),
        )
    ]


def _ids(device_kind: str, subjects: Iterable[Subject]) -> list[str]:
    return sorted(subject.device_id for subject in subjects if subject.device_kind == device_kind)


def _device(row: RosterRow) -> Device:
    return Device(
        Subject(cast(SubjectKind, row["kind"]), row["id"]),
        row["site"],
        row["reporting_interval_s"],
        row["battery_capacity_wh"],
        row["meter_id"],
        row["rated_power_w"],
        row["role"],
        cast(Reports | None, row["reports"]),
        bool(row["counts_sessions"]),
        row["time"],
        row["last_seen"],
    )


def _hours(
    start: datetime,
    end: datetime,
    devices: dict[Subject, Device],
    is_fleet: bool,
    rows: Iterable[Record],
) -> list[Hour]:
    found = [
        Hour(start + n * HOUR, start + (n + 1) * HOUR, [], [], devices, is_fleet)
        for n in range((end - start) // HOUR)
    ]
    by_start = {hour.starts: hour for hour in found}
    for row in rows:
        hour = by_start[row["hour"]]
        if row["vehicle_id"] is None:
            hour.meters.append(_meter_hour(row))
        else:
            hour.vehicles.append(_vehicle_hour(row))
    for hour in found:
        # in one order, however they were read
        hour.vehicles.sort(key=lambda each: (each.vehicle_id, each.meter_id or ""))
        hour.meters.sort(key=attrgetter("meter_id"))
    return found


def _vehicle_hour(row: Record) -> VehicleHour:
    return VehicleHour(
        hour=row["hour"],
        vehicle_id=row["vehicle_id"],
        meter_id=row["meter_id"],
        dc_mwh=row["dc_mwh"],
        ac_mwh=row["ac_mwh"],
        comparable=row["comparable"],
        covered_dc_s=row["covered_dc_s"],
        covered_ac_s=row["covered_ac_s"],
        readings=row["readings"],
        resets=row["resets"],
        soc_bp_min=row["soc_bp_min"],
        soc_bp_max=row["soc_bp_max"],
        battery_temp_cdeg_count=row["battery_temp_cdeg_count"],
        battery_temp_cdeg_sum=row["battery_temp_cdeg_sum"],
        battery_temp_cdeg_min=row["battery_temp_cdeg_min"],
        battery_temp_cdeg_max=row["battery_temp_cdeg_max"],
    )


def _meter_hour(row: Record) -> MeterHour:
    return MeterHour(
        hour=row["hour"],
        meter_id=row["meter_id"],
        unattributed_mwh=row["ac_mwh"],
        covered_dc_s=row["covered_dc_s"],
        covered_ac_s=row["covered_ac_s"],
        readings=row["readings"],
        resets=row["resets"],
        voltage_mv_count=row["voltage_mv_count"],
        voltage_mv_sum=row["voltage_mv_sum"],
        voltage_mv_min=row["voltage_mv_min"],
        voltage_mv_max=row["voltage_mv_max"],
        phases=tuple(
            voltage
            for phase, count, *others in _PHASES
            if row[count]  # most meters measure one voltage
            for voltage in Voltage.measured(phase, row[count], *(row[name] for name in others))
        ),
    )
