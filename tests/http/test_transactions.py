"""Transactions of charging stations: recorded once, listed, and assigning their vehicles."""

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from fleetmeter.devices.transactions import (
    InvalidTransactionError,
    Start,
    begin,
    find,
    finish,
    open_at,
)
from tests.conftest import (
    Db,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.repository import ROOT
from tests.support.transactions import Station, reporting, start

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def station(database_url: str) -> Iterator[Station]:
    with reporting(database_url) as station:
        yield station


@pytest.fixture
def at() -> datetime:
    return hours_ago(5).replace(microsecond=0)


def set_token(client: httpx.Client, token: str, vehicle: str | None, **said: Any) -> Any:
    answer = client.put(f"/v1/tokens/{token}", json={"vehicleId": vehicle} | said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(client: httpx.Client, **params: Any) -> list[Any]:
    answer = client.get("/v1/transactions", params=params)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


def assignments(client: httpx.Client, vehicle: str) -> list[tuple[str | None, str, str | None]]:
    items = client.get(f"/v1/vehicles/{vehicle}/assignments").json()["items"]
    return [(item["meterId"], item["since"], item["until"]) for item in items]


def test_a_transaction_is_recorded_with_its_energy_and_whose_it_was(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}CARD", f"{uid}EV", driver="anna", since=rfc3339(at - HOUR))
    begun = station.begins(uid, at, register_kwh=100.25)
    (item,) = listed(client, meterId=f"{uid}M")
    assert (item["open"], item["endedAt"], item["energy"], item["durationS"]) == (
        True,
        None,
        None,
        None,
    )
    station.finishes(uid, begun.transaction_id, at + HOUR, register_kwh=110)
    expected = {
        "number": begun.number,
        "transactionId": str(begun.number),
        "stationId": f"{uid}S",
        "connector": 1,
        "meterId": f"{uid}M",
        "measures": "ac",
        "vehicleId": f"{uid}EV",
        "driver": "anna",
        "token": f"{uid}card",
        "startedAt": rfc3339(at),
        "endedAt": rfc3339(at + HOUR),
        "open": False,
        "durationS": 3600,
        "meterStart": 100.25,
        "meterEnd": 110,
        "energy": 9.75,
        "reason": "Local",
    }
    assert listed(client, meterId=f"{uid}M") == [expected]
    assert client.get(f"/v1/transactions/{begun.number}").json() == expected


@pytest.mark.parametrize(
    ("first", "last"), [(None, 5), (5, None), (9, 5), (float("nan"), 5), (-1, 5), (0, 1e12)]
)
def test_energy_is_never_guessed(
    client: httpx.Client,
    station: Station,
    uid: str,
    at: datetime,
    first: float | None,
    last: float | None,
) -> None:
    begun = station.begins(uid, at, register_kwh=first)
    station.finishes(uid, begun.transaction_id, at + HOUR, register_kwh=last)
    assert [item["energy"] for item in listed(client, meterId=f"{uid}M")] == [None]


def test_an_end_before_the_start_is_kept_and_has_no_duration(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - HOUR))
    begun = station.begins(uid, at)
    station.finishes(uid, begun.transaction_id, at - MINUTE)
    (item,) = listed(client, meterId=f"{uid}M")
    assert (item["endedAt"], item["durationS"]) == (rfc3339(at - MINUTE), None)
    assert {meter for meter, _, _ in assignments(client, f"{uid}EV")} <= {None}


def test_messages_sent_again_by_several_replicas_are_one_transaction(
    client: httpx.Client, station: Station, database_url: str, uid: str, at: datetime
) -> None:
    async def at_once(what: Any) -> list[Any]:
        return await asyncio.gather(*(what() for _ in range(12)))

    for own in (None, "T-1"):
        said = start(uid, at + (HOUR if own else 0 * HOUR), transaction_id=own)
        begun = station.run(at_once(lambda said=said: begin(station.database, said)))
        assert len({each.number for each in begun}) == 1
        named = begun[0].transaction_id
        ended = station.run(
            at_once(
                lambda named=named, said=said: finish(
                    station.database,
                    f"{uid}S",
                    named,
                    at=said.at + MINUTE,
                    register_kwh=101,
                    reason="Remote",
                )
            )
        )
        assert {each.number for each in ended} == {begun[0].number}
    with reporting(database_url) as replica:
        assert replica.begins(uid, at).number == station.begins(uid, at).number
    assert len(listed(client, stationId=f"{uid}S")) == 2


def test_what_differs_in_what_a_start_says_is_another_transaction(
    station: Station, uid: str, at: datetime
) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"connector": 2},
        {"token": f"{uid}other"},
        {"token": None},
        {"register_kwh": 100.5},
        {"register_kwh": None},
        {"transaction_id": "T-1"},
        {"transaction_id": "T-2"},
        {"station_id": f"{uid}S2"},
    ]
    numbers = [station.begins(uid, at, **said).number for said in ways]
    numbers += [station.begins(uid, at + MINUTE).number]
    assert len(set(numbers)) == len(numbers)
    assert [station.begins(uid, at, **said).number for said in ways] == numbers[:-1]


