"""Assignments: which vehicle charges at which meter, and since when."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.assignments import assign, assignments_of
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import OUT_OF_REACH, described
from fleetmeter.http.shared.parameters import (
    Cursor,
    DeviceIdPath,
    Limit,
    Page,
    check_device_id,
    check_time,
    from_time,
    page,
    refuse_unknown_parameters,
)
from fleetmeter.readings.model import DeviceId, Timestamp

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class AssignmentChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The meter that the vehicle charges at from `since` on."""

    meter_id: Annotated[
        DeviceId | None, Meta(description="Null unassigns the vehicle.", examples=["MTR-1"])
    ]
    since: Annotated[
        Timestamp | None,
        Meta(description="Now by default; if it is in the past, stored readings are updated."),
    ] = None


class Assignment(msgspec.Struct, rename="camel", kw_only=True):
    """The meter that a vehicle charges at for a span of time."""

    vehicle_id: str
    meter_id: str | None
    since: Annotated[datetime, Meta(description="Inclusive.")]
    until: Annotated[
        datetime | None,
        Meta(description="Exclusive: when the next assignment begins; null while in force."),
    ]


class ListedAssignment(Assignment, kw_only=True):
    """An assignment, and what it follows from."""

    transaction: Annotated[
        int | None,
        Meta(
            description="Number of the charging transaction that began or ended then; null if "
            "somebody assigned the vehicle."
        ),
    ]


class AssignmentChanged(Assignment, kw_only=True):
    """The assignment as recorded."""

    restamped: Annotated[
        int, Meta(description="Number of stored readings whose meter changed; rollups follow.")
    ]


@put(
    "/{vehicle_id:str}/meter",
    summary="Assign a vehicle to a meter",
    operation_class=described({"403": OUT_OF_REACH}),
    opt={SCOPE: "operate"},
)
async def assign_meter(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    vehicle_id: DeviceIdPath,
    data: JSONBody[AssignmentChange],
) -> AssignmentChanged:
    """The assignment holds until the next one. Sending it again changes nothing."""
    check_device_id("vehicle_id", vehicle_id)
    if data.meter_id is not None:
        check_device_id("$.meterId", data.meter_id)
    if data.since is not None:
        check_time("$.since", data.since)
    assigned = await assign(database, vehicle_id, data.meter_id, data.since, reach)
    return AssignmentChanged(
        vehicle_id=vehicle_id,
        meter_id=data.meter_id,
        since=assigned.since,
        until=assigned.until,
        restamped=assigned.restamped,
    )


@get("/{vehicle_id:str}/assignments", summary="List a vehicle's assignments")
async def list_assignments(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    vehicle_id: DeviceIdPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ListedAssignment]:
    """Lists where the vehicle charged and until when, oldest first."""
    async with database.connection() as connection:
        found = await assignments_of(
            connection, vehicle_id, from_time(cursor, _BEGINNING), limit + 1, reach
        )
    items = [ListedAssignment(vehicle_id=vehicle_id, **each._asdict()) for each in found]
    return page(items, limit, key=lambda item: item.since + timedelta(microseconds=1))


assignments = Router(
    "/v1/vehicles",
    tags=["Assignments"],
    opt={SCOPE: "read"},
    before_request=refuse_unknown_parameters,
    route_handlers=[assign_meter, list_assignments],
)
