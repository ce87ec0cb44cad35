"""Finds which thresholds are in force for which device."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec

from fleetmeter.anomalies.model import AnomalyKind, Subject
from fleetmeter.anomalies.thresholds.base import Thresholds

Scope = Literal["fleet", "site", "vehicle", "meter"]

T = TypeVar("T", bound=Thresholds)


class Override(msgspec.Struct, frozen=True):
    """Thresholds that differ from the defaults in a part of the fleet."""

    kind: AnomalyKind
    scope: Scope
    target: str
    """The site, vehicle or meter; '' for the fleet."""

    parameters: dict[str, Any]
    """In camelCase; whatever is missing is taken from the next wider scope."""


class Rulebook:
    """Finds the thresholds in force: the device's own, or its site's, the fleet's, the defaults."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._own: dict[tuple[AnomalyKind, Scope, str], dict[str, Any]] = {
            (override.kind, override.scope, override.target): override.parameters
            for override in overrides
        }
        self._narrowed = {override.kind for override in overrides if override.scope != "fleet"}
        self.switched_off = {
            override.kind for override in overrides if override.parameters.get("enabled") is False
        }
        """Rules that are switched off in some part of the fleet."""

        self._of_fleet: dict[type[Thresholds], Any] = {}
        self._of_subject: dict[tuple[type[Thresholds], Subject, str | None], Any] = {}

    def everywhere(self, thresholds: type[T]) -> T | None:
        """Return the thresholds of the whole fleet; None where a site or a device has its own."""
        found: T | None = self._of_fleet.get(thresholds)
        if found is None and thresholds.kind not in self._narrowed:
            found = self._of_fleet[thresholds] = self._resolved(thresholds, (("fleet", ""),))
        return found

    def of(self, thresholds: type[T], subject: Subject, site: str | None) -> T:
        """Return the thresholds in force for a device, or for a site."""
        found: T | None = self.everywhere(thresholds)
        if found is not None:
            return found
        key = (thresholds, subject, site)
        found = self._of_subject.get(key)
        if found is None:
            found = self._of_subject[key] = self._narrow(thresholds, subject, site)
        return found

    def _narrow(self, thresholds: type[T], subject: Subject, site: str | None) -> T:
        scopes: list[tuple[Scope, str]] = [("fleet", "")]
        if subject.device_kind == "site":
            scopes.append(("site", subject.device_id))
        else:
            if site is not None:
                scopes.append(("site", site))
            scopes.append((subject.device_kind, subject.device_id))
        return self._resolved(thresholds, scopes)

    def _resolved(self, thresholds: type[T], scopes: Sequence[tuple[Scope, str]]) -> T:
        """Merge scopes field by field, the last one wins; skip one that contradicts wider ones."""
        fields: dict[str, Any] = {}
        resolved = thresholds()
        for scope, target in scopes:
            own = self._own.get((thresholds.kind, scope, target))
            if own:
                try:
                    resolved = msgspec.convert(fields | own, thresholds)
                except msgspec.ValidationError:
                    continue
                fields |= own
        return resolved
