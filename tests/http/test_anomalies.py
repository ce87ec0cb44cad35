"""GET /v1/anomalies, the events of one, and what people do about it."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Db, eventually, rfc3339

pytestmark = pytest.mark.either

T0 = datetime(2026, 2, 9, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA = {"who": "anna@example.com", "note": "the cable is being replaced"}


def insert(
    db: Db,
    device_id: str,
    *,
    kind: str = "battery_hot",
    status: str = "open",
    site: str | None = None,
    begin: datetime = T0,
    end: datetime | None = None,
) -> int:
    """Insert an anomaly as the rules do, with its opening event; return its id."""
    db.fetch(  # of a vehicle that is there: of others, what is wrong is over
        "insert into live_state (device, time, energy_mwh, soc_bp, battery_temp_cdeg, last_seen)"
        " values (number_device('vehicle', $1), now(), 0, 0, 0, now())"
        " on conflict do nothing",
        device_id,
    )
    anomaly_id: int = db.value(
        "with added as ("
        " insert into anomalies (kind, device_kind, device_id, site, status, summary, evidence,"
        " started_at, detected_at, ended_at, resolved_at)"
        " values ($1, 'vehicle', $2, $3, $4, 'The battery was at 47.5 °C.',"
        " '{\"batteryTempC\": 47.5}', $5, $5, $6, $6)"
        " returning id)"
        " insert into anomaly_events (anomaly_id, event, anomaly)"
        " select id, 'opened', '{}' from added returning anomaly_id",
        *(kind, device_id, site, status, begin, end),
    )
    return anomaly_id


def listed(client: httpx.Client, **params: Any) -> list[int]:
    """Return the ids on all pages of two items."""
    found: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/v1/anomalies", params=params | {"limit": 2} | cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= 2
        found += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            return found
        cursor = {"cursor": page["nextCursor"]}


def say(client: httpx.Client, anomaly_id: int, what: str, **more: Any) -> httpx.Response:
    return client.post(f"/v1/anomalies/{anomaly_id}/{what}", json=ANNA | more)


def log(client: httpx.Client, anomaly_id: int) -> list[tuple[str, str | None, str | None]]:
    """Return the events of an anomaly, oldest first, as (event, who, note)."""
    events = client.get(f"/v1/anomalies/{anomaly_id}").json()["events"]["items"]
    return [(item["event"], item["who"], item["note"]) for item in reversed(events)]


@pytest.fixture
def fleet(db: Db, uid: str) -> Iterator[dict[str, int]]:
    """Anomalies of two devices at two sites, oldest first."""
    day = timedelta(days=1)
    yield {
        "over": insert(
            db, f"{uid}A", status="resolved", site=f"{uid}S1", begin=T0 - day, end=T0 - day + HOUR
        ),
        "hot": insert(db, f"{uid}A", site=f"{uid}S1"),
        "soc": insert(db, f"{uid}A", kind="soc_mismatch", status="acknowledged", site=f"{uid}S1"),
        "other": insert(db, f"{uid}B", site=f"{uid}S2"),
    }
    db.fetch("delete from anomalies where starts_with(device_id, $1)", uid)


def test_an_anomaly_says_what_is_wrong_since_when_and_why(
    client: httpx.Client, db: Db, uid: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV", site=f"{uid}S")
    (item,) = client.get("/v1/anomalies", params={"deviceId": f"{uid}EV"}).json()["items"]
    opened_at = datetime.fromisoformat(item.pop("openedAt"))
    assert abs(datetime.now(UTC) - opened_at) < timedelta(minutes=1)
    assert item.pop("severity") in ("info", "warning", "critical")
    assert item == {
        "id": anomaly_id,
        "kind": "battery_hot",
        "deviceKind": "vehicle",
        "deviceId": f"{uid}EV",
        "site": f"{uid}S",
        "status": "open",
        "cause": None,
        "summary": "The battery was at 47.5 °C.",
        "evidence": {"batteryTempC": 47.5},
        "startedAt": "2026-02-09T10:00:00Z",
        "detectedAt": "2026-02-09T10:00:00Z",
        "endedAt": None,
        "acknowledgedAt": None,
        "acknowledgedBy": None,
        "resolvedAt": None,
        "resolvedBy": None,
        "reopened": 0,
    }


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["other", "soc", "hot", "over"]),
        ({"status": "open"}, ["other", "hot"]),
        ({"status": "acknowledged"}, ["soc"]),
        ({"status": "resolved"}, ["over"]),
        ({"status": "active"}, ["other", "soc", "hot"]),
        ({"kind": "battery_hot"}, ["other", "hot", "over"]),
        ({"kind": "battery_hot", "status": "active"}, ["other", "hot"]),
        ({"deviceId": "A"}, ["soc", "hot", "over"]),
        ({"deviceId": "A", "kind": "soc_mismatch"}, ["soc"]),
        ({"deviceId": "A", "status": "open"}, ["hot"]),
        ({"deviceId": "A", "site": "S2"}, []),
        ({"site": "S1"}, ["soc", "hot", "over"]),
        ({"site": "S1", "status": "active", "kind": "battery_hot"}, ["hot"]),
        ({"site": "S1", "to": rfc3339(T0)}, ["over"]),
        ({"deviceId": "A", "kind": "battery_hot", "from": rfc3339(T0)}, ["hot"]),
    ],
)
def test_filters_narrow_the_list_together(
    client: httpx.Client, uid: str, fleet: dict[str, int], params: dict[str, str], expected: Any
) -> None:
    mine = {n: f"{uid}{v}" if n in ("deviceId", "site") else v for n, v in params.items()}
    found = [anomaly_id for anomaly_id in listed(client, **mine) if anomaly_id in fleet.values()]
    assert found == [fleet[name] for name in expected]


def test_anomalies_of_the_same_moment_are_paged_without_a_gap(
    client: httpx.Client, db: Db, uid: str
) -> None:
    kinds = ("battery_hot", "soc_mismatch", "efficiency_low", "efficiency_drop", "dc_exceeds_ac")
    ids = [insert(db, f"{uid}EV", kind=kind) for kind in kinds]
    assert listed(client, deviceId=f"{uid}EV") == ids[::-1]


@pytest.mark.parametrize(
    ("begin", "end", "inside"),
    [
        (-2 * HOUR, -HOUR, False),
        (-2 * HOUR, timedelta(0), True),  # it lasted until the window begins
        (-2 * HOUR, HOUR, True),
        (-2 * HOUR, 5 * HOUR, True),
        (HOUR, HOUR, True),
        (HOUR, 5 * HOUR, True),
        (2 * HOUR - timedelta(microseconds=1), 5 * HOUR, True),
        (2 * HOUR, 5 * HOUR, False),  # a window is half-open
    ],
)
def test_a_window_lists_the_anomalies_that_overlap_it(
    client: httpx.Client, db: Db, uid: str, begin: timedelta, end: timedelta, inside: bool
) -> None:
    anomaly_id = insert(db, f"{uid}EV", status="resolved", begin=T0 + begin, end=T0 + end)
    window = {"from": rfc3339(T0), "to": rfc3339(T0 + 2 * HOUR)}
    assert listed(client, deviceId=f"{uid}EV", **window) == [anomaly_id] * inside


def test_an_open_anomaly_is_in_every_window_since_it_began(
    client: httpx.Client, db: Db, uid: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV", begin=T0)
    of = {"deviceId": f"{uid}EV"}
    now = datetime.now(UTC)
    assert listed(client, **of, **{"from": rfc3339(now - HOUR)}) == [anomaly_id]
    assert listed(client, **of, **{"from": rfc3339(now + HOUR)}) == []
    assert listed(client, **of, to=rfc3339(T0)) == []
    assert listed(client, **of, to=rfc3339(T0 + HOUR)) == [anomaly_id]


def test_events_of_an_anomaly_are_listed_newest_first(
    client: httpx.Client, db: Db, uid: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV")
    assert say(client, anomaly_id, "acknowledge").json()["status"] == "acknowledged"
    assert say(client, anomaly_id, "resolve", who="ben", note=None).json()["status"] == "resolved"
    assert log(client, anomaly_id) == [
        ("opened", None, None),
        ("acknowledged", ANNA["who"], ANNA["note"]),
        ("resolved", "ben", None),
    ]
    path = f"/v1/anomalies/{anomaly_id}"
    first = client.get(path, params={"limit": 2}).json()
    assert (first["id"], first["status"], first["resolvedBy"]) == (anomaly_id, "resolved", "ben")
    assert [item["event"] for item in first["events"]["items"]] == ["resolved", "acknowledged"]
    second = client.get(path, params={"limit": 2, "cursor": first["events"]["nextCursor"]}).json()
    assert [item["event"] for item in second["events"]["items"]] == ["opened"]
    assert second["events"]["nextCursor"] is None
    at = datetime.fromisoformat(first["events"]["items"][0]["at"])
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_an_acknowledged_anomaly_says_by_whom_and_is_still_active(
    client: httpx.Client, db: Db, uid: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV")
    answer = say(client, anomaly_id, "acknowledge")
    assert answer.status_code == 200
    assert answer.json()["acknowledgedBy"] == ANNA["who"]
    assert answer.json()["acknowledgedAt"]
    assert listed(client, deviceId=f"{uid}EV", status="active") == [anomaly_id]
    (item,) = client.get("/v1/anomalies", params={"deviceId": f"{uid}EV"}).json()["items"]
    assert item == answer.json()


def test_repeating_a_statement_changes_nothing(client: httpx.Client, db: Db, uid: str) -> None:
    anomaly_id = insert(db, f"{uid}EV")
    first = say(client, anomaly_id, "acknowledge").json()
    assert say(client, anomaly_id, "acknowledge", who="ben").json() == first
    over = say(client, anomaly_id, "resolve").json()
    again = say(client, anomaly_id, "resolve", who="ben")
    assert (again.status_code, again.json()) == (200, over)
    assert [event for event, _, _ in log(client, anomaly_id)] == [
        "opened",
        "acknowledged",
        "resolved",
    ]


def test_a_resolved_anomaly_cannot_be_acknowledged(client: httpx.Client, db: Db, uid: str) -> None:
    anomaly_id = insert(db, f"{uid}EV", status="resolved", end=T0 + HOUR)
    answer = say(client, anomaly_id, "acknowledge")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:fleetmeter:problem:already-resolved"
    assert "nothing to acknowledge" in answer.json()["detail"]
    assert log(client, anomaly_id) == [("opened", None, None)]


@pytest.mark.parametrize("what", ["acknowledge", "resolve"])
def test_of_many_simultaneous_statements_one_counts(
    client: httpx.Client, db: Db, uid: str, what: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: say(client, anomaly_id, what, who=f"person {n}"), range(8))
        )
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.text for answer in answers}) == 1
    assert len(log(client, anomaly_id)) == 2


def test_the_fleet_counts_current_anomalies(
    client: httpx.Client, db: Db, fleet: dict[str, int]
) -> None:
    def counted() -> bool:
        """The shared database may change between the two answers."""
        rows = db.fetch(
            "select kind, status, count(*) as n from anomalies where status <> 'resolved'"
            " group by kind, status"
        )
        answer: dict[str, Any] = client.get("/v1/analytics/fleet").json()["anomalies"]
        by_kind: dict[str, int] = {}
        for row in rows:
            by_kind[row["kind"]] = by_kind.get(row["kind"], 0) + row["n"]
        assert answer["byKind"]["soc_mismatch"] >= 1
        return answer == {
            "open": sum(row["n"] for row in rows if row["status"] == "open"),
            "acknowledged": sum(row["n"] for row in rows if row["status"] == "acknowledged"),
            "byKind": by_kind,
        }

    eventually(counted)


@pytest.mark.parametrize("method", ["GET", "acknowledge", "resolve"])
def test_an_anomaly_that_is_not_there_is_404(client: httpx.Client, method: str) -> None:
    unknown = 2**63 - 1
    if method == "GET":
        answer = client.get(f"/v1/anomalies/{unknown}")
    else:
        answer = say(client, unknown, method)
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:fleetmeter:problem:unknown-anomaly"
    assert answer.json()["detail"] == f"unknown anomaly {unknown}"


@pytest.mark.parametrize("anomaly_id", ["0", "-1", str(2**63), "9" * 5000, "abc", "1.5", "%00"])
def test_an_invalid_id_is_refused(client: httpx.Client, anomaly_id: str) -> None:
    assert client.get(f"/v1/anomalies/{anomaly_id}").status_code in (400, 404)
    for what in ("acknowledge", "resolve"):
        answer = client.post(f"/v1/anomalies/{anomaly_id}/{what}", json=ANNA)
        assert answer.status_code in (400, 404)


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"status": "closed"}, "status"),
        ({"kind": "gremlins"}, "kind"),
        ({"deviceId": " ab"}, "deviceId"),
        ({"site": "a\n"}, "site"),
        ({"from": "yesterday"}, "from"),
        ({"from": rfc3339(T0), "to": rfc3339(T0)}, "from"),
        ({"to": "2026-02-09T10:00:00"}, "to"),
        ({"limit": 1001}, "limit"),
        ({"device": "EV-1"}, "device"),
        ({"sort": "-loss"}, "sort"),
        ({"cursor": cursor("0")}, "cursor"),
        ({"cursor": cursor(str(2**63))}, "cursor"),
        ({"cursor": cursor('"EV-1"')}, "cursor"),
    ],
)
def test_an_invalid_parameter_is_named(
    client: httpx.Client, params: dict[str, Any], named: str
) -> None:
    answer = client.get("/v1/anomalies", params=params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["path"] == named


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"who": ""}, "$.who"),
        ({"who": "x" * 201}, "$.who"),
        ({"who": "anna\n"}, "$.who"),
        ({"who": "anna", "note": ""}, "$.note"),
        ({"who": "anna", "note": "x" * 1001}, "$.note"),
        ({"who": "anna", "note": "\x00"}, "$.note"),
        ({"who": "anna", "reason": "because"}, "$"),
    ],
)
def test_an_invalid_statement_is_named_by_its_path(
    client: httpx.Client, db: Db, uid: str, body: dict[str, str], path: str
) -> None:
    anomaly_id = insert(db, f"{uid}EV")
    for what in ("acknowledge", "resolve"):
        answer = client.post(f"/v1/anomalies/{anomaly_id}/{what}", json=body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == path
    assert log(client, anomaly_id) == [("opened", None, None)]
