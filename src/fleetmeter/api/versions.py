"""History with every version of a reading: what corrections replaced, by whom, when and why."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from asyncpg import Record
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.api.parameters import Page, page
from fleetmeter.readings.model import MeterReading, VehicleReading
from fleetmeter.readings.stored import meter_fields, vehicle_fields

Versions = Annotated[
    Literal["all"] | None,
    QueryParameter(
        required=False,
        description="`all`: with each reading, the versions that corrections replaced; a page may "
        "be shorter than `limit` for it.",
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


MOST_VERSIONS = 1000
"""Of a page: it ends before the readings that would bring more."""

T = TypeVar("T", StoredVehicleReading, StoredMeterReading)


async def vehicle_readings(
    rows: Sequence[Record], limit: int, replaced: Callable[..., AsyncIterator[Record]] | None
) -> Page[StoredVehicleReading]:
    """A page of the rows, with the versions that `replaced(start=…, end=…, most=…)` gives."""
    readings = [StoredVehicleReading(**vehicle_fields(row)) for row in rows]
    return await _page(readings, limit, replaced, VehicleVersion, vehicle_fields)


async def meter_readings(
    rows: Sequence[Record], limit: int, replaced: Callable[..., AsyncIterator[Record]] | None
) -> Page[StoredMeterReading]:
    """A page of the rows, with the versions that `replaced(start=…, end=…, most=…)` gives."""
    readings = [StoredMeterReading(**meter_fields(row)) for row in rows]
    return await _page(readings, limit, replaced, MeterVersion, meter_fields)


async def _page(
    readings: list[T],
    limit: int,
    replaced: Callable[..., AsyncIterator[Record]] | None,
    kind: type[msgspec.Struct],
    fields: Callable[[Record], dict[str, Any]],
) -> Page[T]:
    if replaced is not None and readings:
        versions: dict[datetime, list[Any]] = defaultdict(list)
        count = 0
        window = {"start": readings[0].timestamp, "end": readings[-1].timestamp}
        async for row in replaced(**window, most=MOST_VERSIONS + 1):
            count += 1
            trace = {name: row[name] for name in _TRACE}
            versions[row["time"]].append(kind(**fields(row), **trace))
        if count > MOST_VERSIONS:  # the last one's may not be all there
            last = max(versions)
            limit = min(limit, sum(reading.timestamp < last for reading in readings))
        for reading in readings:
            reading.versions = versions[reading.timestamp]
    return page(readings, limit, key=lambda item: item.timestamp + timedelta(microseconds=1))


_TRACE = ("version", "replaced_at", "replaced_by", "reason")
