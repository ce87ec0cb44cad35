"""Analytics: where the energy went."""

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency

from fleetmeter.api.parameters import DeviceIdPath, From, To, refuse_unknown_parameters, window
from fleetmeter.api.vehicles import require_vehicle
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.energy.performance import REPORTING_INTERVAL_S, Performance, Sums, summarise


@get("/performance/{vehicle_id:str}", summary="The energy summary of one vehicle")
async def get_performance(
    database: NamedDependency[Database], vehicle_id: DeviceIdPath, from_: From = None, to: To = None
) -> Performance:
    """AC taken, DC delivered, the loss between, and how much of it was measured.

    The last 24 hours by default; any window up to 400 days, exact to the reading at both edges.
    """
    span = window(from_, to)
    async with database.connection() as connection:
        row = await queries.performance(
            connection,
            vehicle_id=vehicle_id,
            start=span.start,
            end=span.end,
            interval_s=REPORTING_INTERVAL_S,
        )
        if not row["readings"]:
            await require_vehicle(connection, vehicle_id)
    return summarise(vehicle_id, span.start, span.end, msgspec.convert(dict(row), Sums))


analytics = Router(
    "/v1/analytics",
    tags=["Analytics"],
    before_request=refuse_unknown_parameters,
    route_handlers=[get_performance],
)
