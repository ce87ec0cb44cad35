"""Browsers that are signed in with a key: what their cookie is worth, and for how long."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import pytest

from fleetmeter.access import browser_sessions
from fleetmeter.access.attempts import BURST
from fleetmeter.access.browser_sessions import VALID_S, BrowserSessions
from fleetmeter.access.key_text import KeyText
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import SCOPES
from fleetmeter.database.pool import connect
from fleetmeter.database.sql import queries
from fleetmeter.settings import Settings
from tests.conftest import (
    Db,
    Service,
    eventually,
    hours_ago,
    meter_reading,
    on_migrated,
    running_service,
)
from tests.support.browsers import NO_TOKEN, signed_in
from tests.support.keys import headers, make_key, with_key

pytestmark = pytest.mark.either

WRONG = f"fm_abcdef_{'0' * 48}"


class Place(NamedTuple):
    """A service with keys."""

    admin: httpx.Client
    stranger: httpx.Client
    open: dict[str, Any]
    """Who was signed in before there were keys."""


@pytest.fixture(scope="module")
def place(service: Service) -> Iterator[Place]:
    with ExitStack() as stack:
        stranger = stack.enter_context(httpx.Client(base_url=service.base_url, timeout=30))
        before = stranger.get("/v1/session").json()
        first = make_key(stranger, "first", *SCOPES)["key"]
        yield Place(stack.enter_context(with_key(stranger, first)), stranger, before)


@pytest.fixture(scope="module")
def late(
    place: Place, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A browser that signed in, and one with its cookie at a service that started afterwards."""
    with (
        signed_in(place.stranger, make_key(place.admin, "before", "read")["key"]) as browser,
        running_service(tmp_path_factory.mktemp("late"), on_migrated(database_url)) as replica,
        at(replica.base_url, browser) as elsewhere,
    ):
        yield browser, elsewhere


def at(base_url: str | httpx.URL, browser: httpx.Client) -> httpx.Client:
    """The same browser once more, perhaps at another service."""
    return httpx.Client(
        base_url=base_url, timeout=30, cookies=browser.cookies, headers=browser.headers
    )


def test_without_keys_everybody_here_is_signed_in(place: Place) -> None:
    assert place.open == {
        "name": "local",
        "scopes": list(SCOPES),
        "devices": None,
        "sites": None,
        "csrfToken": None,
        "expiresAt": None,
        "open": True,
        "signIn": {"key": True, "oidc": False},
    }


def test_a_cookie_stands_for_its_key(place: Place, db: Db, uid: str) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    limits: dict[str, Any] = {"devices": [f"{uid}in*"], "expiresAt": until.isoformat()}
    made = make_key(place.admin, "limited", "read", "ingest", "operate", **limits)
    readings = [meter_reading(f"{uid}{name}", hours_ago(1)) for name in ("in", "out")]
    assert place.admin.post("/v1/ingest", json=readings).is_success
    answer = httpx.post(f"{place.admin.base_url}/v1/session", json={"key": made["key"]})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    flags = {each.strip().lower() for each in answer.headers["set-cookie"].split(";")[1:]}
    assert flags == {"httponly", "samesite=strict", "path=/", f"max-age={7 * 86400}"}
    with signed_in(place.stranger, made["key"]) as browser:
        said = browser.get("/v1/session").json()
        assert said["csrfToken"] == browser.headers["x-csrf-token"]
        assert datetime.fromisoformat(said["expiresAt"]) == until
        by_key = place.stranger.get("/v1/session", headers=headers(made["key"])).json()
        assert by_key == said | {"csrfToken": None}
        assert (said["name"], said["devices"], said["sites"]) == (
            "key:limited",
            [f"{uid}in*"],
            None,
        )
        assert said["scopes"] == ["ingest", "read", "operate"]
        listed = [each["meterId"] for each in browser.get("/v1/meters").json()["items"]]
        assert listed == [f"{uid}in"]
        assert browser.get(f"/v1/meters/{uid}out").status_code == 404
        sent = browser.post("/v1/ingest", json=readings).json()
        assert [each["code"] for each in sent["rejected"]] == ["forbidden_device"]
        assert browser.patch(f"/v1/meters/{uid}in", json={"label": "x"}).is_success
        (logged,) = place.admin.get(f"/v1/audit?object=meter {uid}in").json()["items"]
        assert logged["who"] == "key:limited"
        stored = "select string_agg(s::text, '') from browser_sessions as s"
        assert browser.cookies["fleetmeter"] not in db.value(stored)


