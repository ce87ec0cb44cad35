"""Stores the rules' parameters for the fleet, sites and devices, and who changed them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from fleetmeter.access.audit import record
from fleetmeter.anomalies.model import AnomalyKind, Subject
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook, Scope
from fleetmeter.database.pool import Connection
from fleetmeter.database.queries import AllOverridesRow, OverridesAtRow, OverridesOfRuleRow
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError

MOST_OVERRIDES = 10_000
"""Maximum number of places with parameters of their own: every evaluation loads them all."""


class InvalidParametersError(FleetMeterError):
    """Raised for parameters that a rule cannot use; `field` names the wrong one, if any."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class OverridesConflictError(FleetMeterError):
    """Raised for a change that contradicts what is already set."""


class Place(NamedTuple):
    """The scope of parameters. The target is a site or a device; '' for the fleet."""

    scope: Scope
    target: str = ""

    def __str__(self) -> str:
        return "the fleet" if self.scope == "fleet" else f"the {self.scope} {self.target}"


FLEET = Place("fleet")


async def site_of(connection: Connection, place: Place) -> str | None:
    """Return the site that a place belongs to."""
    site: str | None = None
    if place.scope == "site":
        site = place.target
    elif place.scope != "fleet":
        site = await queries.site_of(connection, kind=place.scope, device_id=place.target)
    return site


async def overrides_at(
    connection: Connection, kinds: list[AnomalyKind], place: Place, site: str | None
) -> dict[AnomalyKind, list[OverridesAtRow]]:
    """Return what is set for these rules at a place and in its wider scopes, widest first."""
    found: dict[AnomalyKind, list[OverridesAtRow]] = {kind: [] for kind in kinds}
    async for row in queries.overrides_at(
        connection, kinds=kinds, scope=place.scope, target=place.target, site=site
    ):
        found[row["kind"]].append(row)
    return found


def in_force(
    kind: AnomalyKind, rows: list[OverridesAtRow], place: Place, site: str | None
) -> Thresholds:
    """Return a rule's thresholds at a place, from the rows of `overrides_at`."""
    rule = RULES[kind]
    device_kind = rule.device_kinds[0] if place.scope == "fleet" else place.scope
    rulebook = Rulebook([_override(row) for row in rows])
    return rulebook.of(rule.thresholds, Subject(device_kind, place.target), site)


async def all_overrides(connection: Connection) -> list[Override]:
    """Read all current overrides."""
    return [_override(row) async for row in queries.all_overrides(connection)]


async def rulebook_now(connection: Connection) -> Rulebook:
    """Read the current thresholds of all rules."""
    return Rulebook(await all_overrides(connection))


def _override(row: AllOverridesRow | OverridesAtRow) -> Override:
    return Override(
        kind=row["kind"],
        scope=cast(Scope, row["scope"]),
        target=row["target"],
        parameters=msgspec.json.decode(row["parameters"]),
    )


async def change(
    connection: Connection,
    kind: AnomalyKind,
    place: Place,
    parameters: Mapping[str, Any],
    who: str,
    note: str | None,
) -> None:
    """Set a rule's parameters at a place, replacing those set there; {} removes them.

    Runs in the caller's transaction; other changes of the rule wait until it ends. The old
    parameters are kept in the list of changes. Setting the same again changes nothing.
    Raises InvalidParametersError and OverridesConflictError.
    """
    await queries.begin_rule_change(connection, kind=kind)
    rows = [row async for row in queries.overrides_of_rule(connection, kind=kind)]
    stored = {_place(row): msgspec.json.decode(row["parameters"]) for row in rows}
    sites = {_place(row): row["site"] for row in rows}
    sites[place] = await site_of(connection, place)
    replaced = stored.get(place)
    wanted = stored | {place: dict(parameters)}
    wanted[place] = _checked(kind, wanted, place, sites[place])
    if wanted[place] == (replaced or {}):
        return
    if replaced is None and len(stored) >= MOST_OVERRIDES:
        raise OverridesConflictError(
            f"{kind} is set for {MOST_OVERRIDES} places already; remove some first, and set it for "
            "sites rather than for each device"
        )
    for other in stored:
        if _lies_in(other, sites[other], place):
            _check_narrower(kind, wanted, other, sites[other], place)
    key = {"kind": kind, "scope": place.scope, "target": place.target}
    encoded = _encoded(wanted[place])
    if wanted[place]:
        await queries.set_override(connection, **key, parameters=encoded, who=who)
    else:
        await queries.remove_override(connection, **key)
    await queries.record_rule_change(
        connection,
        **key,
        parameters=encoded,
        replaced=None if replaced is None else _encoded(replaced),
        who=who,
        note=note,
    )
    await record(
        connection, "set-rule", f"rule {kind} for {place}", before=replaced, after=wanted[place]
    )


def _place(row: OverridesOfRuleRow) -> Place:
    return Place(cast(Scope, row["scope"]), row["target"])


def _lies_in(place: Place, site: str | None, wider: Place) -> bool:
    """Return whether what is set for `wider` also applies at a narrower place."""
    if wider.scope == "fleet":
        return place != FLEET
    return wider.scope == "site" and place.scope != "site" and site == wider.target


def _combined(
    overrides: Mapping[Place, dict[str, Any]], place: Place, site: str | None
) -> dict[str, Any]:
    """Return what is set at a place: parameter by parameter, the narrowest scope wins."""
    around = (FLEET, Place("site", site or ""), place)
    return {name: value for at in around for name, value in overrides.get(at, {}).items()}


def _checked(
    kind: AnomalyKind, overrides: Mapping[Place, dict[str, Any]], place: Place, site: str | None
) -> dict[str, Any]:
    """Return the parameters to store, validated together with those of wider scopes.

    Raises InvalidParametersError.
    """
    parameters = [field.encode_name for field in msgspec.structs.fields(RULES[kind].thresholds)]
    for name in overrides[place]:
        if name not in parameters:
            raise InvalidParametersError(
                f"is not a parameter of {kind}; choose from {', '.join(parameters)}", name
            )
    try:
        combined = _combined(overrides, place, site)
        thresholds = msgspec.convert(combined, RULES[kind].thresholds)
    except (msgspec.ValidationError, OverflowError) as error:
        detail, _, path = str(error).partition(" - at `$.")
        raise InvalidParametersError(detail, path.rstrip("`") or None) from None
    plain = msgspec.json.decode(msgspec.json.encode(thresholds))
    return {name: plain[name] for name in overrides[place]}


def _check_narrower(
    kind: AnomalyKind,
    overrides: Mapping[Place, dict[str, Any]],
    place: Place,
    site: str | None,
    changed: Place,
) -> None:
    try:
        _checked(kind, overrides, place, site)
    except InvalidParametersError as error:
        about = f"{error.field}: {error.detail}" if error.field else error.detail
        raise OverridesConflictError(
            f"set for {changed}, this would contradict what is set for {place} ({about}); "
            f"change {place} first"
        ) from None


def _encoded(parameters: dict[str, Any]) -> str:
    return msgspec.json.encode(parameters).decode()