def test_an_end_alone_is_a_record_that_its_late_start_completes(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - HOUR))
    known = {"connector": 1, "meter_id": f"{uid}M", "token": f"{uid}stopper"}
    assert station.finishes(uid, "T-1", at + HOUR) is None
    ended = station.finishes(uid, "T-1", at + HOUR, **known)
    assert ended is not None
    (item,) = listed(client, meterId=f"{uid}M")
    assert (item["startedAt"], item["meterStart"], item["energy"]) == (None, None, None)
    assert (item["transactionId"], item["token"]) == ("T-1", f"{uid}stopper")
    begun = station.begins(uid, at, transaction_id="T-1")
    assert begun.number == ended.number
    (item,) = listed(client, meterId=f"{uid}M")
    assert (item["energy"], item["durationS"], item["token"]) == (10, 3600, f"{uid}card")
    assert assignments(client, f"{uid}EV") == [
        (f"{uid}M", rfc3339(at), rfc3339(at + HOUR)),
        (None, rfc3339(at + HOUR), None),
    ]


def test_an_end_without_any_id_is_recorded_once(station: Station, uid: str, at: datetime) -> None:
    known = {"connector": 1, "meter_id": f"{uid}M"}
    ends = [station.finishes(uid, None, at, **known) for _ in range(2)]
    other = station.finishes(uid, None, at + MINUTE, **known)
    assert ends[0] is not None
    assert other is not None
    assert ends[0] == ends[1]
    assert ends[0].number != other.number


def test_the_earliest_of_several_starts_and_ends_counts(
    station: Station, uid: str, at: datetime
) -> None:
    """2.0.1: a cable is plugged in before a card is shown, and both are events of one start."""
    late = station.begins(uid, at + MINUTE, transaction_id="T-1", token=None, register_kwh=100.5)
    first = station.begins(uid, at, transaction_id="T-1", token=None, register_kwh=None)
    shown = station.begins(uid, at + 2 * MINUTE, transaction_id="T-1", register_kwh=101)
    assert late.number == first.number == shown.number
    assert (shown.started_at, shown.register_start_kwh) == (at, None)
    assert shown.token == f"{uid}card"
    again = station.begins(uid, at, transaction_id="T-1", token=None, register_kwh=100)
    assert (again.register_start_kwh, again.token) == (100, f"{uid}card")
    station.finishes(uid, "T-1", at + 2 * HOUR, register_kwh=112)
    station.finishes(uid, "T-1", at + HOUR, register_kwh=None, reason=None)
    ended = station.finishes(uid, "T-1", at + HOUR, register_kwh=110, reason="EVDisconnected")
    assert ended is not None
    assert (ended.ended_at, ended.register_end_kwh) == (at + HOUR, 110)
    assert ended.reason == "EVDisconnected"


def test_a_number_of_another_system_is_not_taken_for_one_of_ours(
    station: Station, uid: str, at: datetime
) -> None:
    begun = station.begins(uid, at)
    assert station.finishes(f"{uid}elsewhere", begun.transaction_id, at + HOUR) is None
    known = {"connector": 1, "meter_id": f"{uid}M"}
    other = station.finishes(uid, str(begun.number + 2), at - HOUR, **known)
    ours = station.begins(uid, at + MINUTE)
    assert other is not None
    assert ours.transaction_id == other.transaction_id
    for _ in range(2):
        ended = station.finishes(uid, ours.transaction_id, at + HOUR)
        assert ended is not None
        assert ended.number == ours.number


