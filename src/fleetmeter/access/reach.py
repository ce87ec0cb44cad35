"""The devices that somebody may see and write: patterns of ids, sites, or both.

Pure, and the same in Python (`Reach.includes`, for readings that come in) as in SQL (`within_reach`
of routines/04_reach.sql, for everything that is asked).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypedDict

import msgspec


class ReachParameters(TypedDict):
    """The parameters of a named query that answers within a reach."""

    reach_ids: list[str] | None
    reach_sites: list[str] | None


class Reach(msgspec.Struct, frozen=True):
    """A device is within reach if its id fits a pattern and its site is listed, where given."""

    devices: tuple[str, ...] = ()
    """Patterns of device ids: `*` is any run of characters, `\\*` a star; empty for all ids."""

    sites: tuple[str, ...] = ()
    """Names of sites; empty for all devices, also those without a site."""

    @property
    def whole(self) -> bool:
        """Whether every device is within reach."""
        return not self.devices and not self.sites

    def includes(self, device_id: str, site: str | None) -> bool:
        """Return whether a device is within reach, given its id and its site."""
        return (not self.devices or _ids(self.devices).fullmatch(device_id) is not None) and (
            not self.sites or site in self.sites
        )

    def like_patterns(self) -> list[str] | None:
        r"""Return the patterns of ids for SQL's LIKE (with its escape `\`), or None for all ids."""
        return [_translated(pattern, "%", _like_escaped) for pattern in self.devices] or None

    def site_names(self) -> list[str] | None:
        """Return the sites, or None for all devices."""
        return list(self.sites) or None

    def parameters(self) -> ReachParameters:
        """Return the parameters of named queries that answer within it."""
        return {"reach_ids": self.like_patterns(), "reach_sites": self.site_names()}


SITE = re.compile(r"[!-~]{1,64}")
"""A site that a reach may list."""

EVERYTHING = Reach()
"""The reach of a key without limits."""

_PIECE = re.compile(r"\\([*\\])|(\*)|(.)", re.DOTALL)


@lru_cache(maxsize=1024)
def _ids(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_translated(pattern, ".*", re.escape) for pattern in patterns))


def _like_escaped(character: str) -> str:
    return f"\\{character}" if character in r"\%_" else character


def _translated(pattern: str, any_run: str, escaped: Callable[[str], str]) -> str:
    return "".join(
        any_run if star else escaped(literal or character)
        for literal, star, character in _PIECE.findall(pattern)
    )
