"""Which thresholds are in force where."""

from collections.abc import Sequence
from typing import Any

import msgspec

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.catalogue import RULES, Scope
from fleetmeter.anomalies.thresholds.parameters import Parameters


class Override(msgspec.Struct, frozen=True):
    """Thresholds that differ from the defaults in a part of the fleet."""

    kind: Kind
    scope: Scope
    target: str
    """The site, vehicle or meter; '' for the fleet."""

    parameters: dict[str, Any]
    """In camelCase; the rest stays as it is in the next wider scope."""


def merged(kind: Kind, parameters: dict[str, Any]) -> Parameters:
    """The defaults of a rule with some parameters (camelCase) replaced.

    msgspec.ValidationError: a name that there is not, or a value that cannot be.
    """
    return msgspec.convert(parameters, RULES[kind].parameters)


class Rulebook:
    """The thresholds in force for each device: its own over its site's over the fleet's over the
    defaults."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._own: dict[tuple[Kind, Scope, str], dict[str, Any]] = {
            (override.kind, override.scope, override.target): override.parameters
            for override in overrides
        }
        self._fleet: dict[Kind, Parameters] = {
            kind: self._resolved(kind, (("fleet", ""),)) for kind in RULES
        }
        narrower = {override.kind for override in overrides if override.scope != "fleet"}
        self._everywhere = {kind: p for kind, p in self._fleet.items() if kind not in narrower}
        self.switched_off = {
            override.kind for override in overrides if override.parameters.get("enabled") is False
        }
        """Rules that are not applied in some part of the fleet."""

        self._cache: dict[tuple[Kind, Subject, str | None], Parameters] = {}

    def everywhere(self, kind: Kind) -> Parameters | None:
        """The thresholds of the whole fleet, when they are the same for all of it."""
        return self._everywhere.get(kind)

    def of(self, kind: Kind, subject: Subject, site: str | None) -> Parameters:
        """The thresholds for a device, or for a site."""
        same = self._everywhere.get(kind)
        if same is not None:
            return same
        key = (kind, subject, site)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._narrow(kind, subject, site)
        return found

    def _narrow(self, kind: Kind, subject: Subject, site: str | None) -> Parameters:
        scopes: list[tuple[Scope, str]] = [("fleet", "")]
        if subject.device_kind == "site":
            scopes.append(("site", subject.device_id))
        else:
            if site is not None:
                scopes.append(("site", site))
            scopes.append((subject.device_kind, subject.device_id))
        return self._resolved(kind, scopes)

    def _resolved(self, kind: Kind, scopes: Sequence[tuple[Scope, str]]) -> Parameters:
        """Field by field, the last scope wins; one that contradicts the wider ones is left out."""
        fields: dict[str, Any] = {}
        resolved = merged(kind, fields)
        for scope, target in scopes:
            own = self._own.get((kind, scope, target))
            if own:
                try:
                    resolved = merged(kind, fields | own)
                except msgspec.ValidationError:
                    continue
                fields |= own
        return resolved
