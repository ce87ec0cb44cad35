"""Without keys, a browser of this machine cannot be made to use the service by other sites."""

import pytest

from fleetmeter.http.shared.own_machine import is_from_own_machine


@pytest.mark.parametrize(
    ("host", "origin", "is_own"),
    [
        ("127.0.0.1:3000", None, True),
        ("127.1.2.3", None, True),
        ("[::1]:3000", None, True),
        ("localhost:3000", "http://localhost:3000", True),
        ("LOCALHOST", None, True),
        ("app.localhost:3000", None, True),
        ("fleetmeter:3000", None, True),
        ("", None, True),
        ("evil.example:3000", None, False),
        ("evil.example:3000", "http://evil.example:3000", False),
        ("127.0.0.1.evil.example", None, False),
        ("evil.", None, False),
        ("192.0.2.1", None, False),
        ("[2001:db8::1]:3000", None, False),
        ("127.0.0.1:3000", "http://evil.example", False),
        ("127.0.0.1:3000", "http://127.0.0.1:8080", False),
        ("127.0.0.1:3000", "null", False),
    ],
)
def test_other_sites_are_told_by_host_and_origin(
    host: str, origin: str | None, is_own: bool
) -> None:
    headers = [(b"host", host.encode())] if host else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    assert is_from_own_machine(headers) is is_own
