"""Reads and sets the thresholds in force at a place, with who changed them and when."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec
from asyncpg import Record

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.anomalies.overrides import (
    Place,
    change,
    in_force,
    overrides_at,
    site_of,
)
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Scope
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.state import require_device
from fleetmeter.errors import OutOfReachError, UnknownSiteError


class SetThere(NamedTuple):
    """The thresholds set for a rule in one place, by whom and when."""

    scope: Scope
    target: str | None
    """None: the fleet."""

    parameters: dict[str, Any]
    changed_at: datetime
    changed_by: str


class InForce(NamedTuple):
    """A rule's thresholds at a place, and what is set there and in wider scopes, widest first."""

    kind: AnomalyKind
    place: Place
    parameters: Thresholds
    overrides: list[SetThere]


class Changed(NamedTuple):
    """A change of a rule's thresholds in one place."""

    id: int
    scope: Scope
    target: str | None
    parameters: dict[str, Any]
    replaced: dict[str, Any] | None
    changed_at: datetime
    changed_by: str
    note: str | None


async def rules_in_force(
    connection: Connection, kinds: Sequence[AnomalyKind], place: Place, reach: Reach
) -> list[InForce]:
    """Return rules' thresholds at a place. Raises UnknownDeviceError and UnknownSiteError."""
    await _require(connection, place, reach)
    return await _in_force(connection, kinds, place)


async def set_rule(
    database: Database,
    kind: AnomalyKind,
    place: Place,
    parameters: Mapping[str, Any],
    who: str,
    note: str | None,
    reach: Reach,
) -> InForce:
    """Set a rule's thresholds at a place, replacing what was set there; {} removes them.

    Returns those now in force there. Raises InvalidParametersError, OverridesConflictError,
    UnknownDeviceError, UnknownSiteError, and OutOfReachError for the fleet if the reach is limited.
    """
    if place.scope == "fleet" and not reach.whole:
        raise OutOfReachError(
            "this would change thresholds of devices that are not within your reach; set them for "
            "your sites or devices"
        )

    async def run() -> InForce:
        async with database.transaction() as connection:
            if parameters or not reach.whole:
                await _require(connection, place, reach)
            await change(connection, kind, place, parameters, who, note)
            return (await _in_force(connection, [kind], place))[0]

    return await retried(run)


async def overrides_of(
    connection: Connection,
    kind: AnomalyKind,
    after_scope: str,
    after_target: str,
    most: int,
    reach: Reach,
) -> list[SetThere]:
    """Return a rule's overrides after a place: of the fleet, meters, sites, vehicles.

    Those of sites and devices outside the reach are left out.
    """
    rows = queries.override_page(
        connection,
        kind=kind,
        after_scope=after_scope,
        after_target=after_target,
        limit=most,
        **reach.parameters(),
    )
    return [_set_there(row) async for row in rows]


async def changes_of(
    connection: Connection, kind: AnomalyKind, before: int | None, most: int, reach: Reach
) -> list[Changed]:
    """Return the changes of a rule within reach, newest first, with ids below `before`."""
    rows = queries.rule_changes(
        connection, kind=kind, before=before, limit=most, **reach.parameters()
    )
    return [
        Changed(
            id=row["id"],
            scope=cast(Scope, row["scope"]),
            target=row["target"] or None,
            parameters=msgspec.json.decode(row["parameters"]),
            replaced=msgspec.json.decode(row["replaced"]) if row["replaced"] else None,
            changed_at=row["changed_at"],
            changed_by=row["changed_by"],
            note=row["note"],
        )
        async for row in rows
    ]


async def _in_force(
    connection: Connection, kinds: Sequence[AnomalyKind], place: Place
) -> list[InForce]:
    site = await site_of(connection, place)
    rows = await overrides_at(connection, list(kinds), place, site)
    return [
        InForce(
            kind,
            place,
            in_force(kind, rows[kind], place, site),
            [_set_there(row) for row in rows[kind]],
        )
        for kind in kinds
    ]


async def _require(connection: Connection, place: Place, reach: Reach) -> None:
    if place.scope in ("vehicle", "meter"):
        await require_within(connection, place.scope, place.target, reach)
        await require_device(connection, place.scope, place.target)
    elif place.scope == "site" and not await queries.site_known(
        connection, site=place.target, **reach.parameters()
    ):
        raise UnknownSiteError(f"no device belongs to the site {place.target}")


def _set_there(row: Record) -> SetThere:
    return SetThere(
        scope=row["scope"],
        target=row["target"] or None,
        parameters=msgspec.json.decode(row["parameters"]),
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )
