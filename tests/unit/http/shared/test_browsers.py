"""Cookies and where they come from: which are Secure, which are read, which origins are ours."""

from types import SimpleNamespace
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from fleetmeter.access.browser_sessions import csrf_token
from fleetmeter.http.shared.browsers import (
    SESSION_COOKIE,
    check_csrf,
    cookie,
    cookie_value,
    refuse_other_sites,
    refuse_plain_http,
)
from fleetmeter.proxies import Proxies
from fleetmeter.settings import Settings

SETTINGS = Settings(proxies=Proxies("10.0.0.5"), public_url="https://fleet.example/at")


def request(*headers: tuple[str, str], peer: str = "127.0.0.1", method: str = "GET") -> Any:
    return {
        "method": method,
        "client": (peer, 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "litestar_app": SimpleNamespace(state={"settings": SETTINGS}),
    }


HTTPS = ("x-forwarded-proto", "https")


@pytest.mark.parametrize(
    ("scope", "secure"),
    [
        (request(("host", "127.0.0.1:3000")), False),
        (request(("host", "localhost")), False),
        (request(("host", "[::1]:3000")), False),
        (request(("host", "fleet.localhost:3000")), False),
        (request(("host", "localhost:3000"), peer="172.17.0.1"), False),  # a published port
        (request(("host", "fleet.example")), True),
        (request(("host", "fleetbox:3000")), True),
        (request(("host", "localhost.example")), True),
        (request(("host", "localhost"), HTTPS), False),  # nobody's to say
        (request(("host", "localhost"), HTTPS, peer="10.0.0.5"), True),
        (request(("host", "localhost"), ("x-forwarded-proto", "http"), peer="10.0.0.5"), False),
        (request(("host", "localhost"), ("host", "fleet.example")), True),
    ],
)
def test_a_cookie_is_secure_everywhere_but_on_this_machine(scope: Any, secure: bool) -> None:
    made = cookie(scope, SESSION_COOKIE, "x", max_age_s=5)
    assert made.secure is secure
    assert made.key == ("__Host-fleetmeter" if secure else "fleetmeter")
    assert (made.httponly, made.samesite, made.path, made.domain) == (True, "strict", "/", None)
    named = [*scope["headers"], (b"cookie", f"a=b; {made.key}=value".encode())]
    assert cookie_value(scope | {"headers": named}, SESSION_COOKIE) == "value"
    other = "fleetmeter" if secure else "__Host-fleetmeter"
    named = [*scope["headers"], (b"cookie", f"{other}=value".encode())]
    assert cookie_value(scope | {"headers": named}, SESSION_COOKIE) is None


@pytest.mark.parametrize(
    "sent",
    [
        *("", "fleetmeter", "fleetmeter=", "fleetmeter=a; fleetmeter=b", "fleetmeter=\xff", "=;;"),
        "fleetmeter=" + "a" * 500,
    ],
)
def test_what_is_no_cookie_of_ours_is_none(sent: str) -> None:
    assert cookie_value(request(("host", "localhost"), ("cookie", sent)), SESSION_COOKIE) is None


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ([], True),
        ([("sec-fetch-site", "same-origin")], True),
        ([("sec-fetch-site", "none")], True),
        ([("sec-fetch-site", "same-site")], False),
        ([("sec-fetch-site", "cross-site"), ("origin", "https://fleet.example")], False),
        ([("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], False),
        ([("origin", "http://here:3000")], True),
        ([("origin", "https://fleet.example")], True),
        ([("origin", "http://fleet.example")], False),
        ([("origin", "https://fleet.example.evil")], False),
        ([("origin", "null")], False),
        ([("origin", "")], False),
    ],
)
def test_other_sites_are_told_apart(headers: list[tuple[str, str]], is_own: bool) -> None:
    scope = request(("host", "here:3000"), *headers)
    if is_own:
        refuse_other_sites(scope)
    else:
        with pytest.raises(ProblemDetailsException):
            refuse_other_sites(scope)


def test_a_token_is_of_one_cookie() -> None:
    right = ("x-csrf-token", csrf_token("cookie"))
    check_csrf(request(right, method="POST"), "cookie")
    check_csrf(request(method="GET"), "cookie")
    for wrong in ((right, right), (), (("x-csrf-token", csrf_token("other")),)):
        with pytest.raises(ProblemDetailsException):
            check_csrf(request(*wrong, method="DELETE"), "cookie")


def test_signing_in_over_plain_http_from_afar_is_refused() -> None:
    with pytest.raises(ProblemDetailsException, match="HTTPS"):
        refuse_plain_http(request(("host", "fleet.example"), ("origin", "http://fleet.example")))
    for fine in (
        request(("host", "fleet.example"), ("origin", "https://fleet.example")),
        request(("host", "fleet.example")),
        request(("host", "localhost:3000"), ("origin", "http://localhost:3000")),
    ):
        refuse_plain_http(fine)
