"""Exchanges of meters: stated, listed and withdrawn, and what follows for energy."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Db, eventually, hours_ago, meter_reading, post, rfc3339
from tests.support.consistency import rollup_differences
from tests.support.registers import energies, register, state_exchange

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


def withdraw(client: httpx.Client, meter_id: str, at: datetime, **where: Any) -> httpx.Response:
    params = {"at": rfc3339(at)} | where
    return client.delete(f"/v1/meters/{meter_id}/exchanges", params=params)


@pytest.mark.parametrize("hours", [2, 24 * 9])
@pytest.mark.parametrize("first", [3, 9000])
def test_energy_continues_from_the_new_meter_until_the_exchange_is_withdrawn(
    client: httpx.Client, db: Db, uid: str, first: float, hours: float
) -> None:
    start = hours_ago(hours)
    totals = [812.4, 812.6, first + 0.5, first + 0.9]
    post(client, *(register(f"{uid}M", start + n * 20 * MINUTE, t) for n, t in enumerate(totals)))
    without = energies(client, f"{uid}M", start)
    at = start + 25 * MINUTE
    assert state_exchange(client, f"{uid}M", at, firstKwh=first).status_code == 200
    # 0.1 of the old one, 0.5 of the new one
    assert energies(client, f"{uid}M", start) == [None, 0.2, 0.6, 0.4]
    window = {"from": rfc3339(start), "to": rfc3339(start + 60 * MINUTE)}

    def balance() -> Any:
        return client.get(f"/v1/analytics/meters/{uid}M", params=window).json()

    eventually(lambda: balance()["totalEnergyConsumedAc"] == 1.2)
    assert any("exchanged" in reason for reason in balance()["quality"]["reasons"])
    eventually(lambda: rollup_differences(db, uid) == [])
    assert withdraw(client, f"{uid}M", at).status_code == 204
    assert withdraw(client, f"{uid}M", at).status_code == 404
    assert energies(client, f"{uid}M", start) == without
    eventually(lambda: rollup_differences(db, uid) == [])


@pytest.mark.parametrize("before", [0, 1, 2, 4])
def test_an_exchange_may_be_recorded_at_any_time(
    client: httpx.Client, uid: str, before: int
) -> None:
    start = hours_ago(2)
    readings = [
        register(f"{uid}M", start + n * MINUTE, total)
        for n, total in enumerate((812.4, 812.6, 3.5, 3.9))
    ]
    post(client, *readings[:before])
    state_exchange(client, f"{uid}M", start + 1.5 * MINUTE).raise_for_status()
    post(client, *readings)
    assert energies(client, f"{uid}M", start) == [None, 0.2, 0.6, 0.4]


def test_a_reading_at_the_time_of_an_exchange_belongs_to_the_old_meter(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(2)
    state_exchange(client, f"{uid}M", start + MINUTE).raise_for_status()
    post(
        client, *(register(f"{uid}M", start + n * MINUTE, t) for n, t in enumerate((812, 812.7, 4)))
    )
    assert energies(client, f"{uid}M", start) == [None, 0.7, 1]


def test_recording_it_again_changes_nothing_and_other_values_are_a_conflict(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(2)
    first = state_exchange(client, f"{uid}M", at)
    assert first.json().items() >= {"meterId": f"{uid}M", "lastKwh": 812.7, "firstKwh": 3}.items()
    assert state_exchange(client, f"{uid}M", at).json() == first.json()
    other = state_exchange(client, f"{uid}M", at, firstKwh=4)
    assert other.status_code == 409
    assert "812.7" in other.json()["detail"]
    assert "delete" in other.json()["detail"]
    assert state_exchange(
        client, f"{uid}M", at, firstKwh=4, register="kwhExportedAcTotal"
    ).is_success


def test_exchanges_are_listed_oldest_first_in_pages(client: httpx.Client, uid: str) -> None:
    times = [hours_ago(hours) for hours in (50, 30, 10)]
    for at in reversed(times):
        state_exchange(client, f"{uid}M", at).raise_for_status()
        state_exchange(client, f"{uid}M", at, register="kwhExportedAcTotal").raise_for_status()
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        params = {"limit": "1"} | cursor
        answer = client.get(f"/v1/meters/{uid}M/exchanges", params=params).json()
        items += answer["items"]
        if answer["nextCursor"] is None:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert [(item["at"], item["register"]) for item in items] == [
        (rfc3339(at), name) for at in times for name in ("kwhConsumedAcTotal", "kwhExportedAcTotal")
    ]
    assert client.get(f"/v1/meters/{uid}nobody/exchanges").status_code == 404
    post(client, meter_reading(f"{uid}other", hours_ago(1)))
    assert client.get(f"/v1/meters/{uid}other/exchanges").json()["items"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"at": "2026-02-09T10:00:00"}, "at"),
        ({"at": "1900-02-09T10:00:00Z"}, "at"),
        ({"at": "2099-02-09T10:00:00Z"}, "future"),
        ({"lastKwh": -1}, "lastKwh"),
        ({"firstKwh": 2e9}, "firstKwh"),
        ({"register": "kwhDeliveredDcTotal"}, "register"),
        ({"meterId": "other"}, "meterId"),
    ],
)
def test_an_invalid_exchange_is_named(
    client: httpx.Client, uid: str, fields: dict[str, Any], named: str
) -> None:
    answer = state_exchange(client, f"{uid}M", hours_ago(1), **fields)
    assert answer.status_code == 400
    assert named in answer.text


def test_a_register_of_exports_is_exchanged_by_itself(client: httpx.Client, uid: str) -> None:
    start = hours_ago(2)
    both = [(100, 50), (101, 51), (102, 2)]
    post(
        client,
        *(
            register(f"{uid}M", start + n * MINUTE, ac) | {"kwhExportedAcTotal": exported}
            for n, (ac, exported) in enumerate(both)
        ),
    )
    at = start + 1.5 * MINUTE
    state_exchange(client, f"{uid}M", at, lastKwh=51.5, firstKwh=1, register="kwhExportedAcTotal")
    window = {"from": rfc3339(start)}
    items = client.get(f"/v1/meters/{uid}M/readings", params=window).json()["items"]
    assert [(item["kwhConsumedAc"], item["kwhExportedAc"]) for item in items] == [
        (None, None),
        (1, 1),
        (1, 1.5),
    ]
