"""What a station says about its transactions, told to the functions that record them."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from fleetmeter.database.pool import Database, connect
from fleetmeter.devices.transactions import Start, Transaction, begin, finish
from fleetmeter.settings import Settings

T = TypeVar("T")


class Station:
    """Reports transactions of one connector, through connections of its own."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        self._runner = runner
        self.database = database

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(what)

    def begins(self, uid: str, at: datetime, **said: Any) -> Transaction:
        return self.run(begin(self.database, start(uid, at, **said)))

    def finishes(
        self, uid: str, transaction_id: str | None, at: datetime, **said: Any
    ) -> Transaction | None:
        values: dict[str, Any] = {"register_kwh": 110.0, "reason": "Local"} | said
        return self.run(finish(self.database, f"{uid}S", transaction_id, at=at, **values))


def start(uid: str, at: datetime, **said: Any) -> Start:
    """A start at the first connector of a station, whose meter is the uid with M."""
    usual = Start(
        station_id=f"{uid}S",
        connector=1,
        meter_id=f"{uid}M",
        transaction_id=None,
        token=f"{uid}card",
        at=at,
        register_kwh=100.0,
        measures="ac",
    )
    return msgspec.structs.replace(usual, **said)


@contextmanager
def reporting(url: str) -> Iterator[Station]:
    """Connect a station to a database for the length of the block."""
    with asyncio.Runner() as runner:
        database = runner.run(connect(url, Settings()))
        yield Station(runner, database)
        runner.run(database.close())
