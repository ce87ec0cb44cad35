"""Claims become a name, scopes and a reach."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.access.claims import claim_rules, is_token, person
from fleetmeter.access.principal import SCOPES, Principal
from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings

ADMIN_OF_SITES = Settings(oidc_sites_claim="sites")
DEFAULTS = Settings()
_WORDS = st.text("*ab é", max_size=5)


def admitted(claims: dict[str, Any], settings: Settings = DEFAULTS) -> Principal:
    found = person({"sub": "9f31"} | claims, claim_rules(settings))
    assert found is not None
    return found


def test_each_scope_has_a_role_by_default() -> None:
    roles = [f"fleetmeter-{scope}" for scope in SCOPES]
    assert admitted({"roles": roles}).scopes == frozenset(SCOPES)
    assert admitted({"roles": "fleetmeter-read other fleetmeter-operate"}).scopes == {
        "read",
        "operate",
    }


@pytest.mark.parametrize("roles", [None, 5, [], [5, None, ["fleetmeter-read"]], {}, "admin read"])
def test_without_a_known_value_there_is_no_scope(roles: Any) -> None:
    assert admitted({"roles": roles}).scopes == frozenset()


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": {"roles": ["planner"]}},
        {"realm_access.roles": ["planner"]},
    ],
)
def test_a_claim_is_found_by_its_path_or_its_name(claims: dict[str, Any]) -> None:
    settings = Settings(
        oidc_scopes_claim="realm_access.roles", oidc_scopes="planner=read+operate, boss=admin"
    )
    assert admitted(claims, settings).scopes == {"read", "operate"}
    assert admitted({"realm_access": "planner"}, settings).scopes == frozenset()


@pytest.mark.parametrize("text", ["planner", "planner=", "=read", "planner=root", "a=read+"])
def test_a_mapping_that_cannot_be_is_one_clear_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^FLEETMETER_OIDC_SCOPES: "):
        claim_rules(Settings(oidc_scopes=text))


def test_sites_limit_the_reach_and_take_admin_away() -> None:
    roles = ["fleetmeter-read", "fleetmeter-admin"]
    limited = admitted({"roles": roles, "sites": ["north", "south", "no site", 5]}, ADMIN_OF_SITES)
    assert limited.reach.sites == ("north", "south")
    assert limited.scopes == {"read"}
    whole = admitted({"roles": roles, "sites": ["*"]}, ADMIN_OF_SITES)
    assert whole.reach.whole
    assert whole.scopes == {"read", "admin"}


@given(sites=st.none() | _WORDS | st.lists(_WORDS, max_size=3) | st.integers())
def test_a_missing_or_strange_sites_claim_reaches_nothing(sites: Any) -> None:
    found = admitted({"roles": ["fleetmeter-read"], "sites": sites}, ADMIN_OF_SITES)
    assert not found.scopes or not found.reach.whole or "*" in sites


def test_people_are_named_by_what_cannot_be_mistaken() -> None:
    assert admitted({"preferred_username": "anna"}).name == "oidc:anna"
    for strange in ("anna (boss)", "", "a\nb", "x" * 65, None, 5):
        assert admitted({"preferred_username": strange}).name == "oidc:9f31"
    for subject in ("", "a b", "x" * 256, None, 5):
        assert person({"sub": subject}, claim_rules(Settings())) is None


def test_a_token_is_told_from_a_key_by_its_form() -> None:
    assert is_token("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI5In0.c2ln")
    for other in (f"fm_abcdef0123_{'a' * 48}", "", "a.b", "a.b.c.d", "a..c", "a.b.c "):
        assert not is_token(other)
