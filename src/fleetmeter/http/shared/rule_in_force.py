"""A rule as people see it: what it looks for, and what it goes by in one place."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import DeviceKind, Kind, Severity
from fleetmeter.anomalies.rules.catalogue import RULES, Scope
from fleetmeter.anomalies.thresholds.in_force import InForce, SetThere

Target = Annotated[str | None, Meta(description="The site or device; of the fleet, null.")]
SomeParameters = Annotated[
    dict[str, Any], Meta(description="Those that are set there; a subset of the rule's.")
]


class SetParameters(msgspec.Struct, rename="camel", kw_only=True):
    """What is set for a rule in one place, by whom, and when."""

    scope: Scope
    target: Target
    parameters: SomeParameters
    changed_at: datetime
    changed_by: str


class RuleInForce(msgspec.Struct, rename="camel", kw_only=True):
    """A rule, and what it goes by."""

    kind: Kind
    title: str
    description: str
    source: Annotated[str, Meta(description="Where its defaults come from.")]
    severity: Severity
    device_kinds: Annotated[list[DeviceKind], Meta(description="What it looks at.")]
    scope: Scope
    target: Target
    parameters: Annotated[
        dict[str, Any],
        Meta(description="What it goes by there: of the narrowest scope that sets it."),
    ]
    overrides: Annotated[
        list[SetParameters], Meta(description="What is set there and around, widest scope first.")
    ]
    defaults: dict[str, Any]
    schema: Annotated[
        dict[str, Any],
        Meta(description="JSON Schema of the parameters: meaning, unit, limits, default of each."),
    ]


def rule_in_force(found: InForce) -> RuleInForce:
    """Return a rule as the API shows it."""
    kind, place, parameters, overrides = found
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
        parameters=msgspec.to_builtins(parameters),
        overrides=[set_parameters(each) for each in overrides],
        defaults=msgspec.to_builtins(rule.parameters()),
        schema=_schema(kind),
    )


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    """What `parameters` of this rule may be."""
    parameters = RULES[kind].parameters
    _, components = msgspec.json.schema_components([parameters])
    schema: dict[str, Any] = components[parameters.__name__]
    return schema


def set_parameters(found: SetThere) -> SetParameters:
    """Return what is set in one place as the API shows it."""
    return SetParameters(**found._asdict())
