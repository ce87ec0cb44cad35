"""Stores what messages of charge points say: readings, and the start and end of transactions.

A method returns once that is committed. It may be called again with the same message: readings and
transactions are stored once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeGuard

import msgspec

from fleetmeter.access.actor import Actor, act_as
from fleetmeter.database.pool import Database
from fleetmeter.devices import transactions
from fleetmeter.devices.transactions import Start, Transaction
from fleetmeter.inputs.mapping.charge_points import ChargePoints, Outlet
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.ocpp import answers
from fleetmeter.inputs.ocpp.framing import CallError
from fleetmeter.inputs.ocpp.payloads import (
    MeterValue,
    MeterValues,
    StartTransaction,
    StopTransaction,
    TransactionEvent,
    text,
    whole,
)
from fleetmeter.inputs.ocpp.readings import (
    NO_CHARGING,
    Charging,
    Moment,
    moments_of,
    register_kwh,
    session_id_of,
)
from fleetmeter.inputs.ocpp.storing import Message, Store
from fleetmeter.inputs.ocpp.transactions import (
    Records,
    checked,
    ended_of,
    is_named,
    open_of,
    transaction_of,
)
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.ocpp import SampledValue, time_of


class _Register(NamedTuple):
    """What an outlet's register shows, and whether it is that of a transaction's start."""

    kwh: float
    begins: bool


class Recorder:
    """Stores what charge points say."""

    def __init__(self, database: Database, store: Store, rules: ChargePoints) -> None:
        self.store = store
        self.rules = rules
        self._database = database
        self._records = Records(database)

    async def meter_values(self, message: Message, said: MeterValues) -> bytes:
        """Store meter values; return the answer."""
        memory, connector, called = message.memory, said.outlet, said.transactionId
        transaction = None
        if called is not None:
            named = None if connector == 0 and is_named(called) else connector
            transaction = await transaction_of(self._records, memory, called, named)
            if not connector and transaction is not None:  # 0 is the outlet of no transaction
                connector = transaction.connector
        outlet = self.rules.outlet(memory.id, checked(connector, "connectorId or evseId"))
        if called is None and outlet.rule.measures == "dc":
            transaction = await open_of(self._records, memory, connector)
        charging = _charging(transaction, called)
        await self._store_values(message, outlet, charging, said.meterValue or ())
        return b"{}"

    async def start_transaction(self, message: Message, said: StartTransaction) -> bytes:
        """Record the start of a transaction of 1.6; return the answer with its number."""
        connector = checked(whole(said.connectorId), "connectorId")
        outlet = self.rules.outlet(message.memory.id, connector)
        at, is_arrival = self._time(message, outlet, said.timestamp)
        register = None
        if said.meterStart is not None:
            register = register_kwh(outlet, [SampledValue(said.meterStart)])
        token = self._token(text(said.idTag))
        transaction = None
        if is_arrival:  # sent again, it has another time
            open_ = await open_of(self._records, message.memory, connector)
            if open_ is not None and (open_.token, open_.register_start_kwh) == (token, register):
                transaction = open_
        if transaction is None:
            transaction = await self._begin(message, outlet, None, token, at, register)
        if said.meterStart is not None:
            await self._store_register(message, outlet, transaction, at, said.meterStart)
        return answers.started(transaction.number)

    async def stop_transaction(self, message: Message, said: StopTransaction) -> bytes:
        """Record the end of a transaction of 1.6; return the answer."""
        answer = answers.stopped(has_token=said.idTag is not None)
        memory = message.memory
        token, time = self._token(text(said.idTag)), time_of(said.timestamp) or message.arrival
        transaction = await ended_of(self._records, memory, said.transactionId, token, time)
        if transaction is None:
            self.store.note(Untaken("no_transaction", "StopTransaction"))
            return answer
        outlet = self.rules.outlet(memory.id, transaction.connector)
        at, _ = self._time(message, outlet, said.timestamp)
        charging = _charging(transaction, None)
        await self._store_values(message, outlet, charging, said.transactionData or ())
        register = None
        if said.meterStop is not None:
            register = register_kwh(outlet, [SampledValue(said.meterStop)])
            await self._store_register(message, outlet, transaction, at, said.meterStop)
        await self._finish(
            message, outlet, transaction.transaction_id, None, at, register, text(said.reason)
        )
        return answer

    async def transaction_event(self, message: Message, said: TransactionEvent) -> bytes:
        """Record the start, the course or the end of a transaction of 2.0.1; return the answer."""
        memory, called, connector = message.memory, said.called, said.outlet
        if called is None or session_id_of(called) is None:
            raise CallError(
                "OccurenceConstraintViolation",
                "transactionInfo.transactionId must be 1 to 64 printable characters",
            )
        known, transaction = memory.transaction(called)
        if not known:
            transaction = await self._records.find(memory.id, called)
        if connector is None and transaction is not None:
            connector = transaction.connector
        answer = answers.transaction_event(has_token=said.idToken is not None)
        if connector is None:
            self.store.note(Untaken("no_transaction", "TransactionEvent"))
            return answer
        outlet = self.rules.outlet(memory.id, checked(connector, "evse.id"))
        token = self._token(said.token)
        at, _ = self._time(message, outlet, said.timestamp)
        registers = await self._registers(message, outlet, said.meterValue or ())
        begun = next((each.kwh for each in registers if each.begins), None)
        if said.eventType == "Started":
            if begun is None and registers:
                begun = registers[0].kwh
            transaction = await self._begin(message, outlet, called, token, at, begun)
        elif _tells_more(transaction, token, begun):
            started_at = transaction.started_at or at
            transaction = await self._begin(message, outlet, called, token, started_at, begun)
        else:
            memory.keep(called, transaction)
        charging = _charging(transaction, called)
        await self._store_values(message, outlet, charging, said.meterValue or ())
        if said.eventType == "Ended":
            stopped = registers[-1].kwh if registers else None
            await self._finish(message, outlet, called, token, at, stopped, said.reason)
        return answer

    async def _begin(
        self,
        message: Message,
        outlet: Outlet,
        called: str | None,
        token: str | None,
        at: datetime,
        register: float | None,
    ) -> Transaction:
        await self.store.check_reach(message, outlet)
        act_as(Actor(message.principal.name, message.address))
        start = Start(
            station_id=message.memory.id,
            connector=outlet.connector,
            meter_id=outlet.meter_id,
            transaction_id=called,
            token=token,
            at=at,
            register_kwh=register,
            measures=outlet.rule.measures,
        )
        transaction = await transactions.begin(self._database, start)
        message.memory.keep_open(outlet.connector, transaction)
        return transaction

    async def _finish(
        self,
        message: Message,
        outlet: Outlet,
        called: str,
        token: str | None,
        at: datetime,
        register: float | None,
        reason: str | None,
    ) -> None:
        await self.store.check_reach(message, outlet)
        act_as(Actor(message.principal.name, message.address))
        memory = message.memory
        finished = await transactions.finish(
            self._database,
            memory.id,
            called,
            at=at,
            register_kwh=register,
            reason=reason,
            connector=outlet.connector,
            token=token,
            meter_id=outlet.meter_id,
            measures=outlet.rule.measures,
        )
        if memory.open.get(outlet.connector) == called:
            del memory.open[outlet.connector]
        memory.keep(called, finished)  # what comes late may not say the outlet

    def _time(self, message: Message, outlet: Outlet, text: object) -> tuple[datetime, bool]:
        """Return when something happened, and whether that is only when it arrived.

        So it is where a rule says so, and for a time that cannot be.
        """
        time = None if outlet.rule.stampByArrival else time_of(text)
        since, latest = self.store.bounds()
        if time is None or not since <= time <= latest:
            return message.arrival, True
        return time, False

    async def _registers(
        self, message: Message, outlet: Outlet, values: Sequence[MeterValue]
    ) -> list[_Register]:
        """Return what the register shows in some meter values, oldest first."""
        moments, _ = moments_of(values, message.arrival, by_arrival=outlet.rule.stampByArrival)
        found: list[_Register] = []
        async for moment in self.store.in_turns(moments):
            if (kwh := register_kwh(outlet, moment.sampled)) is not None:
                begins = any(each.context == "Transaction.Begin" for each in moment.sampled)
                found.append(_Register(kwh, begins))
        return found

    def _token(self, text: str | None) -> str | None:
        """Return a token, None for what cannot be one."""
        if text is None or not (stripped := text.strip(" \t\r\n\0")):
            return None
        if len(stripped) <= transactions.MOST_TOKEN and stripped.isprintable():
            return stripped
        self.store.note(Untaken("malformed", "a token that is too long, or not printable"))
        return None

    async def _store_register(
        self,
        message: Message,
        outlet: Outlet,
        transaction: Transaction,
        at: datetime,
        register: object,
    ) -> None:
        """Store what the register shows at the start or the end of a transaction."""
        moment = Moment(at, [SampledValue(register, context="Transaction.Begin")])
        await self.store.put(message, outlet, _charging(transaction, None), [moment], [])

    async def _store_values(
        self,
        message: Message,
        outlet: Outlet,
        charging: Charging,
        values: Sequence[MeterValue],
    ) -> None:
        by_arrival = outlet.rule.stampByArrival
        moments, wrong = moments_of(values, message.arrival, by_arrival=by_arrival)
        for invalid in wrong:
            invalid.sent = msgspec.json.encode({METER.id_field: outlet.meter_id})
        await self.store.put(message, outlet, charging, moments, wrong)


def _tells_more(
    transaction: Transaction | None, token: str | None, register: float | None
) -> TypeGuard[Transaction]:
    """Return whether a message says what the start of a transaction did not: a token, a register.

    A cable may be plugged in before a card is shown, and energy be metered only then.
    """
    if transaction is None or transaction.started_at is None:
        return False
    return (token is not None and transaction.token is None) or (
        register is not None and transaction.register_start_kwh is None
    )


def _charging(transaction: Transaction | None, called: object) -> Charging:
    """Return what readings have of a transaction, which may be known by its name alone."""
    if transaction is None:
        return Charging(session_id_of(called), None, None) if is_named(called) else NO_CHARGING
    return Charging(
        session_id_of(transaction.transaction_id),
        transaction.vehicle_id,
        transaction.register_start_kwh,
    )
