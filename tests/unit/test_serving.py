"""The address of a client is the one that connects, unless a listed proxy says otherwise."""

import asyncio
from typing import Any

import pytest

from fleetmeter.serving import config_of
from fleetmeter.settings import load_settings

FORWARDED = b"203.0.113.9"


@pytest.mark.parametrize(
    ("proxies", "connects", "client"),
    [
        ("", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.2", FORWARDED.decode()),
        ("192.168.0.0/16, 10.0.0.0/8", "10.0.0.2", FORWARDED.decode()),
        ("10.0.0.2", "10.0.0.3", "10.0.0.3"),
    ],
)
def test_only_a_listed_proxy_is_believed(proxies: str, connects: str, client: str) -> None:
    assert client_seen(proxies, connects, FORWARDED) == client


def test_what_the_client_itself_puts_before_the_proxys_word_is_ignored() -> None:
    assert client_seen("10.0.0.2", "10.0.0.2", b"127.0.0.1, 203.0.113.9") == "203.0.113.9"


def client_seen(proxies: str, connects: str, forwarded: bytes) -> str:
    """Return the client's address that the application sees."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    settings = load_settings({"FLEETMETER_PROXIES": proxies})
    config = config_of(app, settings)
    config.load()
    scope = {
        "type": "http",
        "client": (connects, 1),
        "headers": [(b"x-forwarded-for", forwarded)],
    }
    asyncio.run(config.loaded_app(scope, None, None))
    return seen[0]
