"""What a register is like: how finely it shows, and where it begins again."""

from random import Random

import msgspec

DAY = 24 * 60

_STEPS_MWH = (1, 1, 1, 1, 100_000, 100_000, 500_000, 1_000_000)
"""Most show every milliwatt-hour, some only tenths, halves or whole kilowatt-hours."""
_PLACEHOLDERS = (0, 0, 0, 1, 2, 3)
_OF_SESSIONS = 0.25
"""How likely a device of one vehicle counts each charge by itself,"""
_NAMES_SESSIONS = 0.5
"""and how likely it then names the charge in its readings."""
_EXCHANGED = 0.2
"""How likely a meter is exchanged,"""
_STATED = 0.8
"""and how likely somebody says so."""


class RegisterProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A register; by default one of a lifetime that shows what it counts."""

    step_mwh: int = 1
    placeholders: int = 0
    """How many of its first readings show 0."""

    of_sessions: bool = False
    """Begins again with each charge, and counts nothing else; announced."""

    names_sessions: bool = False
    exchanged_at: int | None = None
    """After which minute another meter takes its place."""

    exchange_is_stated: bool = True


PLAIN = RegisterProfile()


def register_profile(rng: Random, *, is_alone: bool, can_be_exchanged: bool) -> RegisterProfile:
    """Draw one; `is_alone`: of a device at which one vehicle charges."""
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
