"""What is remembered of a charge point between messages, and between its connections.

All of it can be forgotten: then the database is asked, and what is sent again is stored again
under the same keys.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from time import monotonic

from fleetmeter.devices.transactions import Transaction
from fleetmeter.readings.decode import Item
from fleetmeter.readings.telemetry import NUMBERS, Telemetry, attribute

_MEASURED = tuple(map(attribute, NUMBERS))

_MOST_READINGS = 4
_MOST_ANSWERS = 8
_MOST_TRANSACTIONS = 32
_MOST_OUTLETS = 256

_KNOWN_FOR_S = 120.0
"""How long a transaction is remembered as it was, seconds: its token may get another vehicle."""

_UNKNOWN_FOR_S = 60.0

_NOBODYS_FOR_S = 5.0
"""Likewise where direct current has no vehicle: what is measured is lost until it gets one."""


class Memory:
    """What is remembered of one charge point."""

    __slots__ = ("_answers", "_readings", "_transactions", "counted", "id", "open", "refused")

    def __init__(self, charge_point: str) -> None:
        self.id = charge_point
        self.counted: dict[int, str] = {}
        """What counts the energy of each outlet; see readings.counted_once."""
        self.open: dict[int, str] = {}
        """The transaction of each outlet, as the charge point calls it."""
        self.refused: set[str] = set()
        """Settings of which it did not take the best value; they are not tried again."""
        self._readings: list[Telemetry] = []
        """What was stored last."""
        self._answers: OrderedDict[bytes, bytes] | None = None
        self._transactions: OrderedDict[str, tuple[Transaction | None, float]] | None = None

    def is_new(self, item: Item) -> bool:
        """Leave out of a reading what was stored of its moment; return whether anything is left.

        Chargers say a moment twice: as the start of a transaction and its first sample, or by the
        clock and by the interval, with values that differ by a little. What comes first, stays.
        """
        if not isinstance(item, Telemetry):
            return True
        for known in self._readings:
            if (item.timestamp, item.meter_id, item.vehicle_id) == (
                known.timestamp,
                known.meter_id,
                known.vehicle_id,
            ):
                for name in _MEASURED:
                    if getattr(known, name) is not None:
                        setattr(item, name, None)
        return any(getattr(item, name) is not None for name in _MEASURED)

    def stored(self, items: Sequence[Item]) -> None:
        """Remember the newest readings that were stored."""
        found = [each for each in items[-_MOST_READINGS:] if isinstance(each, Telemetry)]
        self._readings = [*self._readings, *found][-_MOST_READINGS:]

    def answer(self, digest: bytes) -> bytes | None:
        """Return what was answered to a message that is sent again."""
        return None if self._answers is None else self._answers.get(digest)

    def answered(self, digest: bytes, answer: bytes) -> None:
        """Remember an answer."""
        if self._answers is None:
            self._answers = OrderedDict()
        self._answers[digest] = answer
        if len(self._answers) > _MOST_ANSWERS:
            self._answers.popitem(last=False)

    def transaction(self, called: str) -> tuple[bool, Transaction | None]:
        """Return whether it is known what a transaction is, and the transaction, if it is one."""
        found = None if self._transactions is None else self._transactions.get(called)
        if found is None or found[1] < monotonic():
            return False, None
        return True, found[0]

    def keep_open(self, connector: int, transaction: Transaction) -> None:
        """Remember the transaction of an outlet."""
        self.make_room(connector)
        self.open[connector] = transaction.transaction_id
        self.keep(transaction.transaction_id, transaction)

    def forget_transactions(self) -> None:
        """Forget what is known of transactions."""
        self.open.clear()
        self._transactions = None

    def make_room(self, connector: int) -> None:
        """Forget the outlets before another one would be too many."""
        for known in (self.counted, self.open):
            if connector not in known and len(known) >= _MOST_OUTLETS:
                known.clear()

    def keep(self, called: str, transaction: Transaction | None) -> None:
        """Remember a transaction by what the charge point calls it, or that there is none."""
        if self._transactions is None:
            self._transactions = OrderedDict()
        known_s = _KNOWN_FOR_S
        if transaction is None:
            known_s = _UNKNOWN_FOR_S
        elif transaction.measures == "dc" and transaction.vehicle_id is None:
            known_s = _NOBODYS_FOR_S
        self._transactions[called] = (transaction, monotonic() + known_s)
        self._transactions.move_to_end(called)
        if len(self._transactions) > _MOST_TRANSACTIONS:
            self._transactions.popitem(last=False)


def digest_of(*parts: bytes) -> bytes:
    """Return a digest that identifies a message; chargers use ids again after a restart."""
    return blake2b(b"\0".join(parts), digest_size=16).digest()


class Memories:
    """The memories of charge points, bounded: those that were used longest ago are forgotten."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: OrderedDict[str, Memory] = OrderedDict()

    def connected(self, charge_point: str) -> None:
        """Forget the transactions of a charge point: it may have been at another process."""
        if (memory := self._known.get(charge_point)) is not None:
            memory.forget_transactions()

    def of(self, charge_point: str) -> Memory:
        """Return what is remembered of a charge point."""
        memory = self._known.get(charge_point)
        if memory is None:
            memory = self._known[charge_point] = Memory(charge_point)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(charge_point)
        return memory
