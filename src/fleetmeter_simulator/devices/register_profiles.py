"""Describes registers: their resolution, and where they restart."""

from random import Random

import msgspec

DAY = 24 * 60

_STEPS_MWH = (1, 1, 1, 1, 100_000, 100_000, 500_000, 1_000_000)
"""Resolutions: mostly a milliwatt-hour, sometimes tenths, halves or whole kilowatt-hours."""
_PLACEHOLDERS = (0, 0, 0, 1, 2, 3)
_OF_SESSIONS = 0.25
"""Probability that the device of a single vehicle counts each charge separately."""
_NAMES_SESSIONS = 0.5
"""Probability that it then names the charge in its readings."""
_EXCHANGED = 0.2
"""Probability that a meter is exchanged."""
_STATED = 0.8
"""Probability that somebody records the exchange."""


class RegisterProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a register; by default, one that counts for its lifetime and shows it exactly."""

    step_mwh: int = 1
    placeholders: int = 0
    """Number of first readings that show 0."""

    of_sessions: bool = False
    """True if it restarts with each charge and counts nothing else; its setting says so."""

    names_sessions: bool = False
    exchanged_at: int | None = None
    """Minute after which another meter takes its place."""

    exchange_is_stated: bool = True


PLAIN = RegisterProfile()


def register_profile(rng: Random, *, is_alone: bool, can_be_exchanged: bool) -> RegisterProfile:
    """Draw a register; `is_alone` says that only one vehicle charges at the device."""
    step_mwh, placeholders = rng.choice(_STEPS_MWH), rng.choice(_PLACEHOLDERS)
    of_sessions, names = rng.random() < _OF_SESSIONS, rng.random() < _NAMES_SESSIONS
    exchanged, stated = rng.random() < _EXCHANGED, rng.random() < _STATED
    by_day = rng.randrange(1, 12) * DAY + rng.randrange(9 * 60, 16 * 60)
    if of_sessions and is_alone:
        return RegisterProfile(of_sessions=True, names_sessions=names)
    return RegisterProfile(
        step_mwh=step_mwh,
        placeholders=placeholders,
        exchanged_at=by_day if exchanged and can_be_exchanged else None,
        exchange_is_stated=stated,
    )
