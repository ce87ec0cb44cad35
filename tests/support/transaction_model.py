"""Transactions and the assignments that follow from them, by their definition: a naive model.

docs/inputs/transactions.md has the rules. Everything is asked of one time; nothing is worked out in
the order in which messages came.
"""

from datetime import datetime
from typing import NamedTuple


class Began(NamedTuple):
    """What a station says about the start of a transaction."""

    station: str
    connector: int
    own_id: str | None
    token: str | None
    at: datetime
    register: float

    @property
    def meter(self) -> str:
        return f"{self.station}-{self.connector}"


class Ended(NamedTuple):
    """What it says about the end."""

    at: datetime
    register: float


class Charge(NamedTuple):
    """A transaction, as far as it has been reported."""

    began: Began
    ended: Ended | None
    start_is_lost: bool

    @property
    def start(self) -> datetime | None:
        return None if self.start_is_lost else self.began.at


class Held(NamedTuple):
    """Whom a token stands for from a time on."""

    token: str
    vehicle: str
    since: datetime


class Said(NamedTuple):
    """A person's assignment."""

    vehicle: str
    meter: str | None
    since: datetime


class Depot(NamedTuple):
    """Everything that has been said."""

    charges: list[Charge]
    holders: list[Held]
    said: list[Said]

    def vehicle_of(self, charge: Charge) -> str | None:
        """Whom the token stood for when the transaction began, or else ended."""
        at = charge.start or (charge.ended and charge.ended.at)
        found = [
            held
            for held in self.holders
            if at and charge.began.token
            if held.token == charge.began.token.lower() and held.since <= at
        ]
        return max(found, key=lambda held: held.since).vehicle if found else None

    def is_over(self, charge: Charge, at: datetime) -> bool:
        """Whether a transaction is over: it has ended, or must have."""
        if charge.ended is not None:
            return charge.ended.at <= at
        return any(
            other.start is not None
            and charge.began.at < other.start <= at
            and (
                (other.began.station, other.began.connector)
                == (charge.began.station, charge.began.connector)
                or self.vehicle_of(other) == self.vehicle_of(charge)
            )
            for other in self.charges
        )

    def meter(self, vehicle: str, at: datetime) -> str | None:
        """The meter that a vehicle is assigned to at a time."""
        there = [
            (charge.start, charge.began.station, charge.began.connector, charge.began.meter)
            for charge in self.charges
            if charge.start is not None and charge.start <= at
            if self.vehicle_of(charge) == vehicle and not self.is_over(charge, at)
        ]
        said = [(each.since, each.meter) for each in self.said if each.vehicle == vehicle]
        last = max((each for each in said if each[0] <= at), default=None, key=lambda s: s[0])
        if there and (last is None or last[0] < max(there)[0]):
            return max(there)[3]
        return last[1] if last else None
