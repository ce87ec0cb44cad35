"""Pairs of PostgreSQL and TimescaleDB with which every scheduled job fails."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.operations.doctor.versions import (
    Version,
    breaks_jobs,
    mended_version,
    server_version,
)

POSTGRESQL = st.builds(
    lambda major, minor: major * 10_000 + minor, st.integers(15, 19), st.integers(0, 30)
)
TIMESCALEDB = st.builds(
    lambda *numbers: ".".join(map(str, numbers)),
    st.integers(2, 3),
    st.integers(20, 40),
    st.integers(0, 9),
)


@pytest.mark.parametrize(
    ("postgresql", "timescaledb", "broken"),
    [
        (15_0019, "2.27.2", False),
        (15_0020, "2.27.2", True),
        (15_0020, "2.27.3", False),
        (15_0018, "2.28.3", False),
        (15_0020, "2.28.3", True),
        (15_0021, "2.28.4", False),
        (16_0015, "2.28.3", False),
        (16_0016, "2.26.9", True),
        (17_0011, "2.31.1", False),
        (17_0012, "2.31.1", True),
        (17_0012, "2.31.2", False),
        (17_0012, "2.31.10", False),
        (17_0012, "2.29.9", True),  # lines that were never mended
        (17_0012, "2.30.9", True),
        (18_0006, "2.32.0", False),
        (18_0007, "2.32.0", True),
        (18_0007, "2.32.1", False),
        (18_0007, "2.33.0", False),
        (18_0007, "3.0.0", False),
        (18_0007, "2.32.1-dev", False),
        (19_0001, "2.33.0", False),
    ],
)
def test_the_pairs_that_are_known(postgresql: int, timescaledb: str, broken: bool) -> None:
    assert breaks_jobs(postgresql, timescaledb) is broken


@given(POSTGRESQL, TIMESCALEDB)
def test_a_newer_postgresql_never_mends_an_older_timescaledb(
    postgresql: int, timescaledb: str
) -> None:
    if breaks_jobs(postgresql, timescaledb):
        assert breaks_jobs(postgresql + 1, timescaledb)


@given(POSTGRESQL, TIMESCALEDB)
def test_a_later_patch_of_the_same_line_never_breaks_what_works(
    postgresql: int, timescaledb: str
) -> None:
    version = Version.parse(timescaledb)
    later = f"{version.major}.{version.minor}.{version.patch + 1}"
    assert breaks_jobs(postgresql, timescaledb) or not breaks_jobs(postgresql, later)


@given(POSTGRESQL, TIMESCALEDB)
def test_the_version_to_update_to_works_and_is_newer(postgresql: int, timescaledb: str) -> None:
    if breaks_jobs(postgresql, timescaledb) and not (
        postgresql < 16_0000 and Version.parse(timescaledb) >= (2, 29, 0)  # does not exist
    ):
        mended = mended_version(postgresql, timescaledb)
        assert not breaks_jobs(postgresql, mended)
        assert Version.parse(mended) > Version.parse(timescaledb)


@given(st.tuples(*[st.integers(0, 99)] * 3), st.tuples(*[st.integers(0, 99)] * 3))
def test_versions_compare_as_numbers(one: Any, other: Any) -> None:
    texts = [".".join(map(str, each)) for each in (one, other)]
    assert (Version.parse(texts[0]) < Version.parse(texts[1])) is (one < other)


def test_a_server_shows_its_version() -> None:
    assert server_version(17_0006) == "17.6"
    assert server_version(15_0018) == "15.18"
