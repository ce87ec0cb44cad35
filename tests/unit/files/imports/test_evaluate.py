"""`fleetmeter import --evaluate` accounts for hours while the rules look at them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.files.imports import evaluate


class Accounts:
    """A database that accounts for hours in a way of the test's."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self.ended: list[str] = []

    async def run(self, statement: str) -> None:
        try:
            await self._work()
        finally:
            self.ended.append(statement)


def accounting(accounts: Accounts, *, is_stopped: bool) -> None:
    """Run it beside a block that does nothing but give way."""

    async def work() -> None:
        async with evaluate._accounting(cast(Database, accounts), lambda: is_stopped):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(work(), 10))


def test_an_import_waits_until_hours_are_accounted_for() -> None:
    accounts = Accounts(lambda: asyncio.sleep(0.01))
    accounting(accounts, is_stopped=False)
    assert accounts.ended == [queries.account_hours_until_now.sql]


def test_an_import_that_is_stopped_ends_its_accounting() -> None:
    accounts = Accounts(lambda: asyncio.sleep(3600))
    accounting(accounts, is_stopped=True)
    assert accounts.ended == [queries.account_hours_until_now.sql]


def test_an_error_while_accounting_is_not_lost() -> None:
    async def fails() -> None:
        raise DatabaseUnavailableError("it is gone")

    with pytest.raises(DatabaseUnavailableError, match="it is gone"):
        accounting(Accounts(fails), is_stopped=False)
