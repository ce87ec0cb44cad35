"""Logs what the HTTP server refuses: a line a minute for each reason, however often it happens."""

from time import monotonic

import structlog

LOG_S = 60.0
"""How often a line is logged for the same reason at most, seconds."""

_log = structlog.get_logger()


class RefusalLog:
    """Counts reasons, which are few and fixed, between the lines."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._next_at: dict[str, float] = {}

    def note(self, reason: str, address: str) -> None:
        """Count a reason, and log it unless that was done within the last minute."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        now = monotonic()
        if now >= self._next_at.get(reason, 0.0):
            self._next_at[reason] = now + LOG_S
            _log.warning(
                "refused by the server",
                reason=reason,
                times=self._counts.pop(reason),
                last_address=address,
            )
