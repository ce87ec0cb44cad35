"""A rule as the API shows it: what it detects, and its thresholds in one place."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.in_force import InForce, SetThere
from fleetmeter.anomalies.model import AnomalyKind, Severity, SubjectKind
from fleetmeter.anomalies.rules.catalogue import RULES, CataloguedKind
from fleetmeter.anomalies.thresholds.rulebook import Scope

Target = Annotated[str | None, Meta(description="The site or device; null for the fleet.")]
SomeParameters = Annotated[
    dict[str, Any], Meta(description="The parameters set there; a subset of the rule's.")
]


class SetParameters(msgspec.Struct, rename="camel", kw_only=True):
    """The thresholds set for a rule in one place, by whom and when."""

    scope: Scope
    target: Target
    parameters: SomeParameters
    changed_at: datetime
    changed_by: str


class RuleInForce(msgspec.Struct, rename="camel", kw_only=True):
    """A rule and its thresholds."""

    kind: CataloguedKind
    title: str
    description: str
    source: Annotated[str, Meta(description="Where its defaults come from.")]
    severity: Severity
    device_kinds: Annotated[
        list[SubjectKind], Meta(description="The kinds of device that it evaluates.")
    ]
    scope: Scope
    target: Target
    parameters: Annotated[
        dict[str, Any],
        Meta(description="Thresholds in force there; each from the narrowest scope that sets it."),
    ]
    overrides: Annotated[
        list[SetParameters],
        Meta(description="What is set there and in wider scopes, widest first."),
    ]
    defaults: dict[str, Any]
    schema: Annotated[
        dict[str, Any],
        Meta(
            description="JSON Schema of the parameters: meaning, unit, limits and default of each."
        ),
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
        defaults=msgspec.to_builtins(rule.thresholds()),
        schema=_schema(kind),
    )


@cache
def _schema(kind: AnomalyKind) -> dict[str, Any]:
    """Return the JSON Schema of a rule's parameters."""
    thresholds = RULES[kind].thresholds
    _, components = msgspec.json.schema_components([thresholds])
    schema: dict[str, Any] = components[thresholds.__name__]
    return schema


def set_parameters(found: SetThere) -> SetParameters:
    """Return what is set in one place as the API shows it."""
    return SetParameters(**found._asdict())
