"""A budget of bytes for what requests bring, so that many bodies at once do not fill the memory."""

from collections.abc import Callable

from fleetmeter.errors import QueueFullError


class ByteBudget:
    """Counts the bytes of all requests in progress, and refuses what would be too much."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.used = 0
        """Bytes of all requests in progress."""

    def count(self, size: int, own: int) -> None:
        """Count bytes that a request brings, negative when it is done; `own` is what it has.

        Raises QueueFullError when all requests have too many, but never for one that is alone: it
        would come again in vain.
        """
        self.used += size
        if size > 0 and self.used > self._most and self.used > own:
            raise QueueFullError("too many bytes are being processed")

    def counted(self) -> "Counted":
        """Return a context manager that yields a function, to be called with each piece's size.

        The function raises QueueFullError when all requests together hold too many bytes.
        """
        return Counted(self)


class Counted:
    """Counts the bytes of one request, and takes them back at the end of the block."""

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Callable[[int], None]:
        return self._count

    def _count(self, size: int) -> None:
        self._bytes += size
        self._budget.count(size, self._bytes)

    def __exit__(self, *_: object) -> None:
        self._budget.count(-self._bytes, 0)
