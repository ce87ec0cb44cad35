"""Endpoints that all kinds of device have: live state, settings, history, energy by bucket."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from litestar import Router, delete, get, patch
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import UNSET

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.rules.silence.pauses import HABIT
from fleetmeter.database.pool import Database
from fleetmeter.devices import state as devices
from fleetmeter.devices.history import history, history_with_versions
from fleetmeter.devices.settings import CHANGES, SETTINGS_OF, STATES_WITH_SETTINGS, set_device
from fleetmeter.energy.answers import Part
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import OUT_OF_REACH, described
from fleetmeter.http.shared.parameters import (
    Bucket,
    Cursor,
    From,
    Limit,
    Page,
    TimeZone,
    To,
    after_id,
    check_device_id,
    check_printable,
    check_site,
    from_time,
    page,
    refuse_unknown_parameters,
    time_zone,
    window,
    zone_of_days,
)
from fleetmeter.http.shared.versions import STORED, Versions, readings_page, versions_page
from fleetmeter.readings.kinds import DeviceKind
from fleetmeter.readings.stored import attribute


class Series(NamedTuple):
    """A kind's energy by quarter hour, hour or day."""

    answer: type[Any]
    """Type of one bucket in the answer; it has `to`, its end."""

    ask: Callable[..., Awaitable[Sequence[Part[Any]]]]
    """Returns the sums, like `energy.answers.vehicle_series`."""

    show: Callable[[Part[Any]], Any]
    """Turns the sums of a bucket into the answer."""


def device_router(
    kind: DeviceKind,
    series: Series,
    device_id: Callable[[str], str],
    own: Sequence[HTTPRouteHandler],
) -> Router:
    """Build the router of a kind: what all kinds have, and the `own` handlers of this one.

    `device_id` returns the id in a path; its parameter is named as in the path.
    """
    return Router(
        f"/v1/{kind.plural}",
        tags=[kind.plural.title()],
        opt={SCOPE: "read"},
        before_request=refuse_unknown_parameters,
        dependencies={"device_id": Provide(device_id, sync_to_thread=False)},
        route_handlers=[*_handlers(kind), _energy_handler(kind, series), *own],
    )


def _handlers(kind: DeviceKind) -> list[HTTPRouteHandler]:
    """Return the handlers of state, settings and history."""
    name, id_name = kind.name, attribute(kind.id_field)
    path = f"/{{{id_name}:str}}"
    operation = partial(_operation, kind)

    if TYPE_CHECKING:
        state: TypeAlias = msgspec.Struct
        settings: TypeAlias = msgspec.Struct
        change: TypeAlias = msgspec.Struct
        stored: TypeAlias = msgspec.Struct
    else:
        state, settings = STATES_WITH_SETTINGS[name], SETTINGS_OF[name]
        change, stored = CHANGES[name], STORED[name]

    @get(
        "/",
        summary=f"List the live state of all {kind.plural}",
        operation_id=operation("V1{names}List{names}"),
    )
    async def list_devices(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[state]:
        """Devices are sorted by id; pages stay stable while devices come and go."""
        async with database.connection() as connection:
            states = await devices.live_states(connection, kind, after_id(cursor), limit + 1, reach)
        return page(states, limit, key=lambda item: getattr(item, id_name))

    @get(
        path,
        summary=f"Get a {name}'s live state",
        operation_id=operation("V1{names}{id}Get{name}"),
    )
    async def get_device(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        device_id: NamedDependency[str],
    ) -> state:
        """Shows the newest reading and the settings."""
        async with database.connection() as connection:
            return await devices.live_state(connection, kind, device_id, HABIT, reach)

    @patch(
        path,
        summary=f"Change a {name}'s settings",
        operation_id=operation("V1{names}{id}Patch{name}"),
        operation_class=described({"403": OUT_OF_REACH}),
        opt={SCOPE: "operate"},
    )
    async def patch_device(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        device_id: NamedDependency[str],
        data: JSONBody[change],
    ) -> settings:
        """Absent fields stay, null unsets. Returns all settings."""
        check_device_id(id_name, device_id)
        changes = _checked(data)
        return await set_device(database, kind, device_id, changes, reach)

    @delete(
        path,
        summary=f"Remove a {name} from live state and lists",
        operation_id=operation("V1{names}{id}Remove{name}"),
        opt={SCOPE: "operate"},
    )
    async def remove_device(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        device_id: NamedDependency[str],
    ) -> None:
        """Its history and settings stay; it comes back with its next reading."""
        await devices.remove_device(database, kind, device_id, reach)

    @get(
        f"{path}/readings",
        summary=f"List a {name}'s readings",
        operation_id=operation("V1{names}{id}ReadingsList{name}Readings"),
    )
    async def list_readings(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        device_id: NamedDependency[str],
        from_: From = None,
        to: To = None,
        versions: Versions = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[stored]:
        """Lists every stored reading of the window, oldest first."""
        span = window(from_, to)
        start = from_time(cursor, span.start)
        async with database.connection() as connection:
            if versions:
                readings, complete = await history_with_versions(
                    connection, kind, device_id, start, span.end, limit, reach
                )
                return versions_page(kind, readings, complete)
            readings = await history(connection, kind, device_id, start, span.end, limit + 1, reach)
            return readings_page(kind, readings, limit)

    return [list_devices, get_device, patch_device, remove_device, list_readings]


def _energy_handler(kind: DeviceKind, series: Series) -> HTTPRouteHandler:
    if TYPE_CHECKING:
        energy: TypeAlias = Any
    else:
        energy = series.answer

    @get(
        f"/{{{attribute(kind.id_field)}:str}}/energy",
        summary=f"List a {kind.name}'s energy by quarter hour, hour or day",
        operation_id=_operation(kind, "V1{names}{id}EnergyList{name}Energy"),
    )
    async def list_energy(
        database: NamedDependency[Database],
        reach: NamedDependency[Reach],
        device_id: NamedDependency[str],
        from_: From = None,
        to: To = None,
        bucket: Bucket = "hour",
        tz: TimeZone = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[energy]:
        """The series is exact at both edges; empty buckets are left out."""
        span = window(from_, to)
        start = from_time(cursor, span.start)
        zone = zone_of_days(bucket, tz)
        async with database.answering() as connection:
            parts = await series.ask(
                connection, device_id, start, span.end, bucket, zone, limit + 1, reach
            )
        return page([series.show(part) for part in parts], limit, key=lambda item: item.to)

    return list_energy


def _operation(kind: DeviceKind, text: str) -> str:
    """Return the operation id that a handler written for this kind alone would have."""
    titles = {
        "name": kind.name.title(),
        "names": kind.plural.title(),
        "id": attribute(kind.id_field).title(),
    }
    return text.format(**titles).replace("_", "")


def _checked(data: msgspec.Struct) -> dict[str, Any]:
    """Return the fields to change. Raises 400 for what their types cannot check."""
    changes = {
        name: value
        for name in data.__struct_fields__
        if (value := getattr(data, name)) is not UNSET
    }
    if (zone := changes.get("time_zone")) is not None:
        time_zone("$.timeZone", zone)
    if (site := changes.get("site")) is not None:
        check_site("$.site", site)
    check_printable("$.label", changes.get("label"))
    return changes
