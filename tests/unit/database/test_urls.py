"""Passwords stay out of command lines and messages."""

import pytest

from fleetmeter.database.urls import split_password


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d", None),
        ("postgresql://u:s%40c@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", "s@c"),
        ("postgresql://u@h/d?password=a+b%2Fc", "postgresql://u@h/d", "a b/c"),
        ("postgresql://u@/d?host=/a%20b", "postgresql://u@/d?host=%2Fa%20b", None),
        ("postgres://u:p:q@[::1]:5432/d", "postgres://u@[::1]:5432/d", "p:q"),
    ],
)
def test_the_password_is_taken_out(url: str, bare: str, password: str | None) -> None:
    assert split_password(url) == (bare, password)
