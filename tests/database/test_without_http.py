"""Commands get the API's answers over a database connection, without HTTP."""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import connected
from fleetmeter.database.sql import queries
from fleetmeter.devices import purge, state
from fleetmeter.devices.history import history
from fleetmeter.energy import answers
from fleetmeter.errors import SettingsError, UnknownDeviceError
from fleetmeter.readings.kinds import VEHICLE
from tests.conftest import Db, hours_ago, meter_reading, post, rfc3339, vehicle_reading


@pytest.fixture
def charged(client: httpx.Client, uid: str) -> datetime:
    """The time at which EV-1 has charged at the meter M for a minute."""
    at = hours_ago(3)
    client.put(
        f"/v1/vehicles/{uid}EV-1/meter", json={"meterId": f"{uid}M", "since": rfc3339(hours_ago(9))}
    ).raise_for_status()
    post(client, vehicle_reading(f"{uid}EV-1", at, 1), meter_reading(f"{uid}M", at, 1.25))
    return at


def test_a_command_gets_the_same_answers_as_the_api(
    client: httpx.Client, db: Db, uid: str, charged: datetime
) -> None:
    start, end = hours_ago(9), hours_ago(1)

    async def ask() -> tuple[Any, Any]:
        async with connected(db.url) as connection:
            return (
                await answers.performance(connection, f"{uid}EV-1", start, end, EVERYTHING),
                await history(connection, VEHICLE, f"{uid}EV-1", start, end, 10, EVERYTHING),
            )

    summary, readings = asyncio.run(ask())
    answer = client.get(
        f"/v1/analytics/performance/{uid}EV-1",
        params={"from": rfc3339(start), "to": rfc3339(end)},
    )
    assert msgspec.json.encode(summary) == answer.content
    assert summary.efficiency_ratio == 0.8
    assert [reading.time for reading in readings] == [charged]


def test_a_device_that_nobody_knows_is_an_error_of_its_own(db: Db, uid: str) -> None:
    async def ask() -> None:
        async with connected(db.url) as connection:
            await state.live_state(connection, VEHICLE, f"{uid}nobody", habit=3, reach=EVERYTHING)

    with pytest.raises(UnknownDeviceError, match=f"the vehicle {uid}nobody has never reported"):
        asyncio.run(ask())


def test_a_database_that_does_not_exist_is_an_error_of_the_setting(db: Db) -> None:
    async def ask(url: str) -> None:
        async with connected(url):
            pass

    scheme, _, rest = db.url.partition("://")
    host, _, name = rest.partition("/")
    other = f"{scheme}://{host}/none_such{name[name.find('?') :] if '?' in name else ''}"
    for url in (other, "nonsense"):
        with pytest.raises(SettingsError, match="FLEETMETER_DATABASE_URL cannot be used"):
            asyncio.run(ask(url))


def test_a_purge_that_collides_with_another_transaction_is_tried_again(
    db: Db, uid: str, charged: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []
    really = queries.purge_assignments

    async def collide(connection: Any, **device: str) -> Any:
        attempts.append(device)
        if len(attempts) < 3:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return await really(connection, **device)

    monkeypatch.setattr(queries, "purge_assignments", collide)
    assert asyncio.run(purge.purge(db.url, "vehicle", f"{uid}EV-1")) == []
    assert len(attempts) == 3
    assert asyncio.run(purge.kind_of(db.url, f"{uid}EV-1")) is None
