"""No path is answered with a failure, whatever stands in it."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import quote_from_bytes, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.app import create_app
from fleetmeter.settings import Settings
from tests.conftest import SLOW_EXAMPLES, Service

pytestmark = pytest.mark.either

ROUTES = {route.path_format for route in create_app("postgresql://x", Settings()).routes}

PATHS = sorted(ROUTES - {"/v1/stream"})
"""Of all routes, with the names of parameters in braces; a stream would not end."""

WRITES = {"/api/v2/write", "/api/v3/write_lp", "/write"}

VISIBLE = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#")

PIECES = st.one_of(
    st.sampled_from(
        [
            "%00",
            "a%00b",
            "a" * 5000,
            ".",
            "..",
            "%2e%2e",
            "%2F",
            "%252F",
            "%",
            "%zz",
            "%ff",
            "~",
            "*",
        ]
    ),
    st.binary(max_size=20).map(quote_from_bytes),
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=20
    ),
)


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A route with something in place of its parameters, and perhaps something after it."""
    path = re.sub(r"\{[^}]+\}", lambda _: draw(PIECES), draw(st.sampled_from(PATHS)))
    return path + draw(st.sampled_from(["", "/"])) + draw(st.just("") | PIECES)


@pytest.fixture(scope="module")
def connection(service: Service) -> Iterator[HTTPConnection]:
    """A connection whose client leaves paths as they are."""
    http = HTTPConnection(urlsplit(service.base_url).netloc, timeout=20)
    http._validate_path = lambda url: None  # type: ignore[attr-defined]
    yield http
    http.close()


@settings(SLOW_EXAMPLES, max_examples=60)
@given(path=paths(), method=st.sampled_from(["GET", "HEAD", "DELETE", "OPTIONS"]))
def test_no_path_is_answered_with_a_failure(
    connection: HTTPConnection, path: str, method: str
) -> None:
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status < 500, body
    if answer.status >= 400 and method != "HEAD":
        as_influxdb = path.rstrip("/") in WRITES  # whose clients want it so
        expected = "application/json" if as_influxdb else "application/problem+json"
        assert answer.headers["content-type"] == expected
    if answer.will_close:
        connection.close()


NUL, NAIVE, EARLY = (
    urlsafe_b64encode(cursor).decode().rstrip("=")
    for cursor in (
        b'"a\\u0000"',
        b'["2026-01-01T00:00:00","kwhConsumedAcTotal"]',
        b'["0001-01-01T00:00:00+14:00","kwhConsumedAcTotal"]',
    )
)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/keys/a%00b"),
        ("GET", "/v1/audit?who=a%00b"),
        ("GET", "/v1/rules/a%00b"),
        ("GET", f"/v1/keys?cursor={NUL}"),
        ("GET", f"/v1/meters/M/exchanges?cursor={NAIVE}"),
        ("GET", f"/v1/meters/M/exchanges?cursor={EARLY}"),
    ],
)
def test_text_and_times_that_the_database_cannot_have_are_refused(
    connection: HTTPConnection, method: str, path: str
) -> None:
    connection.request(method, path)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 400
