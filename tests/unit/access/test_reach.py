"""Patterns of ids, and sites."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.access.reach import EVERYTHING, Reach


@pytest.mark.parametrize(
    ("patterns", "inside", "outside"),
    [
        (("EV-1*",), ["EV-1", "EV-17", "EV-1*"], ["EV-2", "xEV-1", "ev-1"]),
        (("DE\\*ABC\\*E*",), ["DE*ABC*E1", "DE*ABC*E"], ["DEXABCXE1"]),
        (("a\\\\*",), ["a\\b", "a\\"], ["ab"]),
        (("a%", "b_"), ["a%", "b_"], ["ab", "bc"]),
        (("*.1",), ["x.1", ".1"], ["xx1"]),
    ],
)
def test_a_star_is_any_run_of_characters(
    patterns: tuple[str, ...], inside: list[str], outside: list[str]
) -> None:
    reach = Reach(devices=patterns)
    assert [i for i in inside if not reach.includes(i, None)] == []
    assert [o for o in outside if reach.includes(o, None)] == []


def test_patterns_and_sites_limit_both() -> None:
    reach = Reach(devices=("EV-*",), sites=("north",))
    assert reach.includes("EV-1", "north")
    assert not reach.includes("EV-1", "south")
    assert not reach.includes("EV-1", None)
    assert not reach.includes("M-1", "north")
    assert EVERYTHING.includes("M-1", None)
    assert EVERYTHING.whole
    assert not reach.whole


@given(
    st.lists(st.text("ab*\\%_", max_size=6), min_size=1, max_size=3), st.text("ab*\\%_", max_size=6)
)
def test_like_says_what_python_says(patterns: list[str], device_id: str) -> None:
    reach = Reach(devices=tuple(patterns))
    like = reach.like_patterns()
    assert like is not None
    assert any(_like(pattern, device_id) for pattern in like) == reach.includes(device_id, None)


def _like(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern of LIKE."""
    pieces = re.findall(r"\\(.)|([%_])|(.)", pattern, re.DOTALL)
    expression = "".join(
        {"%": ".*", "_": "."}.get(wildcard, re.escape(escaped or character))
        for escaped, wildcard, character in pieces
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None
