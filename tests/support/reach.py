"""A small fleet of which a part is within reach, and a service that is told whose reach it is.

Every id and site outside has OUTSIDE in its name, so that nothing of it can be shown unseen.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import asyncpg
import httpx
from litestar.types import ASGIApp, Receive, Scope, Send

from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import SCOPES, Principal
from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.model import AnomalyKind, Change, Subject
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from tests.conftest import Db, eventually, hours_ago, meter_reading, post, rfc3339, vehicle_reading
from tests.support.services import served

HEADER = "x-test-reach"

REACHES = {
    "ids": Reach(devices=("IN-*",)),
    "sites": Reach(sites=("north",)),
    "both": Reach(devices=("IN-*", "XX-*"), sites=("north", "nowhere")),
}
"""All of them reach the same devices of this fleet."""

REST = "rest"
"""The reach of everything else."""

INSIDE = {
    "vehicle": ["IN-V1", "IN-V2", "IN-V3"],
    "meter": ["IN-M1", "IN-M2"],
}
OUTSIDE = {
    "vehicle": ["OUTSIDE-V1", "OUTSIDE-V2"],
    "meter": ["OUTSIDE-M1", "OUTSIDE-M2"],
}

CHARGES = [
    ("IN-V1", "IN-M1", 1.0),
    ("OUTSIDE-V1", "IN-M1", 2.0),
    ("IN-V2", "OUTSIDE-M1", 3.0),
    ("OUTSIDE-V2", "OUTSIDE-M1", 4.0),
    ("IN-V3", None, 5.0),
]
"""Vehicles, the meters they charge at, and kWh of each of three minutes."""

METERED = {"IN-M1": 3.5, "IN-M2": 0.5, "OUTSIDE-M1": 8.0, "OUTSIDE-M2": 0.75}
"""kWh of each of these minutes."""

MINUTE = timedelta(minutes=1)


_asking: ContextVar[Principal] = ContextVar("asking")


def told(app: ASGIApp) -> ASGIApp:
    """Let a header say whose reach it is; without one, everything is within reach."""

    async def with_principal(scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:
            headers = dict(scope["headers"])
            named = {"": EVERYTHING, REST: Reach(devices=("OUTSIDE-*",))} | REACHES
            reach = named[headers.get(HEADER.encode(), b"").decode()]
            _asking.set(Principal("test", frozenset(SCOPES), reach))
        await app(scope, receive, send)

    return with_principal


@contextmanager
def told_service(url: str) -> Iterator[httpx.Client]:
    """Serve the application; yields a client whose reach is everything."""
    with (
        patch.object(Keyring, "admit", lambda _, text, **how: _asking.get()),
        served(url, told) as base_url,
        httpx.Client(base_url=base_url, timeout=30) as client,
    ):
        yield client


def settle_in(client: httpx.Client) -> None:
    """Give every device its site."""
    for site, devices in (("north", INSIDE), ("OUTSIDE-site", OUTSIDE)):
        for kind, ids in devices.items():
            for id_ in ids:
                settings = {"site": site, "label": f"the {id_}"}
                _done(client.patch(f"/v1/{kind}s/{id_}", json=settings))


def fill(client: httpx.Client, db: Db) -> datetime:
    """Store the fleet and everything that can be said of it; since when it has readings."""
    since = hours_ago(2)
    settle_in(client)
    for vehicle, meter, _ in CHARGES:
        if meter:
            for until in ("IN-M2", "OUTSIDE-M2", meter):  # the last one holds
                before = {"IN-M2": 9, "OUTSIDE-M2": 6}.get(until, 3)
                body = {"meterId": until, "since": rfc3339(since - before * MINUTE)}
                _done(client.put(f"/v1/vehicles/{vehicle}/meter", json=body))
    times = [since + n * MINUTE for n in range(1, 4)]
    post(client, *(vehicle_reading(v, at, kwh) for v, _, kwh in CHARGES for at in times))
    post(client, *(meter_reading(m, at, kwh) for m, kwh in METERED.items() for at in times))
    declared = since + 5 * MINUTE
    post(client, vehicle_reading("IN-V2", declared, 0.1, meterId="OUTSIDE-M2", sessionId="S"))
    for id_, field in (
        ("IN-V2", "vehicleId"),
        ("OUTSIDE-V2", "vehicleId"),
        ("IN-M1", "meterId"),
        ("OUTSIDE-M1", "meterId"),
    ):
        at = declared if id_ == "IN-V2" else times[0]
        change = {field: id_, "timestamp": rfc3339(at), "powerKw": 7, "who": "w", "reason": "r"}
        _done(client.post("/v1/corrections", json=change))
    for meter in ("IN-M1", "OUTSIDE-M1"):
        exchange = {"at": rfc3339(times[2] + MINUTE), "lastKwh": 1, "firstKwh": 0}
        _done(client.post(f"/v1/meters/{meter}/exchanges", json=exchange))
    for scope, target in (
        ("fleet", None),
        *(("site", site) for site in ("north", "OUTSIDE-site")),
        *(("vehicle", id_) for id_ in ("IN-V1", "OUTSIDE-V1")),
    ):
        rule = {"scope": scope, "target": target, "parameters": {"enabled": True}, "who": "w"}
        _done(client.put("/v1/rules/vehicle_silent", json=rule))
    charge(client, db, since - timedelta(hours=1))
    refused = [
        vehicle_reading("IN-V1", since, -1, meterId="OUTSIDE-M1"),
        vehicle_reading("OUTSIDE-V1", since, -1),
        meter_reading("IN-M1", since, -1, sessionId="OUTSIDE-S"),
        meter_reading("OUTSIDE-M1", since, -1),
    ]
    client.post("/v1/ingest", json=refused)
    client.post("/write", content='{"vehicleId": "IN-V1", "meterId": "OUTSIDE-M1"}')
    eventually(lambda: len(client.get("/v1/rejections").json()["items"]) == 5)
    happen(db, anomalies(since))
    return since


TRANSACTIONS = [
    ("IN-S", "IN-M1", "card-1", "IN-V1"),
    ("IN-S", "IN-M1", "OUTSIDE-card", "OUTSIDE-V1"),
    ("OUTSIDE-S", "OUTSIDE-M1", "card-2", "IN-V2"),
    ("OUTSIDE-S", "OUTSIDE-M1", "OUTSIDE-card-2", "OUTSIDE-V2"),
    ("IN-S", "IN-M2", None, None),
    ("OUTSIDE-S", "OUTSIDE-M2", None, None),
]
"""Stations, meters, tokens and whom they stand for, of one transaction each."""


def charge(client: httpx.Client, db: Db, at: datetime) -> None:
    """Let stations report transactions, which are over."""
    for number, (station, meter, token, vehicle) in enumerate(TRANSACTIONS):
        if token:
            driver = f"{'OUTSIDE ' if 'OUTSIDE' in token else ''}driver"
            holder = {"vehicleId": vehicle, "driver": driver, "since": rfc3339(at)}
            _done(client.put(f"/v1/tokens/{token}", json=holder))
        begun = db.value(
            "select number from begin_transaction($1, $2, $3, null, $4, $5, 5000000, 'ac')",
            station,
            number,
            meter,
            token,
            at,
        )
        db.fetch(
            "select finish_transaction($1, $2, $3, 9000000, null, null, null, null, 'ac')",
            station,
            str(begun),
            at + MINUTE,
        )


def anomalies(at: datetime) -> list[Change]:
    """Anomalies of devices and sites, some of which name a device outside."""

    def change(
        kind: AnomalyKind,
        subject: Subject,
        summary: str,
        evidence: dict[str, Any],
        site: str | None,
    ) -> Change:
        return Change(kind, subject, site, at, at, None, summary, evidence)

    wrong = {"meterId": "IN-M1", "otherMeterId": "OUTSIDE-M1", "dcKwh": 3.0}
    told_of = "IN-V1 took 3.0 kWh at IN-M1: the curve of OUTSIDE-M1 fits"
    return [
        change("dc_exceeds_ac", Subject("vehicle", "IN-V1"), told_of, wrong, "OUTSIDE-site"),
        change("battery_hot", Subject("vehicle", "IN-V1"), "IN-V1 is hot", {"maxC": 60}, "north"),
        change("battery_hot", Subject("vehicle", "OUTSIDE-V1"), "OUTSIDE-V1 is hot", {}, None),
        change("standby_loss", Subject("meter", "OUTSIDE-M1"), "OUTSIDE-M1 took 9 W", {}, "x"),
        change(
            "site_silent",
            Subject("site", "north"),
            "2 of 5 devices of site north are silent",
            {"silentDevices": 2, "examples": ["IN-V1", "OUTSIDE-V1"]},
            "north",
        ),
        change(
            "site_silent",
            Subject("site", "OUTSIDE-site"),
            "1 of 4 devices of site OUTSIDE-site are silent",
            {"silentDevices": 1, "examples": ["IN-V2", "OUTSIDE-V2"]},
            "OUTSIDE-site",
        ),
    ]


def happen(db: Db, changes: Sequence[Change]) -> None:
    """Store what follows from changes, with its events."""

    async def store_them() -> None:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():
                await store.apply(connection, changes, Rulebook())
        finally:
            await connection.close()

    asyncio.run(store_them())


def _done(answer: httpx.Response) -> None:
    assert answer.is_success, (answer.request.url, json.loads(answer.request.content), answer.text)
