"""Counts messages and fields of messages that no rule takes, so that nothing goes unseen."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Dict
from datetime import UTC, datetime

import msgspec
import structlog

from fleetmeter.inputs.mapping.rules import Reason, Untaken
from fleetmeter.metrics import UNTAKEN, Protocol

_MOST = 1000
"""Names that are counted by themselves; the rest is counted together, under OTHERS."""

OTHERS = "(others)"

_MOST_NAME = 200
"""Characters that are kept of a name."""

_log = structlog.get_logger()


class UntakenCount(msgspec.Struct, rename="camel"):
    """How often something was not taken, since the process started."""

    protocol: Protocol
    reason: Reason
    what: str
    """The message's name (measurement, topic), and the field or tag behind a dot."""

    count: int
    first_at: datetime
    last_at: datetime


class UntakenCounter:
    """Counts in bounded memory, and logs each name once."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Protocol, Reason, str], UntakenCount] = {}

    def note(self, protocol: Protocol, found: Iterable[Untaken] | Dict[Untaken, int]) -> None:
        """Count what was not taken, each once, or as often as is said."""
        now = datetime.now(UTC)
        for (reason, name), times in Counter(found).items():
            UNTAKEN.labels(protocol, reason).inc(times)
            what = name[:_MOST_NAME]
            key = (protocol, reason, what)
            if key not in self._counts and len(self._counts) >= _MOST:
                key = (protocol, reason, OTHERS)
            if (count := self._counts.get(key)) is None:
                self._counts[key] = UntakenCount(*key, times, now, now)
                _log.warning("no rule of the mapping takes this", what=key[2], reason=reason)
            else:
                count.count += times
                count.last_at = now

    def counts(self) -> list[UntakenCount]:
        """Return the counts, the most frequent first."""
        return sorted(self._counts.values(), key=lambda each: -each.count)
