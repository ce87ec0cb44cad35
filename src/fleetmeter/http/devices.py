"""What every kind of device has: live state, settings and history."""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from litestar import delete, get, patch
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import UNSET

from fleetmeter.anomalies.rules.silence.pauses import HABIT
from fleetmeter.database.pool import Database
from fleetmeter.devices import state as devices
from fleetmeter.devices.history import history, history_with_versions
from fleetmeter.devices.settings import CHANGES, SETTINGS_OF, STATES_WITH_SETTINGS, set_device
from fleetmeter.http.shared.parameters import (
    Cursor,
    From,
    Limit,
    Page,
    To,
    after_id,
    check_device_id,
    check_printable,
    check_site,
    from_time,
    page,
    time_zone,
    window,
)
from fleetmeter.http.shared.versions import STORED, Versions, readings_page, versions_page
from fleetmeter.readings.kinds import DeviceKind
from fleetmeter.readings.stored import attribute


def device_handlers(kind: DeviceKind) -> list[HTTPRouteHandler]:
    """Return the handlers of a kind; the id of its paths is the dependency `device_id`."""
    name, id_name = kind.name, attribute(kind.id_field)
    path = f"/{{{id_name}:str}}"
    titles = {"name": name.title(), "names": kind.plural.title(), "id": id_name.title()}

    def operation(text: str) -> str:
        """Return an operation's id as it would be of handlers written out for the kind."""
        return text.format(**titles).replace("_", "")

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
        summary=f"Live state of all {kind.plural}, in the order of their ids",
        operation_id=operation("V1{names}List{names}"),
    )
    async def list_devices(
        database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
    ) -> Page[state]:
        """Keyset-paged: stable while devices come and go."""
        async with database.connection() as connection:
            states = await devices.live_states(connection, kind, after_id(cursor), limit + 1)
        return page(states, limit, key=lambda item: getattr(item, id_name))

    @get(
        path,
        summary=f"Live state of one {name}",
        operation_id=operation("V1{names}{id}Get{name}"),
    )
    async def get_device(
        database: NamedDependency[Database], device_id: NamedDependency[str]
    ) -> state:
        """Its newest reading, and what is set for it."""
        async with database.connection() as connection:
            return await devices.live_state(connection, kind, device_id, HABIT)

    @patch(
        path,
        summary=f"Set what is known of a {name}",
        operation_id=operation("V1{names}{id}Patch{name}"),
    )
    async def patch_device(
        database: NamedDependency[Database],
        device_id: NamedDependency[str],
        data: JSONBody[change],
    ) -> settings:
        """What is absent stays, null unsets. Answers with all that is set."""
        check_device_id(id_name, device_id)
        changes = _checked(data)
        return await set_device(database, kind, device_id, changes)

    @delete(
        path,
        summary=f"Take a {name} out of live state and lists",
        operation_id=operation("V1{names}{id}Remove{name}"),
    )
    async def remove_device(
        database: NamedDependency[Database], device_id: NamedDependency[str]
    ) -> None:
        """Its history and what is set for it stay; it comes back with its next reading."""
        await devices.remove_device(database, kind, device_id)

    @get(
        f"{path}/readings",
        summary=f"A {name}'s history, oldest first",
        operation_id=operation("V1{names}{id}ReadingsList{name}Readings"),
    )
    async def list_readings(
        database: NamedDependency[Database],
        device_id: NamedDependency[str],
        from_: From = None,
        to: To = None,
        versions: Versions = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[stored]:
        """Every stored reading of the window."""
        span = window(from_, to)
        start = from_time(cursor, span.start)
        async with database.connection() as connection:
            if versions:
                readings, complete = await history_with_versions(
                    connection, kind, device_id, start, span.end, limit
                )
                return versions_page(kind, readings, complete)
            readings = await history(connection, kind, device_id, start, span.end, limit + 1)
            return readings_page(kind, readings, limit)

    return [list_devices, get_device, patch_device, remove_device, list_readings]


def _checked(data: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that are to change. Raises 400 for what the types do not see."""
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