def test_the_newest_open_transaction_of_a_connector_is_found(
    station: Station, uid: str, at: datetime
) -> None:
    def newest() -> Any:
        return station.run(open_at(station.database, f"{uid}S", 1))

    assert newest() is None
    old = station.begins(uid, at)
    new = station.begins(uid, at + HOUR, transaction_id="T-2")
    station.begins(uid, at + 2 * HOUR, connector=2)
    assert newest() == new
    station.finishes(uid, "T-2", at + 2 * HOUR)
    assert newest() == old
    ended = station.run(find(station.database, f"{uid}S", "T-2"))
    assert ended is not None
    assert ended.ended_at == at + 2 * HOUR
    for unknown in ("T-3", "0", "-1", "", "9" * 80, "a\0b", "99999999999"):
        assert station.run(find(station.database, f"{uid}S", unknown)) is None


@pytest.mark.parametrize(
    "said",
    [
        {"station_id": ""},
        {"station_id": "S" * 256},
        {"station_id": "a\nb"},
        {"connector": -1},
        {"connector": 2**31},
        {"meter_id": "ü"},
        {"transaction_id": ""},
        {"transaction_id": "T" * 65},
        {"token": "T" * 65},
        {"token": "a\0b"},
        {"at": datetime(2026, 1, 1)},
    ],
)
def test_what_cannot_be_stored_is_refused(
    station: Station, uid: str, at: datetime, said: dict[str, Any]
) -> None:
    with pytest.raises(InvalidTransactionError):
        station.begins(uid, **{"at": at} | said)


def test_an_empty_or_padded_token_is_read_as_meant(
    station: Station, uid: str, at: datetime
) -> None:
    tokens = ["", "  ", f"{uid}card \0\0", None]
    found = [station.begins(uid, at + n * MINUTE, token=t) for n, t in enumerate(tokens)]
    assert [each.token for each in found] == [None, None, f"{uid}card", None]


def test_a_vehicle_is_at_the_meter_for_the_length_of_its_transaction(
    client: httpx.Client, db: Db, station: Station, uid: str, at: datetime
) -> None:
    """Whether the readings come before the messages or after them."""
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - HOUR))
    client.put(
        f"/v1/vehicles/{uid}EV/meter", json={"meterId": f"{uid}M0", "since": rfc3339(at - HOUR)}
    )
    times = [at + n * 10 * MINUTE for n in range(-1, 9)]
    post(client, *(vehicle_reading(f"{uid}EV", time, 0.5) for time in times[::2]))
    post(client, *(meter_reading(f"{uid}M", time, 0.6) for time in times))
    begun = station.begins(uid, at)
    station.finishes(uid, begun.transaction_id, at + HOUR)
    post(client, *(vehicle_reading(f"{uid}EV", time, 0.5) for time in times[1::2]))

    rows = db.fetch(
        "select meter_id from vehicle_readings where vehicle_id = $1 order by time", f"{uid}EV"
    )
    before, there = f"{uid}M0", f"{uid}M"
    assert [row["meter_id"] for row in rows] == [before, *[there] * 6, before, before, before]
    assert assignments(client, f"{uid}EV")[1:] == [
        (there, rfc3339(at), rfc3339(at + HOUR)),
        (before, rfc3339(at + HOUR), None),
    ]
    items = client.get(f"/v1/vehicles/{uid}EV/assignments").json()["items"]
    assert [item["transaction"] for item in items] == [None, begun.number, begun.number]
    energy = client.get(
        f"/v1/analytics/meters/{there}",
        params={"from": rfc3339(at - HOUR), "to": rfc3339(at + 3 * HOUR)},
    ).json()
    assert [each["vehicleId"] for each in energy["vehicles"]["items"]] == [f"{uid}EV"]


