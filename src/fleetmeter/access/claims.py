"""Claims of a verified token as a person: name, scopes and reach. Pure."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleetmeter.access.principal import SCOPES, Principal, Scope
from fleetmeter.access.reach import EVERYTHING, SITE, Reach
from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings

MOST_SITES = 1000
"""Maximum number of sites that a token may name."""

_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_SUBJECT = re.compile(r"[!-~]{1,255}")


_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def is_token(text: str) -> bool:
    """Return whether a text has the form of a signed JSON Web Token, which no access key has."""
    return _TOKEN.fullmatch(text) is not None


class ClaimRules(NamedTuple):
    """How claims become scopes and sites."""

    scopes_claim: str
    scopes: Mapping[str, frozenset[Scope]]
    """Scopes by the value of that claim."""

    sites_claim: str | None
    """The claim with the sites that a person reaches, `*` for all; None: everybody reaches all."""


def claim_rules(settings: Settings) -> ClaimRules:
    """Return the rules of the settings. Raises SettingsError."""
    scopes: dict[str, frozenset[Scope]] = {}
    for pair in settings.oidc_scopes.replace(",", " ").split():
        value, equals, names = pair.rpartition("=")
        given = frozenset[Scope](scope for scope in SCOPES if scope in names.split("+"))
        if not (value and equals) or len(given) != len(names.split("+")):
            raise SettingsError(
                f"FLEETMETER_OIDC_SCOPES: {pair} is not VALUE=SCOPE or VALUE=SCOPE+SCOPE, with "
                f"scopes of {', '.join(SCOPES)}"
            )
        scopes[value] = scopes.get(value, frozenset()) | given
    return ClaimRules(settings.oidc_scopes_claim, scopes, settings.oidc_sites_claim)


def person(claims: Mapping[str, Any], rules: ClaimRules) -> Principal | None:
    """Return the person that verified claims describe; None without a usable subject."""
    subject, preferred = claims.get("sub"), claims.get("preferred_username")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        return None
    named = isinstance(preferred, str) and _NAME.fullmatch(preferred)
    values = _texts(_claim(claims, rules.scopes_claim))
    scopes = frozenset[Scope]().union(*(rules.scopes.get(value, frozenset()) for value in values))
    reach = EVERYTHING
    if rules.sites_claim is not None:
        sites = _texts(_claim(claims, rules.sites_claim))[:MOST_SITES]
        if "*" not in sites:
            reach = Reach(sites=tuple(site for site in sites if SITE.fullmatch(site)))
            # without a site there is nothing to reach; and who makes keys reaches everything
            scopes = scopes - {"admin"} if reach.sites else frozenset()
    return Principal(f"oidc:{preferred if named else subject}", scopes, reach)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, which may contain dots, or by the path to it."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    """Return the values of a claim: a list, or words with spaces between them."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
