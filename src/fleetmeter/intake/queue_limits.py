"""The limits of the queue: how many readings wait, and how many bytes of bodies are in flight."""

from collections.abc import Callable

from fleetmeter.errors import QueueFullError
from fleetmeter.settings import Settings


class QueueLimits:
    """Counts readings and bytes, and refuses what would be too much."""

    def __init__(self, settings: Settings) -> None:
        self._max_readings = settings.queue_readings
        self._max_bytes = max(settings.queue_bytes, settings.max_body_bytes)
        self.readings = 0
        """Number of readings that wait for their commit."""
        self.bytes = 0
        """Size of all request bodies in progress."""

    def check_room(self) -> None:
        """Raise QueueFullError if the readings that wait fill the queue."""
        if self.readings >= self._max_readings:
            raise QueueFullError("too many readings are waiting to be committed")

    def count_bytes(self, size: int, own: int) -> None:
        """Count bytes that a request brings, negative when it is done; `own` is what it has.

        Raises QueueFullError when all requests have too many, but never for one that is alone: it
        would come again in vain.
        """
        self.bytes += size
        if size > 0 and self.bytes > self._max_bytes and self.bytes > own:
            raise QueueFullError("too many bytes are being processed")


class Admission:
    """Counts the bytes of one request, and takes them back at the end of the block."""

    __slots__ = ("_bytes", "_limits")

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._bytes = 0

    def __enter__(self) -> Callable[[int], None]:
        return self._count

    def _count(self, size: int) -> None:
        self._bytes += size
        self._limits.count_bytes(size, self._bytes)

    def __exit__(self, *_: object) -> None:
        self._limits.count_bytes(-self._bytes, 0)
