"""What every kind of device has: live state, settings and history."""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from asyncpg import Record
from litestar import delete, get, patch
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import UNSET

from fleetmeter.anomalies.rules.silence.pauses import HABIT
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.devices.settings import (
    CHANGES,
    SETTINGS_OF,
    STATES_WITH_SETTINGS,
    contradicts,
    device_state,
    set_device,
)
from fleetmeter.http.shared.existing import require_device
from fleetmeter.http.shared.parameters import (
    Cursor,
    From,
    Limit,
    Page,
    To,
    Window,
    after_id,
    check_device_id,
    check_printable,
    check_site,
    from_time,
    page,
    time_zone,
    window,
)
from fleetmeter.http.shared.problems import not_found
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
            rows = [
                row
                async for row in queries.devices(
                    connection,
                    kind=name,
                    after=after_id(cursor),
                    last=None,
                    since=None,
                    limit=limit + 1,
                )
            ]
        states = [device_state(kind, row) for row in rows]
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
            row = await device_row(connection, kind, device_id)
            if row is None or row["removed_at"]:
                raise not_found(name, device_id, removed=row is not None)
            habits = await _habits(connection, kind, device_id, row["reports"])
        return device_state(kind, row, **habits)

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
        async with database.transaction() as connection:
            if not await queries.remove_device(connection, kind=name, device_id=device_id):
                raise not_found(name, device_id)

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
            rows = [
                row
                async for row in queries.device_history(
                    connection,
                    kind=name,
                    device_id=device_id,
                    start=start,
                    end=span.end,
                    limit=limit + 1,
                )
            ]
            if not rows:
                await require_device(connection, name, device_id)
            if not versions:
                return readings_page(kind, rows, limit)
            return await versions_page(
                connection, kind, device_id, rows, Window(start, span.end), limit
            )

    return [list_devices, get_device, patch_device, remove_device, list_readings]


async def device_row(connection: Connection, kind: DeviceKind, device_id: str) -> Record | None:
    """Return the live state and the settings of a device; None when it has never reported."""
    row: Record | None = await queries.device(connection, kind=kind.name, device_id=device_id)
    return row


async def _habits(
    connection: Connection, kind: DeviceKind, device_id: str, reports: str | None
) -> dict[str, Any]:
    """Return how a device reports, where nothing or something else is set."""
    row = await queries.device_habits(connection, kind=kind.name, device_id=device_id)
    found: dict[str, Any] = {}
    if row is None:  # it has been purged meanwhile
        return found
    if contradicts(row["observed_interval_s"], row["reporting_interval_s"]):
        found["observed_interval_s"] = row["observed_interval_s"]
    if reports is None and row["pauses"] >= HABIT:
        found["observed_reports"] = "while_charging"
    return found


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
