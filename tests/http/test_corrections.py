"""POST /v1/corrections: a reading gets other values, and nothing is edited without a trace."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import connect
from fleetmeter.devices.correction_batch import correct_each
from fleetmeter.devices.corrections import Corrected, Correction
from fleetmeter.errors import BusyError
from fleetmeter.readings.kinds import METER
from fleetmeter.settings import Settings
from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences, unshared_energy
from tests.support.corrections import WHO, correct
from tests.support.locks import until_blocked
from tests.support.pages import history
from tests.support.rollups import materialise

MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.either


def test_a_correction_replaces_and_keeps_who_when_and_why(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    sent = vehicle_reading(f"{uid}EV", at)
    post(client, sent)
    answer = correct(client, vehicleId=f"{uid}EV", timestamp=rfc3339(at), kwhDeliveredDc=1.1)
    assert answer.status_code == 200
    reading = sent | {"kwhDeliveredDc": 1.1, "meterId": None}
    assert answer.json() == {"version": 2, "changed": True, "reading": reading}
    assert client.get(f"/v1/vehicles/{uid}EV").json()["kwhDeliveredDc"] == 1.1

    path = f"/v1/vehicles/{uid}EV"
    assert history(client, path, at) == [reading]
    (item,) = history(client, path, at, versions="all")
    (version,) = item.pop("versions")
    assert item == reading
    replaced_at = datetime.fromisoformat(version.pop("replacedAt"))
    assert abs(datetime.now(replaced_at.tzinfo) - replaced_at) < timedelta(minutes=1)
    assert version == sent | {
        "meterId": None,
        "version": 1,
        "replacedBy": WHO["who"],
        "reason": WHO["reason"],
    }


def test_every_version_stays_in_order(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at, 1), meter_reading(f"{uid}M", at + MINUTE, 5))
    for version, kwh in enumerate((2, 3, 4), 2):
        answer = correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), kwhConsumedAc=kwh)
        assert answer.json()["version"] == version
    first, second = history(client, f"/v1/meters/{uid}M", at, versions="all")
    assert [version["kwhConsumedAc"] for version in first["versions"]] == [1, 2, 3]
    assert [version["version"] for version in first["versions"]] == [1, 2, 3]
    assert first["kwhConsumedAc"] == 4
    assert second["versions"] == []


def test_the_same_correction_again_changes_nothing(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answers = [
        correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), voltage=231).json()
        for _ in range(2)
    ]
    assert [(answer["version"], answer["changed"]) for answer in answers] == [(2, True), (2, False)]
    (item,) = history(client, f"/v1/meters/{uid}M", at, versions="all")
    assert len(item["versions"]) == 1


def test_a_correction_stays_when_the_device_resends_the_reading(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at, 1.5))
    correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), kwhConsumedAc=1.4)
    answer = client.post("/v1/ingest", json=[meter_reading(f"{uid}M", at, 1.5)])
    assert answer.status_code == 422
    assert answer.json()["rejected"][0]["code"] == "conflict"
    assert post(client, meter_reading(f"{uid}M", at, 1.4))["duplicates"] == 1


@pytest.mark.parametrize("field", ["meterId", "intervalStart"])
def test_a_removed_value_stays_removed_when_the_device_resends_it(
    client: httpx.Client, uid: str, field: str
) -> None:
    at = hours_ago(1)
    without = vehicle_reading(f"{uid}EV", at, 1)
    sent = without | {"meterId": f"{uid}M", "intervalStart": rfc3339(at - 5 * MINUTE)}
    post(client, sent)
    correct(client, vehicleId=f"{uid}EV", timestamp=rfc3339(at), **{field: None})
    answer = client.post("/v1/ingest", json=[sent])
    assert answer.json()["rejected"][0]["code"] == "conflict"
    del sent[field]
    assert post(client, sent, without)["duplicates"] == 2
    (item,) = history(client, f"/v1/vehicles/{uid}EV", at)
    assert item.get(field) is None
    # what nobody has taken back is completed
    later = at + MINUTE
    post(client, vehicle_reading(f"{uid}EV", later, 1))
    more = {"meterId": f"{uid}M", "intervalStart": rfc3339(at)}
    assert post(client, vehicle_reading(f"{uid}EV", later, 1, **more))["accepted"] == 1


@pytest.mark.parametrize("hours", [0.5, 5, 24 * 40])
def test_rollups_and_shares_follow(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    at = hours_ago(hours)
    for n in range(3):
        post(
            client,
            vehicle_reading(f"{uid}EV", at + n * MINUTE, 1, meterId=f"{uid}M"),
            meter_reading(f"{uid}M", at + n * MINUTE, 2),
        )
    materialise(db, server)
    if server.engine == "timescaledb":  # the oldest: in the columnstore
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    eventually(lambda: rollup_differences(db, uid) == [])
    if hours > 2:  # what noted the hour when the readings came in must not do it for the correction
        late = "select exists (select from late_hours where hour <= $1)"
        eventually(lambda: not db.value(late, at))
    when = rfc3339(at + MINUTE)
    assert correct(client, meterId=f"{uid}M", timestamp=when, kwhConsumedAc=7).status_code == 200
    assert correct(
        client, vehicleId=f"{uid}EV", timestamp=when, kwhDeliveredDc=5, meterId=f"{uid}M2"
    ).json()["reading"]["meterId"] == (f"{uid}M2")
    eventually(lambda: rollup_differences(db, uid) == [])
    assert unshared_energy(db, uid) == []
    window = {"from": rfc3339(at - MINUTE), "to": rfc3339(at + 3 * MINUTE)}
    answer = client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()
    assert answer["totalEnergyDeliveredDc"] == 7
    assert answer["totalEnergyConsumedAc"] == 11
    assert answer["meterIds"] == [f"{uid}M", f"{uid}M2"]


def test_a_declared_meter_can_be_taken_back_for_the_assigned_one(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(2)
    client.put(
        f"/v1/vehicles/{uid}EV/meter", json={"meterId": f"{uid}A", "since": rfc3339(at)}
    ).raise_for_status()
    post(client, vehicle_reading(f"{uid}EV", at, meterId=f"{uid}B"))
    answer = correct(client, vehicleId=f"{uid}EV", timestamp=rfc3339(at), meterId=None)
    assert answer.json()["reading"]["meterId"] == f"{uid}A"
    # it follows the assignment from now on
    client.put(
        f"/v1/vehicles/{uid}EV/meter", json={"meterId": f"{uid}C", "since": rfc3339(at)}
    ).raise_for_status()
    assert client.get(f"/v1/vehicles/{uid}EV").json()["meterId"] == f"{uid}C"


def test_a_corrected_register_moves_energy_between_its_neighbours(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(30)
    totals = [100, 101, 103, 106]

    def register(n: int, total: float) -> dict[str, Any]:
        reading = meter_reading(f"{uid}M", start + n * MINUTE) | {"kwhConsumedAcTotal": total}
        del reading["kwhConsumedAc"]
        return reading

    def energies() -> list[Any]:
        return [item["kwhConsumedAc"] for item in history(client, f"/v1/meters/{uid}M", start)]

    post(client, *(register(n, total) for n, total in enumerate(totals)))
    assert energies() == [None, 1, 2, 3]
    when = rfc3339(start + 2 * MINUTE)
    answer = correct(client, meterId=f"{uid}M", timestamp=when, kwhConsumedAcTotal=105).json()
    assert (answer["reading"]["kwhConsumedAc"], answer["reading"]["kwhConsumedAcTotal"]) == (4, 105)
    assert energies() == [None, 1, 4, 1]
    # the first and the newest
    correct(client, meterId=f"{uid}M", timestamp=rfc3339(start), kwhConsumedAcTotal=99)
    correct(
        client, meterId=f"{uid}M", timestamp=rfc3339(start + 3 * MINUTE), kwhConsumedAcTotal=110.5
    )
    assert energies() == [None, 2, 4, 5.5]
    state = client.get(f"/v1/meters/{uid}M").json()
    assert (state["kwhConsumedAc"], state["kwhConsumedAcTotal"]) == (5.5, 110.5)
    # far lower than before: a reset, and what comes next counts on from there
    correct(client, meterId=f"{uid}M", timestamp=rfc3339(start + MINUTE), kwhConsumedAcTotal=89)
    assert energies() == [None, None, 16, 5.5]
    assert history(client, f"/v1/meters/{uid}M", start)[1]["reset"] is True
    # or a dip, when the register comes back
    correct(client, meterId=f"{uid}M", timestamp=rfc3339(start + MINUTE), kwhConsumedAcTotal=1)
    assert energies() == [None, None, 6, 5.5]
    assert "reset" not in history(client, f"/v1/meters/{uid}M", start)[1]
    # and the newest is what the next reading goes by
    post(client, register(4, 111))
    assert energies()[-1] == 0.5
    eventually(lambda: rollup_differences(db, uid) == [])


@pytest.mark.parametrize(
    ("correction", "path", "says"),
    [
        ({"kwhConsumedAc": -1}, "$.kwhConsumedAc", "from 0 to 240000"),
        ({"voltage": 500_001}, "$.voltage", "from 0 to 500000"),
        ({"soc": 50}, "$", "vehicle's fields"),
        ({"kwhConsumedAcTotal": 5}, "$.kwhConsumedAcTotal", "sends interval energy"),
        ({"reason": ""}, "$.reason", "length >= 1"),
        ({"reason": "a\x00b"}, "$.reason", "unprintable"),
        ({"who": 5}, "$.who", "str"),
        ({"kWh": 3}, "$", "unknown field"),
        ({"voltage": None}, "$.voltage", "float"),
        ({"timestamp": "2026-02-09T10:00:00"}, "$.timestamp", "datetime"),
        ({"meterId": None}, "$", "neither vehicleId nor meterId"),
    ],
)
def test_an_invalid_correction_is_refused_and_changes_nothing(
    client: httpx.Client, uid: str, correction: dict[str, Any], path: str, says: str
) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answer = correct(client, **({"meterId": f"{uid}M", "timestamp": rfc3339(at)} | correction))
    assert answer.status_code == 400
    problem = answer.json()
    assert says in problem["detail"].replace("`", ""), problem
    assert problem["errors"][0]["path"] == path
    (item,) = history(client, f"/v1/meters/{uid}M", at, versions="all")
    assert (item["kwhConsumedAc"], item["voltage"], item["versions"]) == (1.5, 230, [])


def test_an_unknown_reading_is_404(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answer = correct(
        client, meterId=f"{uid}M", timestamp=rfc3339(at + timedelta(microseconds=1)), voltage=1
    )
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:fleetmeter:problem:unknown-reading"
    assert correct(client, vehicleId=f"{uid}M", timestamp=rfc3339(at), soc=1).status_code == 404


def test_a_reading_takes_a_hundred_corrections_and_no_more(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answers = [
        correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), voltage=n) for n in range(101)
    ]
    assert [answer.status_code for answer in answers] == [200] * 100 + [409]
    assert client.get(f"/v1/meters/{uid}M").json()["voltage"] == 99


def test_corrections_at_the_same_time_each_leave_a_version(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    with ThreadPoolExecutor(8) as people:
        answers = list(
            people.map(
                lambda n: correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), voltage=n),
                range(20),
            )
        )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 22))
    (item,) = history(client, f"/v1/meters/{uid}M", at, versions="all")
    voltages = [version["voltage"] for version in item["versions"]]
    assert sorted([*voltages, item["voltage"]]) == sorted([230, *range(20)])


def test_a_replaced_assignment_leaves_a_trace(client: httpx.Client, db: Db, uid: str) -> None:
    since = rfc3339(hours_ago(3))
    for meter in ("A", "A", "B"):
        client.put(
            f"/v1/vehicles/{uid}EV/meter", json={"meterId": f"{uid}{meter}", "since": since}
        ).raise_for_status()
    rows = db.fetch(
        "select m.id as meter_id, r.since from replaced_assignments as r"
        " join devices as m on m.device = r.meter where r.vehicle = device_of('vehicle', $1)",
        f"{uid}EV",
    )
    assert [(row["meter_id"], rfc3339(row["since"])) for row in rows] == [(f"{uid}A", since)]


def test_a_page_with_versions_is_bounded_and_misses_none(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(5)
    post(client, *(meter_reading(f"{uid}M", start + n * MINUTE, n) for n in range(30)))
    db.fetch(
        "insert into replaced_readings"
        " (device, time, version, energy_mwh, voltage_mv, reset, replaced_by, reason)"
        " select device, time, n, n, 0, false, 'anna', 'often'"
        " from readings, generate_series(1, 90) as n where device = device_of('meter', $1)",
        f"{uid}M",
    )
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=1))}
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(
            f"/v1/meters/{uid}M/readings",
            params=window | {"versions": "all", "limit": "20"} | cursor,
        ).json()
        assert sum(len(item["versions"]) for item in answer["items"]) <= 1000
        items += answer["items"]
        if answer["nextCursor"] is None:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert [item["kwhConsumedAc"] for item in items] == list(range(30))
    assert all(len(item["versions"]) == 90 for item in items)


def test_a_register_whose_neighbour_is_not_kept_any_more_keeps_its_energy(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(3)
    totals = [100, 101, 103]
    for n, total in enumerate(totals):
        reading = meter_reading(f"{uid}M", start + n * MINUTE) | {"kwhConsumedAcTotal": total}
        del reading["kwhConsumedAc"]
        post(client, reading)
    # as retention does it
    db.fetch(
        "delete from readings where device = device_of('meter', $1) and time = $2",
        f"{uid}M",
        start,
    )
    when = rfc3339(start + MINUTE)

    def energies() -> list[Any]:
        return [item["kwhConsumedAc"] for item in history(client, f"/v1/meters/{uid}M", start)]

    correct(client, meterId=f"{uid}M", timestamp=when, voltage=231)
    assert energies() == [1, 2]
    correct(client, meterId=f"{uid}M", timestamp=when, kwhConsumedAcTotal=102.5)
    assert energies() == [2.5, 0.5]
    correct(client, meterId=f"{uid}M", timestamp=when, kwhConsumedAcTotal=99)
    assert energies() == [0, 3], "a little less than before is nothing"
    correct(client, meterId=f"{uid}M", timestamp=when, kwhConsumedAcTotal=88)
    assert energies() == [None, 15], "far less than before is a reset"


def test_another_field_of_a_register_leaves_its_energy_alone(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(3)
    for n, total in enumerate((990, 5)):
        reading = meter_reading(f"{uid}M", start + n * MINUTE) | {"kwhConsumedAcTotal": total}
        del reading["kwhConsumedAc"]
        post(client, reading)
    correct(client, meterId=f"{uid}M", timestamp=rfc3339(start + MINUTE), voltage=231)
    assert history(client, f"/v1/meters/{uid}M", start)[1]["reset"] is True


def test_a_correction_waits_for_readings_that_are_being_stamped(
    client: httpx.Client, db: Db, uid: str
) -> None:
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}EV", at, 0.1))

    async def meanwhile() -> httpx.Response:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():
                # what restamp_readings() does for a day
                await connection.execute(
                    "select from live_state where device = device_of('vehicle', $1) for update",
                    f"{uid}EV",
                )
                await connection.execute(
                    "update readings set meter = number_device('meter', 'M')"
                    " where device = device_of('vehicle', $1)",
                    f"{uid}EV",
                )
                answer = asyncio.create_task(
                    asyncio.to_thread(
                        correct,
                        client,
                        vehicleId=f"{uid}EV",
                        timestamp=rfc3339(at),
                        kwhDeliveredDc=0.7,
                    )
                )
                await until_blocked(connection)
                assert not answer.done()
            return await answer
        finally:
            await connection.close()

    answer = asyncio.run(meanwhile())
    assert answer.json()["reading"]["kwhDeliveredDc"] == 0.7
    assert history(client, f"/v1/vehicles/{uid}EV", at)[0]["kwhDeliveredDc"] == 0.7


def quarters(client: httpx.Client, path: str, start: datetime, hours: int) -> list[float]:
    """Return the AC or DC of each quarter hour with energy, from `start` on."""
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=hours))}
    answer = client.get(f"{path}/energy", params=window | {"bucket": "15min"})
    name = "energyDeliveredDc" if "vehicles" in path else "energyConsumedAc"
    return [item[name] for item in answer.json()["items"]]


@pytest.mark.parametrize("hours", [6, 24 * 40])
def test_energy_in_pieces_is_replaced(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    start, hour = hours_ago(hours).replace(minute=0), timedelta(hours=1)
    sent = {"vehicleId": f"{uid}EV", "timestamp": rfc3339(start + hour)}
    path = f"/v1/vehicles/{uid}EV"
    began = rfc3339(start)
    post(
        client,
        vehicle_reading(f"{uid}EV", start + hour, 4, intervalStart=began, meterId=f"{uid}A"),
        *(meter_reading(f"{uid}{name}", start + hour, 5, intervalStart=began) for name in "AB"),
    )
    materialise(db, server)
    if server.engine == "timescaledb":  # the oldest: in the columnstore
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    eventually(lambda: quarters(client, path, start, 1) == [1] * 4)
    assert correct(client, **sent, kwhDeliveredDc=2).json()["reading"]["intervalStart"] == began
    eventually(lambda: quarters(client, path, start, 1) == [0.5] * 4)
    assert correct(client, **sent, soc=1).json()["changed"]
    assert correct(client, **sent, meterId=f"{uid}B").json()["changed"]
    assert quarters(client, path, start, 1) == [0.5] * 4
    eventually(lambda: rollup_differences(db, uid) == [])
    assert unshared_energy(db, uid) == []
    window = {"from": began, "to": rfc3339(start + hour)}
    answer = client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()
    assert answer["meterIds"] == [f"{uid}B"]
    assert answer["totalEnergyConsumedAc"] == 5
    (reading,) = history(client, path, start, versions="all")
    assert [version["intervalStart"] for version in reading["versions"]] == [began] * 3


def test_a_corrected_register_splits_its_interval_and_the_next_one_again(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start, hour = hours_ago(6).replace(minute=0), timedelta(hours=1)
    path = f"/v1/meters/{uid}R"
    for n, total in enumerate([100, 102, 108]):
        reading = meter_reading(f"{uid}R", start + n * hour, kwhConsumedAcTotal=total)
        del reading["kwhConsumedAc"]
        post(client, reading)
    eventually(lambda: quarters(client, path, start, 2) == [0.5] * 4 + [1.5] * 4)
    when = {"meterId": f"{uid}R", "timestamp": rfc3339(start + hour)}
    correct(client, **when, kwhConsumedAcTotal=104).raise_for_status()
    eventually(lambda: quarters(client, path, start, 2) == [1] * 8)
    # less than before: a reset, which has no interval
    correct(client, **when, kwhConsumedAcTotal=3).raise_for_status()
    eventually(lambda: quarters(client, path, start, 2) == [0, *[26.25] * 4])
    eventually(lambda: rollup_differences(db, uid) == [])


def test_an_array_corrects_many_each_with_its_own_outcome(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    post(client, *(meter_reading(f"{uid}M", at + n * MINUTE) for n in range(3)))

    def each(n: int, **values: Any) -> dict[str, Any]:
        return WHO | {"meterId": f"{uid}M", "timestamp": rfc3339(at + n * MINUTE)} | values

    answer = client.post(
        "/v1/corrections",
        json=[
            each(0, kwhConsumedAc=4),
            each(1, kwhConsumedAc=-4),
            each(1, kwhConsumedAc="4"),
            each(1, voltage=5, nothing=1),
            each(1) | {"who": ""},
            each(1) | {"reason": "a\x00b"},
            {"meterId": f"{uid}M"},
            each(7, voltage=5),
            each(1, kwhConsumedAc=1.5),
            each(2, void=True),
            each(2, voltage=5),
        ],
    )
    assert answer.status_code == 207
    assert answer.json()["corrected"] == [
        {"index": 0, "version": 2, "changed": True},
        {"index": 8, "version": 1, "changed": False},
        {"index": 9, "version": 2, "changed": True},
    ]
    assert [(one["index"], one["code"], one.get("path")) for one in answer.json()["rejected"]] == [
        (1, "out_of_range", "$.kwhConsumedAc"),
        (2, "invalid_parameter", "$.kwhConsumedAc"),
        (3, "invalid_parameter", "$"),
        (4, "invalid_parameter", "$.who"),
        (5, "invalid_parameter", "$.reason"),
        (6, "invalid_parameter", "$"),
        (7, "unknown_reading", None),
        (10, "voided_reading", None),
    ]
    items = history(client, f"/v1/meters/{uid}M", at)
    assert [item["kwhConsumedAc"] for item in items] == [4, 1.5]
    answer = client.post("/v1/corrections", json=[each(1, kwhConsumedAc=2)])
    assert answer.status_code == 200
    answer = client.post("/v1/corrections", json=[each(7, voltage=5)] * 2)
    assert answer.status_code == 422
    assert len(answer.json()["rejected"]) == 2
    answer = client.post("/v1/corrections", json=[each(1)] * 1001)
    assert answer.status_code == 413
    assert "1000" in answer.json()["detail"]


@pytest.mark.parametrize("hours", [6, 24 * 40])
def test_when_an_interval_began_can_be_corrected(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    start, hour = hours_ago(hours).replace(minute=0), timedelta(hours=1)
    path, when = f"/v1/meters/{uid}M", rfc3339(start + hour)
    post(client, meter_reading(f"{uid}M", start + hour, 4))
    materialise(db, server)
    if server.engine == "timescaledb":  # the oldest: in the columnstore
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    eventually(lambda: quarters(client, path, start, 1) == [4])
    sent = {"meterId": f"{uid}M", "timestamp": when}
    answer = correct(client, **sent, intervalStart=rfc3339(start)).json()
    assert answer["reading"]["intervalStart"] == rfc3339(start)
    eventually(lambda: quarters(client, path, start, 1) == [1] * 4)
    correct(client, **sent, intervalStart=rfc3339(start + hour / 2), kwhConsumedAc=6)
    eventually(lambda: quarters(client, path, start, 1) == [3] * 2)
    assert correct(client, **sent, intervalStart=when).status_code == 400
    assert correct(client, **sent, intervalStart=None).json()["changed"]
    eventually(lambda: quarters(client, path, start, 1) == [6])
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)
    (item,) = history(client, path, start, versions="all")
    starts = [version.get("intervalStart") for version in item["versions"]]
    assert starts == [None, rfc3339(start), rfc3339(start + hour / 2)]


def test_a_correction_gives_energy_to_a_reading_without(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(5)

    def without(device: str, n: int) -> dict[str, Any]:
        return {"meterId": device, "timestamp": rfc3339(start + n * MINUTE), "voltage": 230}

    def kwh(device: str) -> list[Any]:
        return [
            item.get("kwhConsumedAc") for item in history(client, f"/v1/meters/{device}", start)
        ]

    total, interval = f"{uid}T", f"{uid}I"
    for n, value in enumerate((100, None, 103)):
        more = {} if value is None else {"kwhConsumedAcTotal": value}
        post(client, without(total, n) | more)
        more = {} if value is None else {"kwhConsumedAc": value}
        post(client, without(interval, n) | more)
    assert kwh(total) == [None, None, 3]
    when = {"timestamp": rfc3339(start + MINUTE)}
    wrong = correct(client, meterId=total, **when, kwhConsumedAc=1)
    assert (wrong.status_code, "correct kwhConsumedAcTotal" in wrong.text) == (400, True)
    assert correct(client, meterId=total, **when, kwhConsumedAcTotal=101).json()["changed"]
    assert kwh(total) == [None, 1, 2]
    assert correct(client, meterId=interval, **when, kwhConsumedAcTotal=1).status_code == 400
    assert correct(client, meterId=interval, **when, kwhConsumedAc=1).json()["changed"]
    assert kwh(interval) == [100, 1, 103]
    # while it has not sent any, a device may send either, and keeps to it
    first = f"{uid}F"
    post(client, without(first, 0), without(first, 1))
    correct(client, meterId=first, timestamp=rfc3339(start), kwhConsumedAcTotal=7)
    correct(client, meterId=first, **when, kwhConsumedAcTotal=7.5)
    assert kwh(first) == [None, 0.5]
    post(client, without(first, 2) | {"kwhConsumedAcTotal": 8.5})
    assert kwh(first) == [None, 0.5, 1]
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)


def test_an_array_that_takes_too_long_is_to_be_sent_again(
    client: httpx.Client, db: Db, uid: str
) -> None:
    at = hours_ago(1)
    times = [at, at + MINUTE]
    post(client, *(meter_reading(f"{uid}M", time) for time in times))
    wanted = {
        place: Correction(METER, f"{uid}M", time, {"power_kw": 7.0}, "w", "r")
        for place, time in enumerate(times)
    }

    async def corrected(most_s: float) -> dict[int, Corrected]:
        database = await connect(db.url, Settings(database_url=db.url))
        try:
            return (await correct_each(database, wanted, EVERYTHING, most_s)).corrected
        finally:
            await database.close()

    with pytest.raises(BusyError, match="only 0 of 2 corrections were made"):
        asyncio.run(corrected(0))
    assert [each.changed for each in asyncio.run(corrected(60)).values()] == [True, True]
