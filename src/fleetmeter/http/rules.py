"""Anomaly rules: their thresholds for the fleet, a site or a device, and who changed them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.access.actor import signed
from fleetmeter.access.reach import Reach
from fleetmeter.anomalies import in_force
from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.anomalies.overrides import (
    FLEET,
    InvalidParametersError,
    OverridesConflictError,
    Place,
)
from fleetmeter.anomalies.rules.catalogue import CATALOGUE, RULES, CataloguedKind
from fleetmeter.anomalies.thresholds.rulebook import Scope
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import (
    NEVER_UNKNOWN,
    OUT_OF_REACH,
    described,
    problem_response,
)
from fleetmeter.http.shared.parameters import (
    Cursor,
    Id,
    Limit,
    Note,
    Page,
    Who,
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
    rule_in_force,
    set_parameters,
)
from fleetmeter.readings.ids import DEVICE_ID_PATTERN
from fleetmeter.readings.model import DeviceId

KindPath = Annotated[CataloguedKind, PathParameter()]
AtScope = Annotated[
    Scope,
    QueryParameter(name="scope", required=False, description="The scope whose thresholds to show."),
]
AtTarget = Annotated[
    str | None,
    QueryParameter(
        name="target",
        required=False,
        schema_extra={"pattern": DEVICE_ID_PATTERN},
        description="The site, vehicle or meter; required unless `scope` is `fleet`.",
    ),
]


class RuleChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The thresholds to set in one place, replacing those set there."""

    scope: Annotated[Scope, Meta(examples=["vehicle"])]
    target: Annotated[
        DeviceId | None,
        Meta(description="The site, vehicle or meter; none for the fleet.", examples=["EV-1"]),
    ] = None
    parameters: Annotated[
        dict[str, Any],
        Meta(
            description="Everything that differs there from the wider scopes; {} for nothing.",
            examples=[{"enabled": False}],
        ),
    ]
    who: Who | None = None
    note: Annotated[Note | None, Meta(examples=["the old sensor reads high"])] = None


class RuleChanged(msgspec.Struct, rename="camel", kw_only=True):
    """A change of a rule's thresholds in one place."""

    id: int
    scope: Scope
    target: Target
    parameters: SomeParameters
    replaced: Annotated[
        dict[str, Any] | None, Meta(description="What was set there before; null if nothing was.")
    ]
    changed_at: datetime
    changed_by: str
    note: str | None


@get("/", summary="List rules and thresholds")
async def list_rules(
    database: NamedDependency[Database], reach: NamedDependency[Reach]
) -> Page[RuleInForce]:
    """Lists the rule of every kind of anomaly with the fleet's thresholds, on one page."""
    async with database.connection() as connection:
        kinds = [rule.kind for rule in CATALOGUE]
        found = await in_force.rules_in_force(connection, kinds, FLEET, reach)
    return Page([rule_in_force(each) for each in found], None)


@get(
    "/{kind:str}",
    summary="Get a rule's thresholds for the fleet, a site or a device",
    before_request=takes("scope", "target"),
)
async def get_rule(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    kind: KindPath,
    scope_: AtScope = "fleet",
    target: AtTarget = None,
) -> RuleInForce:
    """Takes each parameter from the device, else its site, else the fleet, else the default."""
    place = _place(kind, scope_, target)
    async with database.connection() as connection:
        found = await in_force.rules_in_force(connection, [kind], place, reach)
    return rule_in_force(found[0])


@put(
    "/{kind:str}",
    summary="Set a rule's thresholds for the fleet, a site or a device",
    operation_class=described(
        {
            "403": OUT_OF_REACH,
            "409": problem_response("It conflicts with what is set elsewhere."),
        }
    ),
    opt={SCOPE: "operate"},
)
async def set_rule(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    kind: KindPath,
    data: JSONBody[RuleChange],
) -> RuleInForce:
    """Applies from the next hour that is evaluated. Returns the thresholds now in force there.

    Parameters that are not set here keep the values of the wider scopes.
    """
    check_printable("$.who", data.who)
    check_printable("$.note", data.note)
    place = _place(kind, data.scope, data.target, "$.")

    try:
        return rule_in_force(
            await in_force.set_rule(
                database, kind, place, data.parameters, signed(data.who), data.note, reach
            )
        )
    except InvalidParametersError as error:
        path = f"$.parameters.{error.field}" if error.field else "$.parameters"
        raise invalid_parameter(path, error.detail) from None
    except OverridesConflictError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="overrides-conflict") from None


@get(
    "/{kind:str}/overrides",
    summary="List a rule's overrides",
    opt={NEVER_UNKNOWN: True},
    before_request=takes("limit", "cursor"),
)
async def list_overrides(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    kind: KindPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SetParameters]:
    """Lists the fleet's override, then those of meters, sites and vehicles, each sorted by id."""
    scope, target = after(cursor, tuple[Scope, DeviceId | None]) or ("", "")
    async with database.connection() as connection:
        found = await in_force.overrides_of(connection, kind, scope, target or "", limit + 1, reach)
    return page(
        [set_parameters(each) for each in found], limit, key=lambda item: (item.scope, item.target)
    )


@get(
    "/{kind:str}/changes",
    summary="List the changes of a rule's thresholds",
    opt={NEVER_UNKNOWN: True},
    before_request=takes("limit", "cursor"),
)
async def list_rule_changes(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    kind: KindPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[RuleChanged]:
    """Lists changes for the fleet, sites and devices, newest first."""
    before = after(cursor, Id)
    async with database.connection() as connection:
        found = await in_force.changes_of(connection, kind, before, limit + 1, reach)
    items = [RuleChanged(**each._asdict()) for each in found]
    return page(items, limit, key=lambda item: item.id)


def _place(kind: AnomalyKind, scope: Scope, target: str | None, prefix: str = "") -> Place:
    """Return the place that a request names. Raises 400."""
    if scope == "fleet":
        if target is not None:
            raise invalid_parameter(
                f"{prefix}target", "is only allowed with the scopes site, vehicle and meter"
            )
        return FLEET
    scopes = dict.fromkeys(("fleet", "site", *RULES[kind].device_kinds))
    if scope not in scopes:
        raise invalid_parameter(f"{prefix}scope", f"must be one of {', '.join(scopes)} for {kind}")
    if target is None:
        raise invalid_parameter(f"{prefix}target", f"is missing; name the {scope}")
    check = check_site if scope == "site" else check_device_id
    return Place(scope, check(f"{prefix}target", target))


rules = Router(
    "/v1/rules",
    tags=["Anomalies"],
    opt={SCOPE: "read"},
    before_request=takes(),
    route_handlers=[list_rules, get_rule, set_rule, list_overrides, list_rule_changes],
)
