"""Assignments are exact to the reading, and readings already stored follow them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import groupby
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import (
    Db,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.locks import until_blocked

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


def assign(client: httpx.Client, vehicle: str, meter: str | None, since: Any = None) -> Any:
    body = {"meterId": meter} | ({"since": rfc3339(since)} if since else {})
    answer = client.put(f"/v1/vehicles/{vehicle}/meter", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stamps(db: Db, vehicle: str) -> list[str | None]:
    rows = db.fetch(
        "select meter_id from vehicle_readings where vehicle_id = $1 order by time", vehicle
    )
    return [row["meter_id"] for row in rows]


def test_an_assignment_is_in_force_from_its_time_until_the_next(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(5)
    assign(client, f"{uid}EV", f"{uid}A", start + MINUTE)
    assign(client, f"{uid}EV", f"{uid}B", start + 3 * MINUTE)
    assign(client, f"{uid}EV", None, start + 4 * MINUTE)
    post(client, *(vehicle_reading(f"{uid}EV", start + n * MINUTE) for n in range(5)))
    assert stamps(db, f"{uid}EV") == [None, f"{uid}A", f"{uid}A", f"{uid}B", None]


def test_a_change_in_the_past_restamps_the_readings_it_affects_and_no_others(
    client: httpx.Client, db: Db, uid: str
) -> None:
    vehicle, start = f"{uid}EV", hours_ago(50)
    post(client, *(vehicle_reading(vehicle, start + n * MINUTE) for n in range(6)))
    post(client, vehicle_reading(f"{uid}other", start))
    post(client, vehicle_reading(vehicle, start + 6 * MINUTE, meterId=f"{uid}own"))
    assign(client, vehicle, f"{uid}B", start + 4 * MINUTE)

    changed = assign(client, vehicle, f"{uid}A", start + 2 * MINUTE)

    assert changed["restamped"] == 2
    assert changed["until"] == rfc3339(start + 4 * MINUTE)
    a, b = f"{uid}A", f"{uid}B"
    assert stamps(db, vehicle) == [None, None, a, a, b, b, f"{uid}own"]
    assert stamps(db, f"{uid}other") == [None]
    assert client.get(f"/v1/vehicles/{vehicle}").json()["meterId"] == f"{uid}own"
    eventually(lambda: rollup_differences(db, uid) == [])


def test_assigning_the_same_meter_again_changes_nothing(client: httpx.Client, uid: str) -> None:
    vehicle, start = f"{uid}EV", hours_ago(5)
    post(client, vehicle_reading(vehicle, start))
    first = assign(client, vehicle, f"{uid}A", start)
    again = assign(client, vehicle, f"{uid}A", start)
    assert (first.pop("restamped"), again.pop("restamped")) == (1, 0)
    assert first == again
    assert len(client.get(f"/v1/vehicles/{vehicle}/assignments").json()["items"]) == 1


def test_live_state_follows_a_change(client: httpx.Client, uid: str) -> None:
    vehicle, at = f"{uid}EV", hours_ago(1)
    post(client, vehicle_reading(vehicle, at))
    assert client.get(f"/v1/vehicles/{vehicle}").json()["meterId"] is None
    assign(client, vehicle, f"{uid}A", at)
    assert client.get(f"/v1/vehicles/{vehicle}").json()["meterId"] == f"{uid}A"
    assign(client, vehicle, f"{uid}B")
    assert client.get(f"/v1/vehicles/{vehicle}").json()["meterId"] == f"{uid}A"


def test_the_assignment_history_is_paged(client: httpx.Client, uid: str) -> None:
    vehicle, start = f"{uid}EV", hours_ago(5)
    for n, meter in enumerate(["A", None, "B"]):
        assign(client, vehicle, meter and uid + meter, start + n * MINUTE)
    items: list[Any] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = client.get(f"/v1/vehicles/{vehicle}/assignments", params=params).json()
        items += page["items"]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    assert [(item["meterId"], item["since"], item["until"]) for item in items] == [
        (f"{uid}A", rfc3339(start), rfc3339(start + MINUTE)),
        (None, rfc3339(start + MINUTE), rfc3339(start + 2 * MINUTE)),
        (f"{uid}B", rfc3339(start + 2 * MINUTE), None),
    ]


def test_a_change_is_exact_to_the_reading_while_batches_come_in(
    client: httpx.Client, db: Db, uid: str
) -> None:
    """However the requests interleave, every reading ends with the meter that was in force."""
    vehicle, start = f"{uid}EV", hours_ago(2)

    def write(n: int) -> None:
        post(client, *(vehicle_reading(vehicle, start + (5 * n + m) * MINUTE) for m in range(5)))

    def change(n: int) -> None:
        assign(client, vehicle, f"{uid}M{n}", start + (10 * n) * MINUTE)

    with ThreadPoolExecutor(8) as workers:
        jobs = [workers.submit(write, n) for n in range(12)]
        jobs += [workers.submit(change, n) for n in range(6)]
        jobs += [workers.submit(write, n) for n in range(12, 24)]
        for job in jobs:
            job.result()

    expected = [f"{uid}M{min(minute // 10, 5)}" for minute in range(120)]
    assert stamps(db, vehicle) == expected


def test_an_interrupted_change_is_finished_later(client: httpx.Client, db: Db, uid: str) -> None:
    """The service may be killed between the two transactions of a change."""
    vehicle, start = f"{uid}EV", hours_ago(2)
    post(client, vehicle_reading(vehicle, start), meter_reading(f"{uid}M", start))
    db.fetch("select assign_meter($1, $2, $3)", vehicle, f"{uid}M", start)
    assert stamps(db, vehicle) == [None]
    db.fetch(
        "update assignments set created_at = now() - interval '2 minutes'"
        " where vehicle = device_of('vehicle', $1)",
        vehicle,
    )
    eventually(lambda: stamps(db, vehicle) == [f"{uid}M"])


def test_a_batch_waits_for_a_change_that_is_being_recorded(
    client: httpx.Client, db: Db, uid: str
) -> None:
    vehicle, at = f"{uid}EV", hours_ago(1)

    async def scenario() -> None:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():
                await connection.execute("select assign_meter($1, $2, $3)", vehicle, f"{uid}M", at)
                batch = asyncio.create_task(
                    asyncio.to_thread(post, client, vehicle_reading(vehicle, at))
                )
                await until_blocked(connection)
                assert not batch.done()
            assert (await batch)["accepted"] == 1
        finally:
            await connection.close()

    asyncio.run(scenario())
    assert stamps(db, vehicle) == [f"{uid}M"]


def test_a_change_that_was_replaced_while_it_was_stamped_is_left_to_its_successor(
    client: httpx.Client, db: Db, uid: str
) -> None:
    vehicle, start = f"{uid}EV", hours_ago(24 * 3)
    post(client, *(vehicle_reading(vehicle, start + n * timedelta(hours=6)) for n in range(12)))

    async def scenario() -> None:
        first, second, block = [await asyncpg.connect(db.url) for _ in range(3)]
        number = await first.fetchval("select device_of('vehicle', $1)", vehicle)
        try:
            await first.execute("select assign_meter($1, $2, $3)", vehicle, f"{uid}A", start)
            blocked = block.transaction()
            await blocked.start()
            day = (
                "update readings set soc_bp = 1"
                " where device = device_of('vehicle', $1) and time >= $2"
            )
            await block.execute(day, vehicle, start + timedelta(days=2))
            stamping = asyncio.create_task(
                first.execute("call restamp_readings($1, $2, null)", number, start)
            )
            await until_blocked(block)
            assert not stamping.done()
            # it is replaced, and the service of the second change ends before it stamps
            await second.execute("select assign_meter($1, $2, $3)", vehicle, f"{uid}B", start)
            await blocked.commit()
            await stamping
        finally:
            for connection in (first, second, block):
                await connection.close()

    asyncio.run(scenario())
    pending = "select from meter_assignments where vehicle_id = $1 and restamped_at is null"
    assert len(db.fetch(pending, vehicle)) == 1
    db.fetch(
        "update assignments set created_at = now() - interval '2 minutes'"
        " where vehicle = device_of('vehicle', $1)",
        vehicle,
    )
    eventually(lambda: set(stamps(db, vehicle)) == {f"{uid}B"})
    assert db.fetch("select from meter_vehicles where meter = device_of('meter', $1)", f"{uid}B")


def test_stamping_waits_for_whoever_changes_a_reading_and_misses_none(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(30)
    post(client, *(vehicle_reading(f"{uid}EV", start + n * MINUTE) for n in range(20)))

    async def meanwhile() -> httpx.Response:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():  # as a correction that was first
                await connection.execute(
                    "select from live_state where device = device_of('vehicle', $1) for update",
                    f"{uid}EV",
                )
                await connection.execute(
                    "update readings set soc_bp = 1"
                    " where device = device_of('vehicle', $1) and time = $2",
                    f"{uid}EV",
                    start + 5 * MINUTE,
                )
                assigned = asyncio.create_task(
                    asyncio.to_thread(
                        client.put,
                        f"/v1/vehicles/{uid}EV/meter",
                        json={"meterId": f"{uid}M", "since": rfc3339(start)},
                    )
                )
                await until_blocked(connection)
            return await assigned
        finally:
            await connection.close()

    assert asyncio.run(meanwhile()).json()["restamped"] == 20


def test_energy_in_pieces_follows_the_meter_of_its_reading(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(60).replace(minute=0)
    vehicle, hour = f"{uid}EV", timedelta(hours=1)
    for path in (f"vehicles/{vehicle}", f"meters/{uid}A", f"meters/{uid}B"):
        client.patch(f"/v1/{path}", json={"reportingIntervalS": 3600}).raise_for_status()
    times = [start + n * hour for n in range(1, 5)]
    post(client, *(vehicle_reading(vehicle, at, 4) for at in times))
    post(client, *(meter_reading(f"{uid}{meter}", at, 5) for at in times for meter in "AB"))

    def charged_from() -> list[tuple[str | None, int]]:
        """Return the meters of the quarter hours, oldest first, with the length of each run."""
        rows = db.fetch(
            "select (select m.id from devices as m where m.device = s.meter) as id"
            " from spread_energy as s where s.device = device_of('vehicle', $1) order by s.bucket",
            vehicle,
        )
        return [(id_, len(list(run))) for id_, run in groupby(row["id"] for row in rows)]

    def performance() -> tuple[float, list[str]]:
        window = {"from": rfc3339(start), "to": rfc3339(start + 4 * hour)}
        answer = client.get(f"/v1/analytics/performance/{vehicle}", params=window).json()
        return answer["totalEnergyConsumedAc"], answer["meterIds"]

    assert charged_from() == [(None, 16)]
    assert assign(client, vehicle, f"{uid}A", start)["restamped"] == 4
    assert charged_from() == [(f"{uid}A", 16)]
    # within an interval: a reading has one meter, where its energy was used from its beginning
    assert assign(client, vehicle, f"{uid}B", start + 2.5 * hour)["restamped"] == 2
    assert charged_from() == [(f"{uid}A", 8), (f"{uid}B", 8)]
    eventually(lambda: performance() == (20, [f"{uid}A", f"{uid}B"]))
    assert assign(client, vehicle, None, start + 3.5 * hour)["restamped"] == 1
    assert charged_from() == [(f"{uid}A", 8), (f"{uid}B", 4), (None, 4)]
    eventually(lambda: performance() == (15, [f"{uid}A", f"{uid}B"]))
    eventually(lambda: rollup_differences(db, uid) == [])
