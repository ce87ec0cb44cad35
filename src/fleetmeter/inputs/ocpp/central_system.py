"""The charge points that are connected to this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any

import msgspec
import structlog

from fleetmeter.access.principal import Principal
from fleetmeter.access.reach import Reach
from fleetmeter.background import repeat, running, stopped
from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.ocpp.answers import Version
from fleetmeter.inputs.ocpp.charge_point import ChargePoint
from fleetmeter.inputs.ocpp.memory import Memories
from fleetmeter.inputs.ocpp.recording import Recorder
from fleetmeter.readings.ids import is_device_id

_CHECK_S = 2.0
"""How often the keys of connections are checked, seconds; one that was revoked is known within
two, and must end its connection within five."""

_AT_A_TIME = 500
"""Connections that are checked before others have their turn."""

_LOG_S = 60.0

_FIRST_CONNECTOR = 1

_log = structlog.get_logger()


class RefusedError(FleetMeterError):
    """A charge point may not connect with this key."""


class NoMeterError(FleetMeterError):
    """Nothing of a charge point could be stored: its meter would have an id that none can have."""


class ConnectedChargePoint(msgspec.Struct, rename="camel"):
    """A charge point that is connected to the process that answers."""

    charge_point: str
    version: Version
    vendor: str | None
    """What its BootNotification said; null until there is one on this connection."""

    model: str | None
    firmware: str | None
    last_message_at: datetime


class CentralSystem:
    """Knows who is connected; a charge point that connects again replaces itself."""

    def __init__(self, recorder: Recorder, sample_s: int) -> None:
        """Tell chargers to sample every `sample_s` seconds, or nothing for 0."""
        self.recorder = recorder
        self.sample_s = sample_s
        self.memories = Memories()
        self._connected: dict[str, ChargePoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_stored = 0
        """Messages since the last line in the log."""
        self._log_at = 0.0

    def __len__(self) -> int:
        """Return how many charge points are connected."""
        return len(self._connected)

    def charge_point(
        self,
        charge_point: str,
        version: Version,
        holder: Principal,
        principal: Callable[[], Principal | None],
        address: str,
    ) -> ChargePoint:
        """Return a new connection of a charge point, for somebody to listen to.

        Raises RefusedError for a key that reaches none of its meters, or would end the connection
        that another key has, and NoMeterError.
        """
        outlet = self.recorder.rules.outlet(charge_point, _FIRST_CONNECTOR)
        if not is_device_id(outlet.meter_id):
            raise NoMeterError(
                f"its meter would be {outlet.meter_id}, which is longer than 64 characters; "
                "a rule with meterId in the mapping file can give it another"
            )
        patterns = Reach(holder.reach.devices)
        if not (patterns.includes(outlet.meter_id, None) or patterns.includes(charge_point, None)):
            raise RefusedError(
                f"the key reaches neither {charge_point} nor its meter {outlet.meter_id}"
            )
        there = self._connected.get(charge_point)
        if there is not None and there.name != holder.name and not holder.reach.whole:
            raise RefusedError(f"{charge_point} is connected with another key")
        return ChargePoint(charge_point, version, holder.name, principal, address, self)

    def connect(self, charge_point: ChargePoint) -> None:
        """Let a connection count, in the place of an older one of the same charge point."""
        older = self._connected.get(charge_point.id)
        self._connected[charge_point.id] = charge_point
        self.memories.connected(charge_point.id)
        if older is not None:
            older.replaced()

    def disconnect(self, charge_point: ChargePoint) -> None:
        """Forget a connection."""
        if self._connected.get(charge_point.id) is charge_point:
            del self._connected[charge_point.id]

    def could_not_store(self, charge_point: str, why: str) -> None:
        """Log that a message was not stored in time, at most once a minute."""
        self._not_stored += 1
        if monotonic() >= self._log_at:
            _log.warning(
                "messages of charge points cannot be stored",
                times=self._not_stored,
                last_charge_point=charge_point,
                why=why,
            )
            self._not_stored, self._log_at = 0, monotonic() + _LOG_S

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the answers, until it ends or the service stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["CentralSystem"]:
        """Check keys for the length of the block."""
        try:
            async with running(repeat("ocpp keys", self._check_keys, _CHECK_S)):
                yield self
        finally:
            await stopped(list(self._tasks))

    async def _check_keys(self) -> None:
        """Close what has a key that does not count. Raises DatabaseUnavailableError."""
        for number, charge_point in enumerate(list(self._connected.values()), 1):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            charge_point.check_key()

    def shown(self, most: int) -> list[ConnectedChargePoint]:
        """Return those that sent something last, at most so many."""
        newest = sorted(self._connected.values(), key=lambda each: each.last_at, reverse=True)
        return [_shown(each) for each in newest[:most]]


def _shown(each: ChargePoint) -> ConnectedChargePoint:
    return ConnectedChargePoint(each.id, each.version, *each.charger, each.last_at)
