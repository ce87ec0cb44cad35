"""Stores readings of charge points, within the limits of the keys that they connect with."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from fleetmeter.access.actor import Actor, act_as
from fleetmeter.access.principal import Principal
from fleetmeter.access.rates import Rates
from fleetmeter.database.pool import Database
from fleetmeter.devices.session_counters import count_by_session
from fleetmeter.inputs.mapping.charge_points import Outlet
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.ocpp.framing import CallError
from fleetmeter.inputs.ocpp.memory import Memory
from fleetmeter.inputs.ocpp.readings import Charging, Moment, counted_once, readings_of
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.intake.door import Door
from fleetmeter.intake.within_reach import Sites
from fleetmeter.readings.decode import Item
from fleetmeter.readings.ids import is_device_id
from fleetmeter.readings.kinds import KIND_OF, METER, VEHICLE
from fleetmeter.readings.telemetry import Telemetry

_MOST_SESSION_COUNTERS = 100_000
"""Devices of which it is known that their registers count by session."""

_AT_A_TIME = 1000
"""Values that are looked at before others have their turn."""

_ITEM_BYTES = 500
"""What a reading takes in memory on its way, bytes, about."""

_log = structlog.get_logger()


class Message(NamedTuple):
    """What is known of a message beside its payload."""

    memory: Memory
    principal: Principal
    address: str
    size: int
    """Bytes."""

    arrival: datetime


class Store:
    """Stores readings through the door."""

    def __init__(
        self, database: Database, door: Door, rates: Rates, untaken: UntakenCounter
    ) -> None:
        self.rates = rates
        self.bounds = door.bounds
        """Between which times readings are taken at present."""
        self._database = database
        self._door = door
        self._untaken = untaken
        self._sites = Sites(database)
        self._session_counters: set[tuple[str, str]] = set()

    def note(self, untaken: Untaken) -> None:
        """Count what is not taken of a message."""
        self._untaken.note("ocpp", [untaken])

    async def in_turns(self, moments: Sequence[Moment]) -> AsyncIterator[Moment]:
        """Yield moments, and let others have their turn between them."""
        values = 0
        for moment in moments:
            if values > _AT_A_TIME:
                await self._door.slices.turn()
                values = 0
            values += 1 + len(moment.sampled)
            yield moment

    async def check_reach(self, message: Message, outlet: Outlet) -> None:
        """Raise CallError for a transaction at a meter that the key does not reach."""
        reach, device = message.principal.reach, (METER.name, outlet.meter_id)
        if reach.whole:
            return
        site = None
        if reach.sites and is_device_id(outlet.meter_id):
            site = (await self._sites.of([device]))[device]
        if not reach.includes(outlet.meter_id, site):
            raise CallError("SecurityError", f"{outlet.meter_id} is not within the key's reach")

    async def put(
        self,
        message: Message,
        outlet: Outlet,
        charging: Charging,
        moments: Sequence[Moment],
        wrong: Sequence[Item],
    ) -> None:
        """Store what was measured. Raises what the door raises, and RateExceededError."""
        memory = message.memory
        memory.make_room(outlet.connector)
        counted_once(moments, memory.counted, outlet.connector)
        items: list[Item] = list(wrong)
        async for moment in self.in_turns(moments):
            items += readings_of(outlet, charging, [moment], self.note)
        items = [item for item in items if memory.is_new(item)]
        if not items:
            return
        principal = message.principal
        await self._declare_session_counters(message, outlet, items)
        allowance = self.rates.of(principal)
        allowance.readings.take(0)
        with self._door.admitted() as count:
            count(message.size + _ITEM_BYTES * len(items))
            outcome = await self._door.store(items, "ocpp", principal.reach)
        if not outcome.rejected:
            memory.stored(items)
        allowance.readings.charge(len(items))
        allowance.bytes.charge(message.size)

    async def _declare_session_counters(
        self, message: Message, outlet: Outlet, items: Sequence[Item]
    ) -> None:
        """Set that registers count by session where they do, once for each device."""
        for item in items:
            if not isinstance(item, Telemetry):
                continue
            if item.vehicle_id is not None and item.kwh_delivered_dc_total is not None:
                device = (VEHICLE.name, item.vehicle_id)
            elif item.meter_id is not None and outlet.rule.register == "session":
                device = (METER.name, item.meter_id)
            else:
                continue
            if device in self._session_counters:
                continue
            act_as(Actor(message.principal.name, message.address))
            kind, id_ = device
            is_set = await count_by_session(
                self._database, KIND_OF[kind], id_, message.principal.reach
            )
            if not is_set:
                _log.warning("its registers are set not to count by session", kind=kind, device=id_)
            if len(self._session_counters) >= _MOST_SESSION_COUNTERS:
                self._session_counters.clear()
            self._session_counters.add(device)


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
