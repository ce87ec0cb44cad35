"""History with every version of a reading: what corrections replaced, by whom, when and why."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from asyncpg import Record
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.readings.model import MeterReading, VehicleReading
from fleetmeter.readings.stored import meter_fields, vehicle_fields

Versions = Annotated[
    Literal["all"] | None,
    QueryParameter(
        required=False,
        description="`all`: with each reading, the versions that corrections replaced.",
    ),
]

_At = Annotated[datetime, Meta(description="When the correction replaced it.")]
_By = Annotated[str, Meta(description="Who corrected it.")]
_Why = Annotated[str, Meta(description="Why it was corrected.")]
_Number = Annotated[int, Meta(description="1 is what the device sent.")]


class VehicleVersion(VehicleReading, kw_only=True):
    """What a vehicle's reading was until a correction."""

    version: _Number
    replaced_at: _At
    replaced_by: _By
    reason: _Why


class MeterVersion(MeterReading, kw_only=True):
    """What a meter's reading was until a correction."""

    version: _Number
    replaced_at: _At
    replaced_by: _By
    reason: _Why


class StoredVehicleReading(VehicleReading, kw_only=True):
    """A vehicle's reading as it stands, and with `versions=all` what it was before."""

    versions: list[VehicleVersion] | UnsetType = UNSET


class StoredMeterReading(MeterReading, kw_only=True):
    """A meter's reading as it stands, and with `versions=all` what it was before."""

    versions: list[MeterVersion] | UnsetType = UNSET


T = TypeVar("T", StoredVehicleReading, StoredMeterReading)


async def vehicle_readings(
    rows: Sequence[Record], replaced: Callable[..., AsyncIterator[Record]] | None
) -> list[StoredVehicleReading]:
    """The rows, with the versions that `replaced(start=…, end=…)` gives, if any are asked for."""
    readings = [StoredVehicleReading(**vehicle_fields(row)) for row in rows]
    return await _with_versions(readings, replaced, VehicleVersion, vehicle_fields)


async def meter_readings(
    rows: Sequence[Record], replaced: Callable[..., AsyncIterator[Record]] | None
) -> list[StoredMeterReading]:
    """The rows, with the versions that `replaced(start=…, end=…)` gives, if any are asked for."""
    readings = [StoredMeterReading(**meter_fields(row)) for row in rows]
    return await _with_versions(readings, replaced, MeterVersion, meter_fields)


async def _with_versions(
    readings: list[T],
    replaced: Callable[..., AsyncIterator[Record]] | None,
    kind: type[msgspec.Struct],
    fields: Callable[[Record], dict[str, Any]],
) -> list[T]:
    if replaced is None or not readings:
        return readings
    versions: dict[datetime, list[Any]] = defaultdict(list)
    async for row in replaced(start=readings[0].timestamp, end=readings[-1].timestamp):
        trace = {name: row[name] for name in ("version", "replaced_at", "replaced_by", "reason")}
        versions[row["time"]].append(kind(**fields(row), **trace))
    for reading in readings:
        reading.versions = versions[reading.timestamp]
    return readings
