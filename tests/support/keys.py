"""Access keys for tests."""

from typing import Any

import httpx


def headers(key: str) -> dict[str, str]:
    """The header that a key is sent in."""
    return {"Authorization": f"Bearer {key}"}


def make_key(client: httpx.Client, name: str, *scopes: str, **limits: Any) -> dict[str, Any]:
    """Make a key through a client that may; as it is shown, with its text as `key`."""
    answer = client.post("/v1/keys", json={"name": name, "scopes": scopes} | limits)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def with_key(client: httpx.Client, key: str) -> httpx.Client:
    """Another client of a service, which sends a key."""
    return httpx.Client(base_url=client.base_url, timeout=30, headers=headers(key))
