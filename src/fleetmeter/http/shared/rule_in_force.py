"""Presents a rule: what it looks for, and its thresholds in one place."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from asyncpg import Record
from msgspec import Meta

from fleetmeter.anomalies.model import DeviceKind, Kind, Severity
from fleetmeter.anomalies.overrides import Place, in_force, overrides_at, site_of
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.thresholds.rulebook import Scope
from fleetmeter.database.pool import Connection

Target = Annotated[str | None, Meta(description="The site or device; null for the fleet.")]
SomeParameters = Annotated[
    dict[str, Any], Meta(description="The parameters that are set there; a subset of the rule's.")
]


class SetParameters(msgspec.Struct, rename="camel", kw_only=True):
    """What is set for a rule in one place, by whom, and when."""

    scope: Scope
    target: Target
    parameters: SomeParameters
    changed_at: datetime
    changed_by: str


class RuleInForce(msgspec.Struct, rename="camel", kw_only=True):
    """A rule, and its thresholds in one place."""

    kind: Kind
    title: str
    description: str
    source: Annotated[str, Meta(description="Where its defaults come from.")]
    severity: Severity
    device_kinds: Annotated[
        list[DeviceKind], Meta(description="The kinds of devices that it looks at.")
    ]
    scope: Scope
    target: Target
    parameters: Annotated[
        dict[str, Any],
        Meta(
            description="The parameters in force there: each from the narrowest scope that sets it."
        ),
    ]
    overrides: Annotated[
        list[SetParameters],
        Meta(description="What is set there and in wider scopes, the widest first."),
    ]
    defaults: dict[str, Any]
    schema: Annotated[
        dict[str, Any],
        Meta(description="JSON Schema of the parameters: their meaning, unit, limits and default."),
    ]


async def rules_in_force(
    connection: Connection, kinds: list[Kind], place: Place
) -> list[RuleInForce]:
    """Return rules, and their thresholds at a place."""
    site = await site_of(connection, place)
    overrides = await overrides_at(connection, kinds, place, site)
    return [_rule(kind, overrides[kind], place, site) for kind in kinds]


def _rule(kind: Kind, rows: list[Record], place: Place, site: str | None) -> RuleInForce:
    rule = RULES[kind]
    return RuleInForce(
        kind=kind,
        title=rule.title,
        description=rule.description,
        source=rule.source,
        severity=rule.severity,
        device_kinds=list(rule.device_kinds),
        scope=place.scope,
        target=place.target or None,
        parameters=msgspec.to_builtins(in_force(kind, rows, place, site)),
        overrides=[set_parameters(row) for row in rows],
        defaults=msgspec.to_builtins(rule.thresholds()),
        schema=_schema(kind),
    )


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of the `parameters` of a rule."""
    thresholds = RULES[kind].thresholds
    _, components = msgspec.json.schema_components([thresholds])
    schema: dict[str, Any] = components[thresholds.__name__]
    return schema


def set_parameters(row: Record) -> SetParameters:
    """Read a row of rule_overrides."""
    return SetParameters(
        scope=row["scope"],
        target=row["target"] or None,
        parameters=msgspec.json.decode(row["parameters"]),
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )
