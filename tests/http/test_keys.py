"""Keys: who is let in, where, and what for; on the way through HTTP."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from fleetmeter.access.attempts import BURST
from fleetmeter.access.principal import SCOPES
from fleetmeter.app import create_app
from fleetmeter.http.shared.authentication import (
    PUBLIC,
    SCOPE,
    SIGNED_IN,
    check_routes,
    handlers_of,
)
from fleetmeter.settings import Settings
from tests.conftest import Db, Service, eventually, hours_ago, meter_reading, rfc3339
from tests.support.browsers import NO_TOKEN, signed_in
from tests.support.keys import headers, make_key, with_key

pytestmark = pytest.mark.either

WRONG = f"fm_abcdef_{'0' * 48}"


@pytest.fixture(scope="module")
def admin(service: Service) -> Iterator[httpx.Client]:
    """A client with a key for everything, the first one that is made."""
    with ExitStack() as stack:
        anybody = stack.enter_context(httpx.Client(base_url=service.base_url, timeout=30))
        yield stack.enter_context(with_key(anybody, make_key(anybody, "first", *SCOPES)["key"]))


@pytest.fixture(scope="module")
def stranger(service: Service, admin: httpx.Client) -> Iterator[httpx.Client]:
    """A client without a key, of a service that has keys."""
    with httpx.Client(base_url=service.base_url, timeout=30) as client:
        yield client


def status(client: httpx.Client, method: str, path: str, key: str | None) -> tuple[int, Any]:
    """The status of an answer, and what a refusal says of scopes; the rest is left unread."""
    with client.stream(method, path, headers=headers(key) if key else {}) as answer:
        refused = answer.status_code in (401, 403)
        return answer.status_code, (answer.read() and answer.json()) if refused else None


def operations(app: Litestar) -> Iterator[tuple[str, str, str]]:
    """The method, a path and the declared scope of everything that the application answers."""
    routes = {route.path: route for route in app.routes}
    for path, handler in handlers_of(app):
        names = getattr(handler, "http_methods", {"POST"})
        filled = path
        if isinstance(route := routes[path], HTTPRoute):
            for name, parameter in route.path_parameters.items():
                value = {int: "999999", str: "x"}.get(parameter.type, "x")
                filled = filled.replace(f"{{{parameter.full}}}", value)
                assert name
        for method in sorted(names):
            yield method, filled, handler.opt[SCOPE]


def test_unknown_expired_and_revoked_keys_are_refused_alike(
    admin: httpx.Client, stranger: httpx.Client, db: Db
) -> None:
    revoked, expired = make_key(admin, "gone", "read"), make_key(admin, "old", "read")
    assert admin.delete(f"/v1/keys/{revoked['id']}").status_code == 204
    db.fetch("update access_keys set expires_at = now() where id = $1", expired["id"])
    eventually(lambda: stranger.get("/v1/meters", headers=headers(expired["key"])).is_error)
    answers = [
        stranger.get("/v1/meters", headers=headers(key) if key else {})
        for key in (revoked["key"], expired["key"], WRONG, revoked["key"][:-1] + "x", None)
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"] == 'Bearer realm="FleetMeter"'
    assert answers[0].headers["content-type"] == "application/problem+json"


def test_only_health_and_the_reference_are_public() -> None:
    app = create_app("postgresql://nowhere", Settings())
    public = {path for _, path, needed in operations(app) if needed == PUBLIC}
    assert {path for path in public if not path.startswith(("/docs", "/assets/"))} == {
        *("/", "/health/live", "/health/ready", "/openapi.json"),
        *("/v1/session", "/sign-in", "/sign-in/callback", "/ping", "/health"),
    }


def test_an_application_with_a_route_that_declares_nothing_is_not_made() -> None:
    @get("/forgotten")
    async def forgotten() -> None:
        """Answers anybody."""

    with pytest.raises(TypeError, match="/forgotten"):
        check_routes(Litestar([forgotten], openapi_config=None))


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/keys/1/2/3"])
def test_an_unknown_path_is_not_found_with_or_without_a_key(
    admin: httpx.Client, stranger: httpx.Client, path: str
) -> None:
    assert admin.get(path).status_code == stranger.get(path).status_code == 404


def test_options_lists_methods_without_a_key(stranger: httpx.Client) -> None:
    answer = stranger.options("/v1/keys")
    assert answer.status_code == 204
    assert "POST" in answer.headers["allow"]


def test_a_key_comes_as_bearer_token_or_password(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    key = make_key(admin, "ways", "read")["key"]
    password = b64encode(f"anybody:{key}".encode()).decode()
    for value in (f"Bearer {key}", f"bearer {key}", f"Token {key}", f"Basic {password}"):
        answer = stranger.get("/v1/vehicles", headers={"Authorization": value})
        assert answer.status_code == 200, value
    for value in (
        key,
        f"Digest {key}",
        "Bearer",
        "Basic é",
        "Basic !!",
        f"Basic {key}",
        "Bearer \xff",
    ):
        answer = stranger.get("/v1/vehicles", headers={b"Authorization": value.encode("latin-1")})
        assert answer.status_code in (401, 429), value


def test_a_change_of_keys_holds_in_another_replica_within_seconds(
    admin: httpx.Client, replica: httpx.Client
) -> None:
    made = make_key(admin, "everywhere", "read")
    there = headers(made["key"])
    assert admin.get("/v1/meters", headers=there).status_code == 200
    eventually(lambda: replica.get("/v1/meters", headers=there).status_code == 200, timeout_s=20)
    admin.delete(f"/v1/keys/{made['id']}")
    assert admin.get("/v1/meters", headers=there).status_code == 401
    eventually(lambda: replica.get("/v1/meters", headers=there).status_code == 401, timeout_s=20)


def test_a_rotated_key_keeps_what_it_is_and_its_old_secret_works_for_the_grace(
    admin: httpx.Client, stranger: httpx.Client, db: Db
) -> None:
    made = make_key(admin, "turning", "read", devices=["EV-*"], sites=["north"])
    turned = admin.post(f"/v1/keys/{made['id']}/rotate", json={"graceS": 3600}).json()
    same = ("id", "name", "scopes", "devices", "sites", "createdAt", "expiresAt")
    assert {name: turned[name] for name in same} == {name: made[name] for name in same}
    assert turned["key"] != made["key"]
    for each in (made, turned):
        assert stranger.get("/v1/meters", headers=headers(each["key"])).status_code == 200
    last = admin.post(f"/v1/keys/{made['id']}/rotate", json={}).json()
    for each, code in ((made, 401), (turned, 401), (last, 200)):
        assert stranger.get("/v1/meters", headers=headers(each["key"])).status_code == code
    (stored,) = db.fetch("select k::text as it from access_keys as k where id = $1", made["id"])
    assert last["key"].rpartition("_")[2] not in stored["it"]


def test_keys_are_listed_without_secrets_page_by_page(admin: httpx.Client) -> None:
    made = [make_key(admin, f"page {n}", "ingest") for n in range(3)]
    items, cursor = [], None
    while True:
        page = admin.get("/v1/keys", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        items += page.json()["items"]
        if (cursor := page.json()["nextCursor"]) is None:
            break
    ids = [item["id"] for item in items]
    assert ids == sorted(set(ids))
    assert {each["id"] for each in made} <= set(ids)
    assert all(
        each["key"] not in str(items) and "key" not in item for each in made for item in items
    )
    admin.delete(f"/v1/keys/{made[0]['id']}")
    listed = {item["id"] for item in admin.get("/v1/keys?limit=1000").json()["items"]}
    assert made[0]["id"] not in listed
    everything = admin.get("/v1/keys?limit=1000&revoked=true").json()["items"]
    (gone,) = (item for item in everything if item["id"] == made[0]["id"])
    assert gone["revokedAt"]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ({"name": "x" * 65}, "$.name"),
        ({"name": "a (b)"}, "$.name"),
        ({"name": ""}, "$.name"),
        ({"scopes": []}, "$.scopes"),
        ({"scopes": ["root"]}, "$.scopes[0]"),
        ({"scopes": ["admin"], "devices": ["EV-*"]}, "$.scopes"),
        ({"devices": ["*a*a*a*a"]}, "$.devices"),
        ({"devices": ["é"]}, "$.devices"),
        ({"sites": ["no/site"]}, "$.sites"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "$.expiresAt"),
        ({"expires": "2020-01-01T00:00:00Z"}, "$"),
    ],
)
def test_a_key_that_cannot_be_is_told_by_its_json_path(
    admin: httpx.Client, key: dict[str, Any], path: str
) -> None:
    answer = admin.post("/v1/keys", json={"name": "wrong", "scopes": ["read"]} | key)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["path"] == path


def test_a_name_is_taken_until_its_key_is_revoked(admin: httpx.Client) -> None:
    made = make_key(admin, "twice", "read")
    again = admin.post("/v1/keys", json={"name": "twice", "scopes": ["read"]})
    assert again.status_code == 409
    admin.delete(f"/v1/keys/{made['id']}")
    assert make_key(admin, "twice", "read")["id"] != made["id"]
    for method, path in (("DELETE", ""), ("POST", "/rotate")):
        assert admin.request(method, f"/v1/keys/{made['id']}{path}", json={}).status_code == 404


def test_the_last_use_is_written_in_the_background(admin: httpx.Client, db: Db) -> None:
    made = make_key(admin, "used", "read")
    used = "select last_used_at from access_keys where id = $1"
    assert db.value(used, made["id"]) is None
    admin.get("/v1/meters", headers=headers(made["key"]))
    eventually(lambda: db.value(used, made["id"]))


def test_a_stream_ends_with_its_key(admin: httpx.Client, stranger: httpx.Client, uid: str) -> None:
    made = make_key(admin, "listener", "read")
    with stranger.stream("GET", "/v1/stream?only=states", headers=headers(made["key"])) as events:
        lines = events.iter_lines()
        next(lines)
        admin.delete(f"/v1/keys/{made['id']}")
        reading = meter_reading(f"{uid}M", hours_ago(0))
        assert admin.post("/v1/ingest", json=reading).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            assert not [line for line in lines if uid in line]


def rejected(client: httpx.Client, *readings: dict[str, Any]) -> list[tuple[int, str]]:
    """The places of the readings that are rejected, and their codes."""
    answer = client.post("/v1/ingest", json=readings).json()
    return [(each["index"], each["code"]) for each in answer["rejected"]]


def test_readings_beyond_the_patterns_of_a_key_are_rejected_one_by_one(
    admin: httpx.Client, stranger: httpx.Client, db: Db, uid: str
) -> None:
    key = make_key(admin, "mine", "ingest", devices=[f"{uid}mine*"])["key"]
    at = hours_ago(2)
    with with_key(stranger, key) as client:
        assert rejected(
            client,
            meter_reading(f"{uid}mine1", at),
            meter_reading(f"{uid}other", at),
            {"vehicleId": f"{uid}mine2", "soc": 50, "timestamp": rfc3339(at)},
            {
                "vehicleId": f"{uid}mine3",
                "meterId": f"{uid}other",
                "soc": 5,
                "timestamp": rfc3339(at),
            },
            {
                "vehicleId": f"{uid}mine4",
                "meterId": f"{uid}mine1",
                "soc": 5,
                "timestamp": rfc3339(at),
            },
        ) == [(1, "forbidden_device"), (3, "forbidden_device")]
    known = "select id from devices where id like $1 || '%' order by id"
    assert [row["id"] for row in db.fetch(known, uid)] == [
        f"{uid}mine{number}" for number in (1, 2, 4)
    ]


def test_readings_beyond_the_sites_of_a_key_are_rejected_one_by_one(
    admin: httpx.Client, stranger: httpx.Client, uid: str
) -> None:
    for name, site in (("n1", "north"), ("s1", "south")):
        assert admin.patch(f"/v1/meters/{uid}{name}", json={"site": site}).status_code == 200
    key = make_key(admin, "the north", "ingest", sites=["north"])["key"]
    readings = [meter_reading(f"{uid}{name}", hours_ago(2)) for name in ("n1", "s1", "unknown")]
    with with_key(stranger, key) as client:
        assert rejected(client, *readings) == [(1, "forbidden_device"), (2, "forbidden_device")]
        admin.patch(f"/v1/meters/{uid}s1", json={"site": "north"})
        again = [(2, "forbidden_device")]
        eventually(lambda: rejected(client, *readings) == again, timeout_s=20)


def test_nobody_fills_the_rejections_of_a_device_beyond_their_reach(
    admin: httpx.Client, stranger: httpx.Client, uid: str
) -> None:
    assert admin.post("/v1/ingest", json=meter_reading(f"{uid}M", hours_ago(2))).is_success
    key = make_key(admin, "noise", "ingest", devices=[f"{uid}mine*"])["key"]
    with with_key(stranger, key) as client:
        for wrong in (
            meter_reading(f"{uid}M", hours_ago(1)),
            meter_reading(f"{uid}M", hours_ago(1), voltage=-1, kwhConsumedAc=-1),
            {"meterId": f"{uid}M", "timestamp": 5},
            meter_reading(f"{uid}mine", hours_ago(1), kwhConsumedAc=-1),
        ):
            assert client.post("/v1/ingest", json=wrong).status_code == 422

    def counted() -> dict[str | None, set[str]]:
        items = admin.get("/v1/rejections?limit=1000").json()["items"]
        found: dict[str | None, set[str]] = {}
        for item in items:
            found.setdefault(item["deviceId"], set()).add(item["code"])
        return found

    eventually(lambda: f"{uid}mine" in counted())
    assert f"{uid}M" not in counted()
    assert "forbidden_device" in counted()[None]


def test_the_reference_says_which_scope_each_request_needs(stranger: httpx.Client) -> None:
    document = stranger.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if (method, path) == ("post", "/v1/session"):  # it takes the key itself
                assert operation["security"] == []
            elif path.startswith("/v1/"):
                assert {"401", "403", "429"} <= set(operation["responses"])
                assert "security" not in operation or operation["security"]
            else:
                assert operation["security"] == []


def test_a_key_may_expire_later(admin: httpx.Client, tmp_path: Path) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    made = make_key(admin, "an hour", "read", expiresAt=rfc3339(until))
    assert admin.get("/v1/meters", headers=headers(made["key"])).status_code == 200


def test_many_wrong_keys_are_limited_and_right_ones_still_work(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    answers = [stranger.get("/v1/meters", headers=headers(WRONG)) for _ in range(BURST + 5)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert int(limited[0].headers["retry-after"]) >= 1
    assert admin.get("/v1/meters").status_code == 200
    assert stranger.get("/v1/meters").status_code == 401


def test_every_route_lets_in_who_has_its_scope_and_nobody_else(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    keys = {scope: make_key(admin, f"only {scope}", scope)["key"] for scope in SCOPES}
    browsers = {scope: signed_in(stranger, key) for scope, key in keys.items()}
    found = list(operations(create_app("postgresql://nowhere", Settings())))
    assert len(found) > 30
    assert {needed for _, _, needed in found} == {*SCOPES, PUBLIC, SIGNED_IN}
    for method, path, needed in found:
        what = f"{method} {path}"
        if needed in (PUBLIC, SIGNED_IN) and path.startswith(("/v1/session", "/sign-in")):
            continue  # test_browser_sessions.py and test_sign_in.py
        if needed == PUBLIC:
            assert status(stranger, method, path, None)[0] < 400 or path.endswith("x"), what
            assert not path.startswith("/v1/")
            continue
        assert status(stranger, method, path, None)[0] == 401, what
        assert status(stranger, method, path, WRONG)[0] in (401, 429), what
        for scope, key in keys.items():
            code, said = status(stranger, method, path, key)
            if scope == needed:
                assert code not in (401, 403, 429), what
            else:
                assert code == 403, what
                assert said["scope"] == needed
            with_cookie = status(browsers[scope], method, path, None)
            assert with_cookie[0] == code or scope == needed, what
            assert (with_cookie[0] in (401, 403)) == (scope != needed), what
            if method not in ("GET", "HEAD"):
                assert browsers[scope].request(method, path, headers=NO_TOKEN).status_code == 403
    for browser in browsers.values():
        browser.close()


@pytest.mark.parametrize(
    "limits", [{"devices": ["*a*a*b"]}, {"sites": ["north"]}], ids=["patterns", "sites"]
)
@pytest.mark.parametrize("id_", ["a\0b", "a" * 500_000, "\ud800", "\u0661"])
def test_what_is_no_id_is_rejected_as_that_for_little(
    admin: httpx.Client, stranger: httpx.Client, uid: str, limits: dict[str, Any], id_: str
) -> None:
    key = make_key(admin, f"no id {uid}x", "ingest", **limits)["key"]
    wrong = meter_reading(id_, hours_ago(1))
    with with_key(stranger, key) as client:
        answer = client.post("/v1/ingest", content=json.dumps(wrong))
    assert answer.status_code == (422 if id_ != "\ud800" else 400), answer.text
    if id_ != "\ud800":
        assert answer.json()["rejected"][0]["code"] == "invalid_id"