def test_a_key_that_is_sent_counts_and_not_the_cookie(place: Place) -> None:
    with signed_in(place.stranger, make_key(place.admin, "both", "read")["key"]) as browser:
        assert browser.get("/v1/meters", headers=headers(WRONG)).status_code == 401
        ingest = make_key(place.admin, "other", "ingest")["key"]
        assert browser.post("/v1/ingest", json=[], headers=headers(ingest) | NO_TOKEN).is_success
        assert browser.get("/v1/meters", headers=headers(ingest)).status_code == 403


@pytest.mark.parametrize("token", ["", "x", "\u00e9"])
def test_changes_by_a_cookie_need_the_token_of_the_page(place: Place, token: str) -> None:
    key = make_key(place.admin, f"csrf {len(token.encode())}", "operate", "read")["key"]
    with signed_in(place.stranger, key) as browser:
        sent = {b"X-CSRF-Token": token.encode()}
        for method, path in (("PATCH", "/v1/meters/M"), ("DELETE", "/v1/session")):
            answer = browser.request(method, path, headers=sent)
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:fleetmeter:problem:csrf"
        assert browser.get("/v1/meters", headers=sent).is_success
        assert browser.patch("/v1/meters/M", json={"label": "x"}).is_success


@pytest.mark.parametrize(
    ("sent", "is_own"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:3000"}, True),  # FLEETMETER_PUBLIC_URL
    ],
)
def test_pages_of_other_sites_cannot_use_a_cookie(
    place: Place, uid: str, sent: dict[str, str], is_own: bool
) -> None:
    key = make_key(place.admin, f"sites {uid}x", "read", "operate")["key"]
    with signed_in(place.stranger, key) as browser:
        asked = [
            browser.get("/v1/export", headers=sent),
            browser.patch("/v1/meters/M", json={"label": "x"}, headers=sent),
            browser.post("/v1/session", json={"key": key}, headers=sent),
        ]
    for answer in asked:
        assert (answer.status_code == 403) == (not is_own), answer.text
        assert is_own or answer.json()["type"] == "urn:fleetmeter:problem:other-site"


def test_a_session_is_known_to_a_service_that_starts_later_and_ends_in_all(
    late: tuple[httpx.Client, httpx.Client],
) -> None:
    browser, elsewhere = late
    assert browser.get("/v1/meters").is_success
    assert elsewhere.get("/v1/meters").is_success
    signed_out = browser.delete("/v1/session")
    assert signed_out.status_code == 204
    assert "max-age=0" in signed_out.headers["set-cookie"].lower()
    assert httpx.get(browser.base_url.join("/v1/meters"), cookies=elsewhere.cookies).is_error
    eventually(lambda: elsewhere.get("/v1/meters").status_code == 401, timeout_s=VALID_S)


def test_a_session_ends_with_its_key_in_all(
    place: Place, late: tuple[httpx.Client, httpx.Client], db: Db
) -> None:
    """Revoked, rotated once the grace is over, and expired."""
    made = [make_key(place.admin, f"ending {n}", "read") for n in range(3)]
    revoked, rotated, expired = made
    with ExitStack() as stack:
        here = [stack.enter_context(signed_in(place.stranger, each["key"])) for each in made]
        there = [stack.enter_context(at(late[1].base_url, browser)) for browser in here]

        def statuses(*browsers: httpx.Client) -> set[int]:
            return {each.get("/v1/meters").status_code for each in browsers}

        eventually(lambda: statuses(*there) == {200}, timeout_s=20)
        place.admin.delete(f"/v1/keys/{revoked['id']}")
        assert statuses(here[0]) == {401}
        place.admin.post(f"/v1/keys/{rotated['id']}/rotate", json={"graceS": 3600})
        eventually(lambda: statuses(there[0]) == {401}, timeout_s=VALID_S)
        assert statuses(*here[1:], *there[1:]) == {200}
        _end(db, expired["id"], rotated["id"])
        eventually(lambda: statuses(*here, *there) == {401}, timeout_s=VALID_S)


