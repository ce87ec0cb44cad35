"""Counts and logs what the HTTP server refuses: a line a minute for each reason."""

from time import monotonic

import structlog
from litestar.status_codes import HTTP_408_REQUEST_TIMEOUT, HTTP_503_SERVICE_UNAVAILABLE

from fleetmeter.connections.problem_documents import Problem
from fleetmeter.metrics import Denial, count_denied

LOG_S = 60.0
"""How often a line is logged for the same reason at most, seconds."""

_DENIALS: dict[int, Denial] = {
    HTTP_503_SERVICE_UNAVAILABLE: "connections",
    HTTP_408_REQUEST_TIMEOUT: "slow",
}
"""How refusals are counted in metrics, by status; others are malformed."""

_log = structlog.get_logger()


class RefusalLog:
    """Counts reasons, which are few and fixed, between the lines."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._next_at: dict[str, float] = {}

    def refused(self, refusal: Problem, address: str) -> None:
        """Count a request that is refused, and note the reason."""
        count_denied(_DENIALS.get(refusal.status, "malformed"))
        self.note(refusal.detail, address)

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
