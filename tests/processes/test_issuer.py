"""Keys of a real issuer: fetched, remembered, rotated, and missed while it is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fleetmeter.access.issuer import (
    FRESH_S,
    MOST_BYTES,
    RETRY_S,
    STALE_S,
    Issuer,
    IssuerUnavailableError,
)
from fleetmeter.access.people import People
from fleetmeter.settings import Settings
from tests.support.clocks import HandClock
from tests.support.issuer import AUDIENCE, IssuerProcess, running_issuer


@pytest.fixture
def issuer() -> Iterator[IssuerProcess]:
    with running_issuer() as running:
        yield running


Ask = Callable[[People, HandClock], Awaitable[None]]


def asked(issuer: IssuerProcess, ask: Ask) -> None:
    """Ask people about tokens, by a clock for the age of keys."""

    async def run() -> None:
        clock = HandClock()
        settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
        async with People(settings, Issuer(issuer.url, clock)).running() as people:
            await ask(people, clock)

    asyncio.run(run())


def test_keys_are_fetched_once_for_all_tokens(issuer: IssuerProcess) -> None:
    tokens = [issuer.token(alg=alg) for alg in ("ES256", "RS256", "EdDSA")]

    async def ask(people: People, _: HandClock) -> None:
        assert all(await asyncio.gather(*(people.admit(token) for token in tokens * 5)))

    asked(issuer, ask)
    assert issuer.fetches() == 1


def test_a_rotated_key_is_found_and_ends_what_the_old_one_signed(issuer: IssuerProcess) -> None:
    old = issuer.token()

    async def ask(people: People, clock: HandClock) -> None:
        session = await people.admit(old)
        assert session is not None
        await asyncio.to_thread(issuer.rotate)
        new = await asyncio.to_thread(issuer.token)
        assert await people.admit(new) is None  # the last look was just now
        assert people.still(session)
        clock.now += RETRY_S
        assert await people.admit(new) is not None
        assert not people.still(session)
        assert await people.admit(old) is None

    asked(issuer, ask)


def test_unknown_keys_cost_one_fetch_in_a_while(issuer: IssuerProcess) -> None:
    forged = [issuer.token(kid=f"made up {n}") for n in range(20)]

    async def ask(people: People, clock: HandClock) -> None:
        for _ in range(3):
            assert not any(await asyncio.gather(*(people.admit(token) for token in forged)))
            clock.now += RETRY_S

    asked(issuer, ask)
    assert issuer.fetches() == 3


def test_known_keys_go_on_while_the_issuer_is_away_but_not_for_ever(
    issuer: IssuerProcess,
) -> None:
    known, other = issuer.token(), issuer.token(sub="other")

    async def ask(people: People, clock: HandClock) -> None:
        assert await people.admit(known)
        await asyncio.to_thread(issuer.stop)
        clock.now += FRESH_S + 1
        assert await people.admit(known)
        assert await people.admit(other)
        clock.now += STALE_S
        for token in (known, other):
            with pytest.raises(IssuerUnavailableError):
                await people.admit(token)

    asked(issuer, ask)


def test_an_issuer_that_says_nonsense_lets_nobody_in(issuer: IssuerProcess) -> None:
    forged = [issuer.token(), issuer.token(alg="HS256"), issuer.token(kid="odd")]
    elsewhere = {"issuer": "https://other.example", "jwks_uri": f"{issuer.url}/jwks"}
    answers: list[tuple[Any, Any]] = [
        (elsewhere, None),
        ({"issuer": issuer.url, "jwks_uri": "http://other.example/jwks"}, None),
        ({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}, None),
        ([5], None),
        (None, {"keys": [{"kid": "x" * MOST_BYTES}]}),
        (None, {"keys": []}),
        (None, {"keys": [{"kty": "oct", "k": "c3Nzcw", "kid": "odd"}]}),
        (None, {"keys": [{"kty": "EC", "crv": "P-256", "x": 5, "y": [], "kid": "ES256-1"}]}),
        (None, {"keys": [{"kty": "EC", "alg": 5, "kid": "ES256-1"}]}),
    ]
    for discovery, keys in answers:
        issuer.say(discovery=discovery, keys=keys)

        async def ask(people: People, _: HandClock) -> None:
            for token in forged:
                with suppress(IssuerUnavailableError):
                    assert await people.admit(token) is None

        asked(issuer, ask)


def test_a_token_is_not_remembered_beyond_its_end(issuer: IssuerProcess) -> None:
    token = issuer.token(exp=int(time.time()) + 5)
    today = HandClock()

    async def run() -> None:
        settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
        async with People(settings, today=today).running() as people:
            today.now = time.time()
            session = await people.admit(token)
            assert session is not None
            assert await people.admit(token) is session
            today.now += 60
            assert not people.still(session)

    asyncio.run(run())