def _end(db: Db, expired: str, rotated: str) -> None:
    """Let a key expire, and the grace of another end."""
    db.fetch(
        "update access_keys set previous_until = now(), expires_at = case id when $1 then now() end"
        " where id in ($1, $2)",
        expired,
        rotated,
    )


def test_a_stream_ends_with_its_session(place: Place, uid: str) -> None:
    browser = signed_in(place.stranger, make_key(place.admin, "watching", "read")["key"])
    with browser, browser.stream("GET", "/v1/stream?only=states") as events:
        lines = events.iter_lines()
        next(lines)
        with at(browser.base_url, browser) as tab:
            assert tab.delete("/v1/session").status_code == 204
        sent = place.admin.post("/v1/ingest", json=meter_reading(f"{uid}M", hours_ago(0)))
        assert sent.is_success
        with pytest.raises(httpx.RemoteProtocolError):
            assert not [line for line in lines if uid in line]


def test_use_keeps_a_session_until_its_absolute_end(place: Place, db: Db) -> None:
    made = make_key(place.admin, "idle", "read")
    ends = "select extract(epoch from ends_at - now()) from browser_sessions where holder = $1"
    with signed_in(place.stranger, made["key"]) as browser:
        for change, begins_s, then_s in (
            ("ends_at = now() + interval '100 s'", 100, 8 * 3600),
            ("ends_at = now() + '100 s', longest_until = now() + interval '1000 s'", 100, 1000),
        ):
            db.fetch(f"update browser_sessions set {change} where holder = $1", made["id"])
            assert db.value(ends, made["id"]) <= begins_s
            eventually(
                lambda: browser.get("/v1/meters").is_success and db.value(ends, made["id"]) > 101
            )
            assert db.value(ends, made["id"]) == pytest.approx(then_s, abs=30)
        db.fetch("update browser_sessions set ends_at = now() where holder = $1", made["id"])
        eventually(lambda: browser.get("/v1/meters").status_code == 401, timeout_s=VALID_S)
        db.fetch(queries.forget_browser_sessions.sql)
        assert db.fetch("select from browser_sessions where holder = $1", made["id"]) == []


def test_sessions_are_few_and_what_ended_is_not_remembered(database_url: str, db: Db) -> None:
    """The oldest ends beyond the most of a holder, and beyond the most of all."""
    db.fetch("delete from browser_sessions")

    async def begin() -> list[bool]:
        database = await connect(database_url, Settings())
        keyring = Keyring(database_url, may_be_open=False)
        clock = map(float, count(step=10))  # so slow that every look is out of date
        sessions = BrowserSessions(database, keyring, Settings(), clock.__next__)
        try:
            keys = [KeyText(name, b"0" * 32) for name in ("one", *["two"] * 4)]
            with (
                patch.object(browser_sessions, "MOST_OF_HOLDER", 3),
                patch.object(browser_sessions, "MOST", 5),
            ):
                begun = [await sessions.begin(key) for key in keys]
                found = [await sessions.find(each) is not None for each in begun]
                for name in ("three", "four"):
                    begun.append(await sessions.begin(KeyText(name, b"0" * 32)))
            await sessions.end(begun[-1])
            return [*found, *[await sessions.find(each) is not None for each in begun]]
        finally:
            await database.close()

    assert asyncio.run(begin()) == [
        *(True, False, True, True, True),
        *(False, False, True, True, True, True, False),
    ]


def test_whoever_is_not_signed_in_is_told_how_and_wrong_keys_are_counted(place: Place) -> None:
    refused = place.stranger.get("/v1/session", headers={"Cookie": "fleetmeter=unknown"})
    assert refused.status_code == 401
    assert refused.json()["signIn"] == {"key": True, "oidc": False}
    assert place.stranger.get("/sign-in").status_code == 404
    answers = [place.stranger.post("/v1/session", json={"key": WRONG}) for _ in range(BURST + 5)]
    assert answers[0].status_code == 401
    assert answers[0].json()["signIn"] == {"key": True, "oidc": False}
    assert "set-cookie" not in answers[0].headers
    assert {answer.status_code for answer in answers} == {401, 429}
    right = make_key(place.admin, "right", "read")["key"]
    signed_in(place.stranger, right).close()
