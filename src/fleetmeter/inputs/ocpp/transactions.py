"""Finds the transaction that a message is about, by what the charge point calls it.

That is not always the number that it was given: some send 0 or -1, and where another central system
answers beside this one, its numbers.
"""

from fleetmeter.database.pool import Database
from fleetmeter.devices.transactions import Transaction, find, open_at
from fleetmeter.inputs.ocpp.memory import Memory
from fleetmeter.readings.ids import is_session_id

_NONE = frozenset({"0", "-1", ""})


def is_named(called: object) -> bool:
    """Return whether a message names a transaction; 0 and -1 are of chargers that know none."""
    return called is not None and str(called) not in _NONE


_MOST_OUTLETS = 4
"""Outlets that are asked for an open transaction when a message names none."""


class Records:
    """The transactions in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, station_id: str, transaction_id: str) -> Transaction | None:
        """Return a transaction by what its station calls it."""
        return await find(self._database, station_id, transaction_id)

    async def open_at(self, station_id: str, connector: int) -> Transaction | None:
        """Return the newest open transaction of an outlet."""
        return await open_at(self._database, station_id, connector)


async def transaction_of(
    records: Records, memory: Memory, called: object, connector: int | None
) -> Transaction | None:
    """Return a transaction by what a message calls it, at an outlet if it names one.

    Raises DatabaseUnavailableError.
    """
    if not is_named(called):
        return await open_of(records, memory, connector)
    text = str(called)
    if not is_session_id(text):  # and so no transaction's
        return None if connector is None else await open_of(records, memory, connector)
    known, transaction = memory.transaction(text)
    if known:
        return transaction
    transaction = await records.find(memory.id, text)
    if transaction is not None and connector not in (None, transaction.connector):
        transaction = None  # the number is another central system's
    if transaction is None and connector is not None:
        transaction = await open_of(records, memory, connector)
    memory.keep(text, transaction)
    return transaction


async def open_of(records: Records, memory: Memory, connector: int | None) -> Transaction | None:
    """Return the open transaction of an outlet; without one, of the only outlet that has one.

    Raises DatabaseUnavailableError.
    """
    if connector is not None:
        if (called := memory.open.get(connector)) is not None:
            known, transaction = memory.transaction(called)
            if known:
                return transaction
        transaction = await records.open_at(memory.id, connector)
        if transaction is not None:
            memory.open[connector] = transaction.transaction_id
            memory.keep(transaction.transaction_id, transaction)
        return transaction
    outlets = set(memory.open) or set(range(1, _MOST_OUTLETS + 1))
    found = [await open_of(records, memory, each) for each in sorted(outlets)[:_MOST_OUTLETS]]
    there = [each for each in found if each is not None]
    return there[0] if len(there) == 1 else None
