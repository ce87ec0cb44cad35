"""Versions of PostgreSQL and TimescaleDB, and the pairs that do not work together."""

import re
from typing import NamedTuple

_BREAKS_JOBS = {15: 20, 16: 16, 17: 12, 18: 7}
"""Minor versions of PostgreSQL from which every scheduled job of an older TimescaleDB fails."""

_MENDED = {(2, 27): 3, (2, 28): 4, (2, 31): 2, (2, 32): 1}
"""Patch levels of TimescaleDB that mend it, by line; all of later lines do, no others."""

LAST_LINE = {15: (2, 28)}
"""The last line of TimescaleDB for a major version of PostgreSQL."""


class Version(NamedTuple):
    """A version of TimescaleDB."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read `2.31.2`, `2.31` or `2.32.0-dev`; a version before a release counts as it."""
        numbers = [int(number) for number in re.findall(r"\d+", text.partition("-")[0])[:3]]
        major, minor, patch = (*numbers, 0, 0, 0)[:3]
        return cls(major, minor, patch)


def server_version(version_num: int) -> str:
    """Return `17.6` for 170006."""
    return f"{version_num // 10_000}.{version_num % 10_000}"


def breaks_jobs(version_num: int, timescaledb: str) -> bool:
    """Return whether every scheduled job fails with this pair ("cannot drop portal")."""
    since = _BREAKS_JOBS.get(version_num // 10_000)
    if since is None or version_num % 10_000 < since:
        return False
    version = Version.parse(timescaledb)
    line = version[:2]
    if line > max(_MENDED):
        return False
    return line not in _MENDED or version.patch < _MENDED[line]


def mended_version(version_num: int, timescaledb: str) -> str:
    """Return the nearest version of TimescaleDB that works, the same line or a later one."""
    line = Version.parse(timescaledb)[:2]
    last = LAST_LINE.get(version_num // 10_000, max(_MENDED))
    fitting = [each for each in sorted(_MENDED) if line <= each <= last] or [max(_MENDED)]
    return ".".join(map(str, (*fitting[0], _MENDED[fitting[0]])))
