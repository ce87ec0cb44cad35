"""The limits of the queue: how many readings wait, and how many bytes of bodies are in flight."""

from fleetmeter.byte_budget import ByteBudget
from fleetmeter.errors import QueueFullError
from fleetmeter.settings import Settings


class QueueLimits:
    """Counts readings and bytes, and refuses what would be too much."""

    def __init__(self, settings: Settings) -> None:
        self._max_readings = settings.queue_readings
        self.readings = 0
        """Number of readings that wait for their commit."""
        self.bodies = ByteBudget(max(settings.queue_bytes, settings.max_body_bytes))

    def check_room(self) -> None:
        """Raise QueueFullError if the readings that wait fill the queue."""
        if self.readings >= self._max_readings:
            raise QueueFullError("too many readings are waiting to be committed")
