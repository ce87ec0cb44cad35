"""Judges the facts: every check in turn."""

from collections.abc import Iterable

from fleetmeter.operations.doctor import fleet_checks, server_checks
from fleetmeter.operations.doctor.facts import Facts, Finding, Status

_BEFORE = (server_checks.versions, server_checks.engine, fleet_checks.migrations)
"""The order of display: what explains other findings comes first."""

_OF_THE_FLEET = (
    *(fleet_checks.jobs, fleet_checks.rollups, fleet_checks.evaluation),
    *(fleet_checks.webhooks, fleet_checks.keys),
)
"""Checks that need the schema."""

_OF_THE_SERVER = (
    *(server_checks.settings, server_checks.workers, server_checks.connections),
    *(server_checks.clock, server_checks.disk, server_checks.roles, server_checks.backup),
)

_WORST_LAST: tuple[Status, ...] = ("ok", "warning", "error")


def judge(facts: Facts) -> list[Finding]:
    """Return what every check finds, at least one line of each that applies."""
    findings = [finding for check in _BEFORE for finding in check(facts)]
    if facts.fleet is not None:
        findings += [finding for check in _OF_THE_FLEET for finding in check(facts, facts.fleet)]
    return findings + [finding for check in _OF_THE_SERVER for finding in check(facts)]


def worst(findings: Iterable[Finding]) -> Status:
    """Return the worst status; `ok` without findings."""
    return max((finding.status for finding in findings), key=_WORST_LAST.index, default="ok")
