"""Tokens: the driver and the vehicle that an RFID card or an app stands for at charging stations.

A token's number is personal data. It is not written to the audit log, and `forget` can erase it
from the transactions that it was used for.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from fleetmeter.access.audit import record
from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.assignments import restamp
from fleetmeter.devices.transactions import record_change
from fleetmeter.errors import FleetMeterError, OutOfReachError

_AT_A_TIME = 200
"""Transactions that are taken over at a time: nothing else is stored meanwhile."""

_SHOWN = 4
"""How many characters of a token the audit log shows, at most half of it."""


class UnknownTokenError(FleetMeterError):
    """Nobody has said whom a token stands for."""


class TokenHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for, and since when."""

    token: str
    driver: str | None
    vehicle_id: str | None
    since: datetime | None
    """None: always."""


class Changed(NamedTuple):
    """Whom a token stands for now, and how many transactions were changed by that."""

    holder: TokenHolder
    transactions: int
    restamped: int
    """How many stored readings have another meter."""


async def set_holder(
    database: Database,
    token: str,
    *,
    driver: str | None,
    vehicle_id: str | None,
    since: datetime | None,
    reach: Reach,
) -> Changed:
    """Say whom a token stands for from a time on, and take over its transactions since then.

    By default that is now; if it has stood for nobody, always, and transactions that it stood for
    nobody in are taken over. Raises OutOfReachError for a limited reach.
    """
    _require_everything(reach)

    async def store() -> TokenHolder:
        async with database.transaction() as connection:
            before = await _holder(connection, token)
            stated = await queries.set_token(
                connection, token=token, driver=driver, vehicle_id=vehicle_id, since=since
            )
            holder = TokenHolder(
                token=token, driver=driver, vehicle_id=vehicle_id, since=stated["since"]
            )
            if stated["is_changed"]:
                await record(
                    connection,
                    "set-token",
                    f"token {masked(token)}",
                    before=_audited(before),
                    after=_audited(holder),
                )
            return holder

    holder = await retried(store)
    transactions, restamped = await _take_over(
        database, token, holder.since, all_=since is not None
    )
    return Changed(holder, transactions, restamped)


async def _take_over(
    database: Database, token: str, since: datetime | None, *, all_: bool
) -> tuple[int, int]:
    """Bring the transactions of a token since then into line with whom it stands for."""

    async def run() -> tuple[int, set[int]]:
        async with database.transaction() as connection:
            taken, vehicles = 0, set()
            rows = queries.take_over_transactions(
                connection, token=token, since=since, all=all_, most=_AT_A_TIME
            )
            for row in [row async for row in rows]:
                taken = row["taken"]
                if row["vehicle"] is not None:
                    vehicles.add(row["vehicle"])
                    await record_change(connection, row)
            return taken, vehicles

    transactions = restamped = 0
    taken = _AT_A_TIME
    while taken == _AT_A_TIME:
        taken, vehicles = await retried(run)
        transactions += taken
        restamped += await restamp(database, vehicles)
    return transactions, restamped


async def holder_of(connection: Connection, token: str, reach: Reach) -> TokenHolder:
    """Return whom a token stands for. Raises UnknownTokenError, also outside the reach."""
    found = await _holder(connection, token)
    if found is not None and not reach.whole:
        within = found.vehicle_id is not None and await queries.device_within_reach(
            connection, kind="vehicle", device_id=found.vehicle_id, **reach.parameters()
        )
        found = found if within else None
    if found is None:
        raise UnknownTokenError("nobody has said whom that token stands for")
    return found


async def holders(
    connection: Connection, after: str, vehicle_id: str | None, most: int, reach: Reach
) -> list[TokenHolder]:
    """Return a page of whom tokens stand for, in the order of their folded numbers."""
    rows: AsyncIterator[Any] = queries.token_holders(
        connection, after=after, vehicle_id=vehicle_id, limit=most, **reach.parameters()
    )
    return [_shown(row) async for row in rows]


async def forget(database: Database, token: str, reach: Reach, *, erase: bool) -> None:
    """Delete whom a token stands for; with `erase`, erase it from its transactions as well.

    The transactions keep their vehicles. Raises UnknownTokenError, and OutOfReachError for a
    limited reach.
    """
    _require_everything(reach)

    async def run() -> bool:
        async with database.transaction() as connection:
            before = await _holder(connection, token)
            forgotten = await queries.forget_token(connection, token=token)
            erased = await queries.erase_token(connection, token=token) if erase else 0
            if forgotten or erased:
                await record(
                    connection,
                    "forget-token",
                    f"token {masked(token)}",
                    before=_audited(before),
                    after={"erased_from_transactions": erased} if erase else None,
                )
            return bool(forgotten or erased)

    if not await retried(run):
        raise UnknownTokenError("nobody has said whom that token stands for")


def folded(token: str) -> str:
    """Return a token as it is compared: as lower() of a text with the collation "C"."""
    return "".join(each.lower() if each.isascii() else each for each in token)


def masked(token: str) -> str:
    """Return the end of a token, for the audit log, from which nothing can be erased."""
    shown = min(_SHOWN, len(token) // 2)
    return "…" + token[len(token) - shown :]


async def _holder(connection: Connection, token: str) -> TokenHolder | None:
    row = await queries.token_holder(connection, token=token)
    return None if row is None else _shown(row)


def _shown(row: Any) -> TokenHolder:
    return TokenHolder(
        token=row["token"],
        driver=row["driver"],
        vehicle_id=row["vehicle_id"],
        since=row["since"],
    )


def _audited(holder: TokenHolder | None) -> dict[str, Any] | None:
    if holder is None:
        return None
    return {
        "vehicle_id": holder.vehicle_id,
        "has_driver": holder.driver is not None,
        "since": holder.since,
    }


def _require_everything(reach: Reach) -> None:
    if not reach.whole:
        raise OutOfReachError("tokens are the fleet's: a key without limits may change them")
