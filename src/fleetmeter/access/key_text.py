"""Access keys as text: `fm_<id>_<secret>`, of which only the id and a hash are stored.

Pure. The secret is random, so a plain SHA-256 of it cannot be turned back; there is nothing to
salt or to stretch.
"""

import re
import secrets
import string
from hashlib import sha256
from typing import NamedTuple

_CHARACTERS = string.ascii_letters + string.digits
_ID_LENGTH = 6
_SECRET_LENGTH = 30
"""178 random bits. With its id, a key has the 40 characters that a charger can have as its
password (OCPP 2.0.1, BasicAuthPassword)."""

_LONGEST = 200

_KEY = re.compile(r"fm_([0-9A-Za-z]{6,16})_([0-9A-Za-z]{30,128})")


class KeyText(NamedTuple):
    """A key taken apart."""

    id: str
    secret_hash: bytes
    """SHA-256 of the secret."""


def new_key_id() -> str:
    """Return the id of a new key, which need not be kept secret."""
    return _random(_ID_LENGTH)


def new_secret() -> str:
    """Return a random secret of 178 bits."""
    return _random(_SECRET_LENGTH)


def _random(length: int) -> str:
    return "".join(secrets.choice(_CHARACTERS) for _ in range(length))


def key_text(key_id: str, secret: str) -> str:
    """Return a key as its holder sends it."""
    return f"fm_{key_id}_{secret}"


def hash_of(secret: str) -> bytes:
    """Return the hash by which a secret is stored."""
    return sha256(secret.encode()).digest()


def parse_key(text: str) -> KeyText | None:
    """Take a key apart, or return None for what is not one."""
    if len(text) > _LONGEST or (found := _KEY.fullmatch(text)) is None:
        return None
    return KeyText(found[1], hash_of(found[2]))