def test_what_a_person_assigns_during_a_transaction_holds(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    vehicle = f"{uid}EV"
    set_token(client, f"{uid}card", vehicle, since=rfc3339(at - HOUR))
    begun = station.begins(uid, at)
    said = {"meterId": f"{uid}own", "since": rfc3339(at + 10 * MINUTE)}
    client.put(f"/v1/vehicles/{vehicle}/meter", json=said)
    station.finishes(uid, begun.transaction_id, at + HOUR)
    assert assignments(client, vehicle) == [
        (f"{uid}M", rfc3339(at), rfc3339(at + 10 * MINUTE)),
        (f"{uid}own", rfc3339(at + 10 * MINUTE), None),
    ]
    # another transaction ends in what was said, not in the one before that
    other = station.begins(uid, at + 20 * MINUTE, meter_id=f"{uid}M2", connector=2)
    station.finishes(uid, other.transaction_id, at + 30 * MINUTE)
    assert [meter for meter, _, _ in assignments(client, vehicle)][2:] == [
        f"{uid}M2",
        f"{uid}own",
    ]


def test_an_assignment_at_the_start_of_a_transaction_corrects_it(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    vehicle = f"{uid}EV"
    set_token(client, f"{uid}card", vehicle, since=rfc3339(at - HOUR))
    begun = station.begins(uid, at)
    station.finishes(uid, begun.transaction_id, at + HOUR)
    client.put(f"/v1/vehicles/{vehicle}/meter", json={"meterId": None, "since": rfc3339(at)})
    assert assignments(client, vehicle) == [(None, rfc3339(at), None)]
    other = station.begins(uid, at + 20 * MINUTE, meter_id=f"{uid}M2", connector=2)
    station.finishes(uid, other.transaction_id, at + 30 * MINUTE)
    assert [meter for meter, _, _ in assignments(client, vehicle)] == [None, f"{uid}M2", None]


def test_a_lost_end_holds_until_the_next_start_and_until_it_comes_late(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    for token, vehicle in (("card", "EV1"), ("other", "EV2")):
        set_token(client, uid + token, uid + vehicle, since=rfc3339(at - HOUR))
    lost = station.begins(uid, at)
    assert assignments(client, f"{uid}EV1") == [(f"{uid}M", rfc3339(at), None)]
    station.begins(uid, at + HOUR, token=f"{uid}other")
    assert assignments(client, f"{uid}EV1") == [
        (f"{uid}M", rfc3339(at), rfc3339(at + HOUR)),
        (None, rfc3339(at + HOUR), None),
    ]
    assert len(listed(client, meterId=f"{uid}M", open=True)) == 2
    station.finishes(uid, lost.transaction_id, at + 30 * MINUTE)
    assert assignments(client, f"{uid}EV1") == [
        (f"{uid}M", rfc3339(at), rfc3339(at + 30 * MINUTE)),
        (None, rfc3339(at + 30 * MINUTE), None),
    ]


def test_a_token_stands_for_its_vehicle_in_either_case_and_from_a_time_on(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    token = f"{uid}CARD"
    first = set_token(client, token, f"{uid}EV1", since=rfc3339(at))
    assert (first["token"], first["since"], first["transactions"]) == (token, rfc3339(at), 0)
    set_token(client, token.lower(), f"{uid}EV2", since=rfc3339(at + HOUR), driver="ben")
    found = [
        station.begins(uid, at + n * 30 * MINUTE, transaction_id=f"T{n}") for n in (-1, 0, 1, 2, 3)
    ]
    assert [each.vehicle_id and each.vehicle_id[-1] for each in found] == [None, *"1122"]
    assert [each.driver for each in found] == [None, None, None, "ben", "ben"]
    now = client.get(f"/v1/tokens/{token}").json()
    assert now == {
        "token": token.lower(),
        "vehicleId": f"{uid}EV2",
        "driver": "ben",
        "since": rfc3339(at + HOUR),
    }
    again = set_token(client, token.lower(), f"{uid}EV2", since=rfc3339(at + HOUR), driver="ben")
    assert again == now | {"transactions": 0, "restamped": 0}


def test_a_token_that_is_set_later_takes_over_what_stood_for_nobody(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    vehicle = f"{uid}EV"
    over = station.begins(uid, at - 2 * HOUR)
    station.finishes(uid, over.transaction_id, at - HOUR)
    station.begins(uid, at)
    post(client, vehicle_reading(vehicle, at + MINUTE))
    changed = set_token(client, f"{uid}card", vehicle)
    assert (changed["since"], changed["transactions"], changed["restamped"]) == (None, 2, 1)
    assert assignments(client, vehicle) == [
        (f"{uid}M", rfc3339(at - 2 * HOUR), rfc3339(at - HOUR)),
        (None, rfc3339(at - HOUR), rfc3339(at)),
        (f"{uid}M", rfc3339(at), None),
    ]
    assert client.get(f"/v1/vehicles/{vehicle}").json()["meterId"] == f"{uid}M"
    late = station.begins(uid, at - 5 * HOUR, connector=2)
    assert late.vehicle_id == vehicle


def test_a_token_that_passes_on_leaves_what_was(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV1")
    old = station.begins(uid, at)
    passed = set_token(client, f"{uid}card", f"{uid}EV2")
    assert passed["transactions"] == 0
    assert datetime.fromisoformat(passed["since"]) > at
    client.delete(f"/v1/tokens/{uid}card")
    again = set_token(client, f"{uid}card", f"{uid}EV3")
    assert (again["since"], again["transactions"]) == (None, 0)
    assert listed(client, meterId=f"{uid}M")[0]["vehicleId"] == f"{uid}EV1"
    said = set_token(client, f"{uid}card", f"{uid}EV4", since=rfc3339(at))
    assert said["transactions"] == 1
    assert listed(client, meterId=f"{uid}M")[0]["vehicleId"] == f"{uid}EV4"
    assert station.begins(uid, at).number == old.number


def test_a_transaction_that_goes_to_another_vehicle_leaves_nothing_behind(
    client: httpx.Client, db: Db, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV1", since=rfc3339(at - HOUR))
    begun = station.begins(uid, at)
    station.finishes(uid, begun.transaction_id, at + HOUR)
    vehicles = (f"{uid}EV1", f"{uid}EV2")
    post(client, *(vehicle_reading(vehicle, at + MINUTE) for vehicle in vehicles))
    changed = set_token(client, f"{uid}card", f"{uid}EV2", since=rfc3339(at - HOUR))
    assert (changed["transactions"], changed["restamped"]) == (1, 2)
    rows = db.fetch(
        "select vehicle_id, meter_id from vehicle_readings where vehicle_id = any($1)", vehicles
    )
    assert {row["vehicle_id"]: row["meter_id"] for row in rows} == {
        f"{uid}EV1": None,
        f"{uid}EV2": f"{uid}M",
    }
    assert {meter for meter, _, _ in assignments(client, f"{uid}EV1")} <= {None}


def test_many_past_transactions_are_taken_over(
    client: httpx.Client, db: Db, station: Station, uid: str, at: datetime
) -> None:
    db.fetch("select number_device('meter', $1)", f"{uid}M")
    db.fetch(
        """
        insert into transactions (
            station_id, connector, meter, measures, token, started_at, ended_at
        )
        select
            $1 || 'S', 1, device_of('meter', $1 || 'M'), 'ac', $1 || 'card', n,
            n + interval '30 minutes'
        from generate_series($2::timestamptz, $2 + interval '499 hours', '1 hour') as n
        """,
        uid,
        at - 600 * HOUR,
    )
    changed = set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - 600 * HOUR))
    assert changed["transactions"] == 500
    assert (
        db.value("select count(*) from meter_assignments where vehicle_id = $1", f"{uid}EV")
        == 2 * 500
    )


def test_lists_are_filtered_and_paged(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - HOUR))
    numbers = [
        station.begins(uid, at + n // 2 * MINUTE, transaction_id=f"{uid}{n}").number
        for n in range(5)
    ]
    station.begins(uid, at, transaction_id=f"{uid}other", meter_id=f"{uid}M2", token=None)
    station.finishes(uid, f"{uid}0", at + HOUR)
    found: list[int] = []
    params: dict[str, Any] = {"meterId": f"{uid}M", "limit": 2}
    while True:
        page = client.get("/v1/transactions", params=params).json()
        found += [item["number"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    assert found == sorted(numbers, reverse=True)
    assert len(listed(client, vehicleId=f"{uid}EV")) == 5
    assert len(listed(client, stationId=f"{uid}S")) == 6
    assert len(listed(client, stationId=f"{uid}S", open=True)) == 5
    assert len(listed(client, stationId=f"{uid}S", open=False)) == 1
    named = listed(client, transactionId=f"{uid}3")
    assert [item["number"] for item in named] == [numbers[3]]
    window = {"from": rfc3339(at + MINUTE), "to": rfc3339(at + 2 * MINUTE)}
    assert [item["number"] for item in listed(client, meterId=f"{uid}M", **window)] == [
        numbers[3],
        numbers[2],
    ]
    own = station.begins(uid, at + 9 * MINUTE)
    by_number = listed(client, transactionId=str(own.number))
    assert [item["number"] for item in by_number] == [own.number]
    assert listed(client, meterId=f"{uid}none") == []


@pytest.mark.parametrize(
    "query",
    [
        "open=maybe",
        "from=x",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "meterid=M",
        "cursor=xyz",
        "limit=0",
        "meterId=%00",
        "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsOTk5OTk5OTk5OTk5XQ",
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/v1/transactions?{query}")
    assert answer.status_code == 400, answer.text


def test_the_page_shows_what_is_answered(client: httpx.Client, db: Db, station: Station) -> None:
    text = (ROOT / "docs/inputs/transactions.md").read_text()
    (body,) = re.findall(r"-d '(\{.*\})'", text)
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (item,) = msgspec.json.decode(shown)["items"]
    token = re.findall(r"/v1/tokens/(\w+) -H", text)[0]
    said = msgspec.json.decode(body) | {"since": item["startedAt"]}
    assert client.put(f"/v1/tokens/{token}", json=said).status_code == 200
    begun = station.run(
        begin(
            station.database,
            Start(
                station_id=item["stationId"],
                connector=item["connector"],
                meter_id=item["meterId"],
                transaction_id=None,
                token=item["token"],
                at=datetime.fromisoformat(item["startedAt"]),
                register_kwh=item["meterStart"],
                measures=item["measures"],
            ),
        )
    )
    station.run(
        finish(
            station.database,
            item["stationId"],
            begun.transaction_id,
            at=datetime.fromisoformat(item["endedAt"]),
            register_kwh=item["meterEnd"],
            reason=item["reason"],
        )
    )
    number = {"number": begun.number, "transactionId": begun.transaction_id}
    assert listed(client, vehicleId="EV-1") == [item | number]


def test_old_transactions_go_with_history_and_what_followed_from_them(
    client: httpx.Client, db: Db, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - 600 * 24 * HOUR))
    set_token(client, f"{uid}card", f"{uid}EV2", since=rfc3339(at - 590 * 24 * HOUR))
    set_token(client, f"{uid}card", f"{uid}EV", since=rfc3339(at - 580 * 24 * HOUR))
    for days in (500, 450, 300, 2):
        begun = station.begins(uid, at - days * 24 * HOUR)
        station.finishes(uid, begun.transaction_id, at - (days * 24 - 1) * HOUR)
    station.begins(uid, at - 480 * 24 * HOUR, connector=2, token=None)
    long = station.begins(uid, at - 480 * 24 * HOUR, connector=3, token=None)
    station.finishes(uid, long.transaction_id, at - 24 * HOUR)
    db.fetch("select drop_old_transactions()")
    starts = [item["startedAt"] for item in listed(client, stationId=f"{uid}S")]
    assert starts == [rfc3339(at - days * 24 * HOUR) for days in (2, 300, 480)]
    assert [(meter, since) for meter, since, _ in assignments(client, f"{uid}EV")] == [
        (None, rfc3339(at - (450 * 24 - 1) * HOUR)),
        (f"{uid}M", rfc3339(at - 300 * 24 * HOUR)),
        (None, rfc3339(at - (300 * 24 - 1) * HOUR)),
        (f"{uid}M", rfc3339(at - 2 * 24 * HOUR)),
        (None, rfc3339(at - (2 * 24 - 1) * HOUR)),
    ]
    held = db.value("select count(*) from tokens where token_key = $1", f"{uid}card".lower())
    assert held == 1
    assert client.get(f"/v1/tokens/{uid}card").json()["vehicleId"] == f"{uid}EV"


def test_unknown_numbers_are_not_found(client: httpx.Client) -> None:
    answer = client.get("/v1/transactions/2147483647")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:fleetmeter:problem:unknown-transaction"
    assert client.get("/v1/transactions/2147483648").status_code == 400


def test_tokens_are_listed_and_forgotten(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    tokens = [f"{uid}b", f"{uid}A", f"{uid}c/ *é"]
    for token in tokens:
        answer = client.put(
            httpx.URL("/v1/tokens/" + "".join(f"%{b:02X}" for b in token.encode())),
            json={"vehicleId": f"{uid}EV", "since": rfc3339(at - HOUR)},
        )
        assert answer.status_code == 200, answer.text
    page = client.get("/v1/tokens", params={"vehicleId": f"{uid}EV", "limit": 2}).json()
    rest = client.get(
        "/v1/tokens",
        params={"vehicleId": f"{uid}EV", "limit": 2, "cursor": page["nextCursor"]},
    ).json()
    assert [item["token"] for item in page["items"] + rest["items"]] == [
        f"{uid}A",
        f"{uid}b",
        f"{uid}c/ *é",
    ]
    begun = station.begins(uid, at, token=f"{uid}a")
    assert client.delete(f"/v1/tokens/{uid}a").status_code == 204
    assert client.get(f"/v1/tokens/{uid}a").status_code == 404
    assert client.delete(f"/v1/tokens/{uid}a").status_code == 404
    item = client.get(f"/v1/transactions/{begun.number}").json()
    assert (item["vehicleId"], item["token"]) == (f"{uid}EV", f"{uid}a")
    later = station.begins(uid, at + HOUR, token=f"{uid}a")
    assert later.vehicle_id is None


def test_a_token_can_be_erased_from_everything_but_its_length(
    client: httpx.Client, db: Db, station: Station, uid: str, at: datetime
) -> None:
    token = f"{uid}secret-card"
    set_token(client, token, f"{uid}EV", driver=f"{uid}anna", since=rfc3339(at - HOUR))
    begun = [station.begins(uid, at + n * MINUTE, token=token) for n in range(2)]
    assert client.delete(f"/v1/tokens/{token}", params={"erase": True}).status_code == 204
    # sent again, it is still the same transaction
    again = station.begins(uid, at, token=token)
    assert again.number == begun[0].number
    station.finishes(uid, again.transaction_id, at + 30 * MINUTE, token=token)
    (_, item) = listed(client, meterId=f"{uid}M")
    assert (item["token"], item["driver"], item["vehicleId"]) == (None, None, f"{uid}EV")
    assert item["energy"] == 10
    for table in ("transactions", "tokens", "audit_log"):
        text = db.value(f"select coalesce(string_agg(t::text, ' '), '') from {table} as t")
        assert token not in text
        assert f"{uid}anna" not in text


def test_changes_are_in_the_audit_log(
    client: httpx.Client, station: Station, uid: str, at: datetime
) -> None:
    set_token(client, f"{uid}card", f"{uid}EV", driver="anna", since=rfc3339(at - HOUR))
    begun = station.begins(uid, at)
    for _ in range(2):
        station.finishes(uid, begun.transaction_id, at + HOUR)
    items = client.get("/v1/audit", params={"object": f"vehicle {uid}EV"}).json()["items"]
    assert [(item["action"], item["before"], item["after"]) for item in items] == [
        (
            "assign",
            {"meter_id": f"{uid}M"},
            {"since": rfc3339(at + HOUR), "meter_id": None, "transaction": begun.number},
        ),
        (
            "assign",
            {"meter_id": None},
            {"since": rfc3339(at), "meter_id": f"{uid}M", "transaction": begun.number},
        ),
    ]
    client.delete(f"/v1/tokens/{uid}card")
    items = client.get("/v1/audit", params={"object": "token …card"}).json()["items"]
    assert [item["action"] for item in items][:2] == ["forget-token", "set-token"]
    assert items[1]["after"]["vehicle_id"] == f"{uid}EV"


@pytest.mark.parametrize(
    ("token", "body"),
    [
        ("T", {}),
        ("T", {"vehicleId": "ü"}),
        ("T", {"vehicleId": None, "driver": ""}),
        ("T", {"vehicleId": None, "driver": "a\nb"}),
        ("T", {"vehicleId": None, "since": "2999-01-01T00:00:00Z"}),
        ("T", {"vehicleId": None, "sinse": None}),
        ("%20T", {"vehicleId": None}),
        ("T%0A", {"vehicleId": None}),
        ("T" * 65, {"vehicleId": None}),
    ],
)
def test_a_token_that_cannot_be_meant_is_refused(
    client: httpx.Client, token: str, body: dict[str, Any]
) -> None:
    answer = client.put(f"/v1/tokens/{token}", json=body)
    assert answer.status_code == 400, answer.text
