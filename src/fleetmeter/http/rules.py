"""Serves the rules of anomalies: their thresholds in the fleet, at a site, for a device."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.anomalies.model import Kind
from fleetmeter.anomalies.overrides import (
    FLEET,
    InvalidParametersError,
    OverridesConflictError,
    Place,
    change,
)
from fleetmeter.anomalies.rules.catalogue import CATALOGUE, RULES
from fleetmeter.anomalies.thresholds.rulebook import Scope
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.http.corrections import Who
from fleetmeter.http.shared.existing import require_meter, require_vehicle
from fleetmeter.http.shared.parameters import (
    Cursor,
    Id,
    Limit,
    Note,
    Page,
    after,
    check_device_id,
    check_printable,
    check_site,
    page,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.http.shared.rule_in_force import (
    RuleInForce,
    SetParameters,
    SomeParameters,
    Target,
    rules_in_force,
    set_parameters,
)
from fleetmeter.readings.ids import DEVICE_ID_PATTERN
from fleetmeter.readings.model import DeviceId

KindPath = Annotated[Kind, PathParameter()]
AtScope = Annotated[
    Scope,
    QueryParameter(
        name="scope", required=False, description="Where to look: the fleet, a site or a device."
    ),
]
AtTarget = Annotated[
    str | None,
    QueryParameter(
        name="target",
        required=False,
        schema_extra={"pattern": DEVICE_ID_PATTERN},
        description="The site, vehicle or meter; not for the scope `fleet`.",
    ),
]


class RuleChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What to set for a rule in one place; it replaces what is set there."""

    scope: Annotated[Scope, Meta(examples=["vehicle"])]
    target: Annotated[
        DeviceId | None,
        Meta(
            description="The site, vehicle or meter; not for the scope `fleet`.", examples=["EV-1"]
        ),
    ] = None
    parameters: Annotated[
        dict[str, Any],
        Meta(
            description="All that differs there from the wider scopes; `{}` removes what is set.",
            examples=[{"enabled": False}],
        ),
    ]
    who: Who
    note: Annotated[Note | None, Meta(examples=["the old sensor reads high"])] = None


class RuleChanged(msgspec.Struct, rename="camel", kw_only=True):
    """A change of what is set for a rule in one place."""

    id: int
    scope: Scope
    target: Target
    parameters: SomeParameters
    replaced: Annotated[
        dict[str, Any] | None, Meta(description="What was set there before; null: nothing was.")
    ]
    changed_at: datetime
    changed_by: str
    note: str | None


@get("/", summary="List the rules and their thresholds in the fleet")
async def list_rules(database: NamedDependency[Database]) -> Page[RuleInForce]:
    """Every kind of anomaly, on one page."""
    async with database.connection() as connection:
        return Page(
            await rules_in_force(connection, [rule.kind for rule in CATALOGUE], FLEET), None
        )


@get(
    "/{kind:str}",
    summary="Get a rule and its thresholds in the fleet, at a site or for a device",
    before_request=takes("scope", "target"),
)
async def get_rule(
    database: NamedDependency[Database],
    kind: KindPath,
    scope_: AtScope = "fleet",
    target: AtTarget = None,
) -> RuleInForce:
    """Each parameter is the device's, else its site's, else the fleet's, else the default."""
    place = _place(kind, scope_, target)
    async with database.connection() as connection:
        await _require(connection, place)
        return (await rules_in_force(connection, [kind], place))[0]


@put("/{kind:str}", summary="Set thresholds of a rule in the fleet, at a site or for a device")
async def set_rule(
    database: NamedDependency[Database], kind: KindPath, data: JSONBody[RuleChange]
) -> RuleInForce:
    """They hold from the next hour that is evaluated. Returns the thresholds in force there now.

    Whatever is not set here is taken from the wider scopes.
    """
    check_printable("$.who", data.who)
    check_printable("$.note", data.note)
    place = _place(kind, data.scope, data.target, "$.")

    async def run() -> RuleInForce:
        async with database.transaction() as connection:
            if data.parameters:
                await _require(connection, place)
            await change(connection, kind, place, data.parameters, data.who, data.note)
            return (await rules_in_force(connection, [kind], place))[0]

    try:
        return await retried(run)
    except InvalidParametersError as error:
        path = f"$.parameters.{error.field}" if error.field else "$.parameters"
        raise invalid_parameter(path, error.detail) from None
    except OverridesConflictError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="overrides-conflict") from None


@get(
    "/{kind:str}/overrides",
    summary="List what is set for a rule, by scope and target",
    before_request=takes("limit", "cursor"),
)
async def list_overrides(
    database: NamedDependency[Database],
    kind: KindPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SetParameters]:
    """First the fleet, then meters, sites and vehicles, each in the order of their ids."""
    scope, target = after(cursor, tuple[Scope, DeviceId | None]) or ("", "")
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.override_page(
                connection,
                kind=kind,
                after_scope=scope,
                after_target=target or "",
                limit=limit + 1,
            )
        ]
    return page(
        [set_parameters(row) for row in rows], limit, key=lambda item: (item.scope, item.target)
    )


@get(
    "/{kind:str}/changes",
    summary="List changes of a rule, newest first",
    before_request=takes("limit", "cursor"),
)
async def list_rule_changes(
    database: NamedDependency[Database],
    kind: KindPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RuleChanged]:
    """Includes changes in the fleet, at sites and for devices."""
    before = after(cursor, Id)
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.rule_changes(
                connection, kind=kind, before=before, limit=limit + 1
            )
        ]
    items = [
        RuleChanged(
            id=row["id"],
            scope=row["scope"],
            target=row["target"] or None,
            parameters=msgspec.json.decode(row["parameters"]),
            replaced=msgspec.json.decode(row["replaced"]) if row["replaced"] else None,
            changed_at=row["changed_at"],
            changed_by=row["changed_by"],
            note=row["note"],
        )
        for row in rows
    ]
    return page(items, limit, key=lambda item: item.id)


def _place(kind: Kind, scope: Scope, target: str | None, prefix: str = "") -> Place:
    """Return the place that a request names. Raises 400."""
    if scope == "fleet":
        if target is not None:
            raise invalid_parameter(
                f"{prefix}target", "goes with the scopes site, vehicle and meter"
            )
        return FLEET
    scopes = dict.fromkeys(("fleet", "site", *RULES[kind].device_kinds))
    if scope not in scopes:
        raise invalid_parameter(
            f"{prefix}scope", f"is not a scope of {kind}; choose from {', '.join(scopes)}"
        )
    if target is None:
        raise invalid_parameter(f"{prefix}target", f"is missing; it names the {scope}")
    check = check_site if scope == "site" else check_device_id
    return Place(scope, check(f"{prefix}target", target))


async def _require(connection: Connection, place: Place) -> None:
    """Raise 404 for a place that is not known."""
    if place.scope == "vehicle":
        await require_vehicle(connection, place.target)
    elif place.scope == "meter":
        await require_meter(connection, place.target)
    elif place.scope == "site" and not await queries.site_known(connection, site=place.target):
        raise problem(
            HTTP_404_NOT_FOUND, f"no device belongs to the site {place.target}", kind="unknown-site"
        )


rules = Router(
    "/v1/rules",
    tags=["Anomalies"],
    before_request=takes(),
    route_handlers=[list_rules, get_rule, set_rule, list_overrides, list_rule_changes],
)
