"""Hostile requests with keys of every scope: none fails, or gets anything beyond its key."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fleetmeter.access.principal import SCOPES
from tests.conftest import EXAMPLES, Db, Service, on_migrated, running_service, settled
from tests.support.attack import HIDDEN, Probe, attack, percentile
from tests.support.hostile_requests import Forge, Holder
from tests.support.keys import make_key, with_key
from tests.support.reach import OUTSIDE, REACHES, fill

REQUESTS = 5_000 * EXAMPLES

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
    select jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text)
    from {} as t where t.{} in (select device from devices where id like 'OUTSIDE%')
"""

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
    with Probe(service.base_url) as probe:
        report = attack(
            service.base_url, Forge(document, keys, seed=SEED), REQUESTS, service.process.pid
        )
        took = probe.latencies_s()
    rss = [each >> 20 for each in report.rss]
    print(f"answers: {dict(sorted(report.statuses.items()))}")
    print(f"memory, MB: {rss[0]} at first, {max(rss)} at most, {rss[-1]} at last; {rss[::10]}")
    shown = [f"{1000 * percentile(took, share):.1f}" for share in (0.5, 0.99, 0.999, 1)]
    print(f"/health/live, ms: {shown} at p50, p99, p99.9 and most, of {len(took)}")
    assert not report.findings, "\n".join(report.findings[:20])
    after = outside(db)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert {200, 207, 400, 401, 403, 404, 422} <= report.statuses.keys()
    later = report.rss[len(report.rss) // 4 :]
    assert max(later) < 400_000_000, "memory"
