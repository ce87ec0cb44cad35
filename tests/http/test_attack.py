"""Hostile requests with keys of every scope: none fails, or gets anything beyond its key."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fleetmeter.access.principal import SCOPES
from fleetmeter.http.shared.authentication import PUBLIC
from tests.conftest import (
    EXAMPLES,
    Db,
    Service,
    hours_ago,
    on_migrated,
    rfc3339,
    running_service,
    settled,
)
from tests.support.attack import (
    HIDDEN,
    SOURCES,
    Latency,
    Probe,
    Report,
    attack,
    percentile,
)
from tests.support.hostile_requests import Forge, Holder
from tests.support.keys import make_key, with_key
from tests.support.reach import OUTSIDE, REACHES, fill

REQUESTS = 5_000 * EXAMPLES

MOST_LIVE_S = 0.2
"""For how long `/health/live` may keep a client waiting that has the service's core, seconds."""

MOST_RSS, MOST_GROWTH = 350 << 20, 24 << 20
"""Memory of a service, and how much more the second half of an attack may need than the first,
bytes."""

WARM = 50_000
"""Requests of which the first half fills whatever is remembered, within its limits."""

MOST_S = float(os.environ.get("FLEETMETER_TEST_ATTACK_S", "1500"))
"""For how long requests are sent on an engine, seconds."""

SEED = int(os.environ.get("FLEETMETER_TEST_SEED", "1"))

pytestmark = [pytest.mark.either, pytest.mark.slow]


@pytest.fixture(scope="module")
def filled(
    database_url: str, db: Db, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, list[Holder]]]:
    """A service with devices within and beyond the reach of its keys, and those keys."""
    folder = tmp_path_factory.mktemp("attacked")
    with (
        running_service(folder, on_migrated(database_url)) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as anybody,
    ):
        fill(anybody, db)
        for kind, ids in OUTSIDE.items():
            for id_ in ids:
                anybody.patch(f"/v1/{kind}s/{id_}", json={"label": HIDDEN})
        settled(db)
        first = make_key(anybody, "first", *SCOPES)["key"]
        with with_key(anybody, first) as admin:
            export = {"format": "parquet", "from": rfc3339(hours_ago(3))}
            admin.get("/v1/export", params=export).raise_for_status()  # Arrow's memory, once
            yield service, [Holder("", frozenset(), limited=True), *holders(admin)]
        failed = [line for line in service.log.read_text().splitlines() if "request failed" in line]
        assert not failed, failed[:5]


def holders(admin: httpx.Client) -> Iterator[Holder]:
    """Make keys: one scope each, those that can be limited by ids, by sites and by both."""
    for scope in SCOPES:
        yield Holder(make_key(admin, scope, scope)["key"], frozenset({scope}), limited=False)
    for name, reach in REACHES.items():
        for scopes in (("ingest",), ("read",), ("operate",), ("ingest", "read", "operate")):
            limits: dict[str, Any] = {"devices": reach.devices, "sites": reach.sites}
            made = make_key(admin, f"{name} {' '.join(scopes)}", *scopes, **limits)
            yield Holder(made["key"], frozenset(scopes), limited=True)


_OF_DEVICES = """
    select jsonb_agg(to_jsonb(t) - 'restamped_at' order by (to_jsonb(t) - 'restamped_at')::text)
    from {} as t where t.{} in (select device from devices where id like 'OUTSIDE%')
"""
"""What is stored of devices outside, apart from when the service last followed an assignment."""

_OF_NAMES = "select jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text) from {} as t where {}"

_STATED = {
    "devices": "id ilike 'OUTSIDE%'",
    "rejections": "id like 'OUTSIDE%'",
    "rule_overrides": "target like 'OUTSIDE%' or scope = 'fleet'",
    "rule_changes": "target like 'OUTSIDE%' or scope = 'fleet'",
    "anomalies": "device_id like 'OUTSIDE%' and acknowledged_by not like 'key:operate%'",
}

_STORED = {
    "readings": "device",
    "live_state": "device",
    "replaced_readings": "device",
    "voided_readings": "device",
    "assignments": "vehicle",
    "replaced_assignments": "vehicle",
    "register_exchanges": "device",
    "arrival_stamps": "device",
}


def outside(db: Db) -> dict[str, Any]:
    """Everything that is stored of devices outside."""
    found = {name: db.value(_OF_DEVICES.format(name, key)) for name, key in _STORED.items()}
    return found | {name: db.value(_OF_NAMES.format(name, of)) for name, of in _STATED.items()}


def test_hostile_requests_neither_fail_nor_get_anything_beyond_their_keys(
    filled: tuple[Service, list[Holder]], db: Db
) -> None:
    service, keys = filled
    document = httpx.get(f"{service.base_url}/openapi.json").json()
    before = outside(db)
    assert len(before["readings"]) >= 10
    pid = service.process.pid
    with Probe(service.base_url, pid) as probe:
        report = attack(service.base_url, Forge(document, keys, SEED), REQUESTS, pid, MOST_S)
        latencies = probe.latencies()
    print(*summary(report, latencies), sep="\n")
    assert not report.findings, "\n".join(report.findings[:20])
    after = outside(db)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert sum(report.sent[each] for each in SOURCES) >= REQUESTS, "the machine is too slow"
    assert {200, 207, 400, 401, 403, 404, 422} <= {status for _, status in report.statuses}
    assert max(each.own for each in latencies) < MOST_LIVE_S
    assert max(report.rss) < MOST_RSS
    if REQUESTS >= WARM:
        half = len(report.rss) // 2
        assert max(report.rss[half:]) - max(report.rss[:half]) < MOST_GROWTH, "memory grows on"


def summary(report: Report, latencies: list[Latency]) -> Iterator[str]:
    """What came of an attack, for people."""
    yield f"\n{sum(report.sent[each] for each in SOURCES):,} requests, by how they were sent:"
    for source in SOURCES:
        statuses = {
            status: n for (of, status), n in sorted(report.statuses.items()) if of == source
        }
        yield f"  {report.sent[source]:,} {source}, answered {statuses}"
    scopes = ", ".join(f"{scope} {report.sent[scope]:,}" for scope in (*SCOPES, PUBLIC))
    yield f"  by the scope of their route: {scopes}"
    for name, values in (
        ("as a client sees it", sorted(each.raw for each in latencies)),
        ("without waiting for a core", sorted(each.own for each in latencies)),
    ):
        shown = " / ".join(f"{1000 * percentile(values, share):.1f}" for share in (0.5, 0.99, 1))
        yield f"/health/live {name}: p50 / p99 / max {shown} ms of {len(values):,}"
    rss = [each >> 20 for each in report.rss]
    half = len(rss) // 2
    yield (
        f"memory: {rss[0]} MiB at the start, at most {max(rss[:half])} in the first half and "
        f"{max(rss[half:])} in the second; each tenth: {[*rss[:: -(-len(rss) // 10)], rss[-1]]}"
    )
