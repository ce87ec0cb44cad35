"""Access keys without a database: as text, and as a process knows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from fleetmeter.access.key_text import hash_of, key_text, new_key_id, new_secret, parse_key
from fleetmeter.access.keyring import NOTE_S, VALID_S, Keyring, KeysUnknownError
from fleetmeter.access.principal import ANYBODY

NOW = 1_800_000_000.0


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def row(secret: str, **more: Any) -> dict[str, Any]:
    """A row of access_keys."""
    key = {
        "id": "abc123",
        "name": "depot",
        "subject": None,
        "secret_hash": hash_of(secret),
        "previous_hash": None,
        "previous_until": None,
        "scopes": ["read"],
        "devices": [],
        "sites": [],
        "created_at": at(0),
        "created_by": "somebody",
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    return key | more


def keyring(*rows: Mapping[str, Any], clock: Clock | None = None) -> Keyring:
    """A keyring that has just read some keys."""
    known = Keyring(
        "postgresql://nowhere", may_be_open=False, clock=clock or Clock(0), today=Clock(NOW)
    )
    known.know(rows)
    known.read_at(0)
    return known


def test_a_key_is_taken_apart_into_its_id_and_a_hash_of_its_secret() -> None:
    key_id, secret = new_key_id(), new_secret()
    given = parse_key(key_text(key_id, secret))
    assert given is not None
    assert given.id == key_id
    assert given.secret_hash == hash_of(secret)
    assert secret.encode() not in given.secret_hash


def test_every_secret_has_178_random_bits_and_a_key_fits_into_a_charger() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert len(set("".join(secrets))) == 62
    assert {int(62 ** len(secret)).bit_length() - 1 for secret in secrets} == {178}
    assert len(key_text(new_key_id(), new_secret())) == 40


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "fm_", "fm__", "fm_abc123_short", "a" * 10_000),
        *(f"fm_abc123_{'é' * 48}", f"fm_a b12_{'a' * 48}", f"FM_abc123_{'a' * 48}"),
        *(f"fm_abc123_{'a' * 48}_", f"fm_abc123_{'a' * 48}\n"),
    ],
)
def test_what_is_not_a_key_is_none(text: str) -> None:
    assert parse_key(text) is None


def test_only_the_right_secret_is_let_in() -> None:
    known = keyring(row("a" * 48))
    principal = known.admit(key_text("abc123", "a" * 48))
    assert principal is not None
    assert principal.name == "key:depot"
    assert principal.scopes == {"read"}
    assert known.admit(key_text("abc123", "b" * 48)) is None
    assert known.admit(key_text("abc124", "a" * 48)) is None
    assert known.admit("nonsense") is None
    assert known.admit(None) is None


def test_a_key_ends_when_it_expires() -> None:
    text = key_text("abc123", "a" * 48)
    assert keyring(row("a" * 48, expires_at=at(NOW + 1))).admit(text)
    assert keyring(row("a" * 48, expires_at=at(NOW))).admit(text) is None


def test_a_replaced_secret_works_until_its_grace_is_over() -> None:
    text = key_text("abc123", "old" * 16)
    for until, works in ((NOW + 1, True), (NOW, False), (None, False)):
        known = keyring(
            row(
                "new" * 16,
                previous_hash=hash_of("old" * 16),
                previous_until=until and at(until),
            )
        )
        assert (known.admit(text) is not None) == works
        assert known.admit(key_text("abc123", "new" * 16))


def test_what_was_read_too_long_ago_lets_nobody_in_and_turns_nobody_away() -> None:
    clock = Clock(0)
    known = keyring(row("a" * 48), clock=clock)
    text = key_text("abc123", "a" * 48)
    clock.now = VALID_S
    assert known.admit(text)
    clock.now = VALID_S + 0.1
    for each in (text, None, "nonsense"):
        with pytest.raises(KeysUnknownError):
            known.admit(each)
    assert known.admit(text, even_stale=True)
    assert known.admit("nonsense", even_stale=True) is None


def test_a_process_that_has_never_read_the_keys_lets_nobody_in() -> None:
    for may_be_open in (True, False):
        known = Keyring("postgresql://nowhere", may_be_open=may_be_open)
        for ask in (partial(known.admit, None), known.require_known):  # nor is it ready
            with pytest.raises(KeysUnknownError):
                ask()


def test_without_any_key_everybody_on_this_machine_is_let_in_and_nobody_elsewhere() -> None:
    for may_be_open, principal in ((True, ANYBODY), (False, None)):
        known = Keyring("postgresql://nowhere", may_be_open=may_be_open, clock=Clock(0))
        known.know([], any_key=False)
        known.read_at(0)
        assert known.admit(None) is principal
        known.require_known()


def test_a_key_that_is_gone_does_not_open_the_service_again() -> None:
    known = Keyring("postgresql://nowhere", may_be_open=True, clock=Clock(0))
    known.know([], any_key=True)
    known.read_at(0)
    assert known.admit(None) is None


def test_the_use_of_a_key_is_noted_once_a_minute() -> None:
    clock = Clock(0)
    known = keyring(row("a" * 48), clock=clock)
    text = key_text("abc123", "a" * 48)
    noted = []
    for now in (0.0, 1.0, NOTE_S - 1, NOTE_S, NOTE_S + 1):
        clock.now = now
        known.read_at(now)
        known.know([row("a" * 48)])  # as after any change
        known.admit(text)
        noted.append(known.take_used())
    assert noted == [["abc123"], [], [], ["abc123"], []]
