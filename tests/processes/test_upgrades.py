"""Upgrades: a database of the release before keeps everything, and both serve it meanwhile."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetmeter.database.migrations import migrate, missing_from
from tests.conftest import (
    PAUSE_JOBS,
    RETENTION_DAYS,
    Db,
    Server,
    eventually,
    fresh_database,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.processes import environment
from tests.support.releases import Release, release_before
from tests.support.rollups import compress, materialise

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)

KEPT = (
    *("readings", "replaced_readings", "voided_readings", "live_state", "devices", "assignments"),
    *("quarter_hourly", "hourly", "daily", "spread_energy", "accounted_energy", "accounted_hours"),
    *("rejections", "register_exchanges", "anomalies", "rule_changes", "webhooks"),
)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release_before(tmp_path_factory.mktemp("release"))


@contextmanager
def serving(
    url: str, folder: Path, release: Release | None = None, **settings: str
) -> Iterator[httpx.Client]:
    """Serve a database with this version, or with a release; yields a client."""
    environ = {"FLEETMETER_DATABASE_URL": url} | settings | (release.environ if release else {})
    with (
        running_service(
            folder, environ, release.command if release else (), probe="/health/live"
        ) as service,
        httpx.Client(base_url=service.base_url, timeout=60) as client,
    ):
        yield client


def columns(db: Db) -> dict[str, list[str]]:
    """Return the columns of the tables and rollups that an upgrade keeps."""
    return {
        table: [
            row[0]
            for row in db.fetch(
                "select attname from pg_attribute where attrelid = $1::text::regclass"
                " and attnum > 0 and not attisdropped order by attnum",
                table,
            )
        ]
        for table in KEPT
    }


def stored(db: Db, of: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return every row of the tables, with the given columns."""
    return {
        table: sorted(
            row[0]
            for row in db.fetch(
                f"select to_jsonb(r)::text from (select {', '.join(names)} from {table}) as r"
            )
        )
        for table, names in of.items()
    }


def fill(client: httpx.Client, db: Db, server: Server) -> None:
    """Send what every release understands: of 40 days ago and today, late, wrong and corrected."""
    start = hours_ago(24 * 40)
    client.put("/v1/vehicles/EV-1/meter", json={"meterId": "M", "since": rfc3339(start)})
    for since in (start, hours_ago(5)):
        post(client, *(vehicle_reading("EV-1", since + n * MINUTE, 1) for n in range(90)))
        post(client, *(meter_reading("M", since + n * MINUTE, 1.25) for n in range(90)))
        total = 100 if since == start else 200
        post(
            client,
            *(
                meter_reading("R", since + n * MINUTE, None, kwhConsumedAcTotal=total + n)
                for n in range(90)
            ),
        )
    materialise(db, server)
    compress(db, server)
    post(client, *(vehicle_reading("EV-2", start + n * MINUTE, 0.5) for n in range(3)))
    post(client, meter_reading("R", start + MINUTE / 2, None, kwhConsumedAcTotal=100.5))
    assert client.post("/v1/ingest", json=[{"meterId": "M"}]).status_code == 422
    for body in ({"kwhConsumedAc": 2, "timestamp": rfc3339(start + MINUTE)}, {"void": True}):
        client.post(
            "/v1/corrections",
            json={"meterId": "M", "timestamp": rfc3339(start + 2 * MINUTE), "who": "me"}
            | {"reason": "a typo"}
            | body,
        ).raise_for_status()
    client.put(
        "/v1/rules/battery_hot",
        json={"scope": "fleet", "parameters": {}, "who": "me"},
    ).raise_for_status()


def window() -> dict[str, str]:
    """Return a window that is over, and in which everything of `fill` lies."""
    return {"from": rfc3339(hours_ago(24 * 41)), "to": rfc3339(hours_ago(1))}


def totals(client: httpx.Client, of: dict[str, str]) -> dict[str, float]:
    """Return the energy in every answer about a window."""
    found = {}
    for path in ("performance/EV-1", "meters/M", "meters/R", "fleet"):
        answer = client.get(f"/v1/analytics/{path}", params=of).raise_for_status().json()
        for key in ("totalEnergyConsumedAc", "totalEnergyDeliveredDc"):
            found[f"{path} {key}"] = answer[key]
    for path in ("vehicles/EV-1/sessions", "vehicles/EV-1/energy", "meters/R/readings"):
        answer = client.get(f"/v1/{path}", params=of).raise_for_status().json()
        found[path] = len(answer["items"])
    return found


def test_an_upgraded_database_keeps_every_row_and_sum(
    server: Server, before: Release, tmp_path: Path
) -> None:
    with fresh_database(server) as url:
        db, of = Db(url), window()
        with serving(url, tmp_path, before) as old:
            fill(old, db, server)
            eventually(lambda: rollup_differences(db, "") == [], timeout_s=60)
            answered = totals(old, of)
        if server.engine == "timescaledb":
            db.fetch(PAUSE_JOBS)
        names = columns(db)
        held = stored(db, names)

        asyncio.run(migrate(url, RETENTION_DAYS))
        assert stored(db, names) == held
        assert rollup_differences(db, "") == []
        with serving(url, tmp_path) as new:
            assert totals(new, of) == answered
            late = vehicle_reading("EV-1", hours_ago(24 * 40) + MINUTE / 2, 0.25)
            assert post(new, late, vehicle_reading("EV-9", hours_ago(0.1)))["accepted"] == 2
            eventually(lambda: rollup_differences(db, "") == [], timeout_s=60)


def test_old_and_new_services_serve_one_database_while_it_is_upgraded(
    server: Server, before: Release, tmp_path: Path
) -> None:
    with fresh_database(server) as url, serving(url, tmp_path, before) as old:
        db, of = Db(url), window()
        fill(old, db, server)
        totals(old, of)  # so that it has prepared its statements before the schema changes
        with serving(url, tmp_path, FLEETMETER_MIGRATE="false") as new:
            lacks = asyncio.run(missing_from(url))
            assert new.get("/health/ready").status_code == (503 if lacks else 200)
            asyncio.run(migrate(url, RETENTION_DAYS))
            eventually(lambda: new.get("/health/ready").status_code == 200)
            for name, client in (("old", old), ("new", new)):
                assert client.get("/health/ready").status_code == 200
                use(client, f"EV-{name}")
            eventually(lambda: rollup_differences(db, "") == [], timeout_s=60)
            assert totals(old, of) == totals(new, of)

        with serving(url, tmp_path, before, FLEETMETER_MIGRATE="false") as restarted:
            assert restarted.get("/health/ready").status_code == 200
            assert post(restarted, vehicle_reading("EV-1", hours_ago(0.1)))["accepted"] == 1
        known = {path.name for path in (before.folder / "sql/migrations").glob("*.sql")}
        if {row[0] for row in db.fetch("select name from schema_migrations")} - known:
            refused = subprocess.run(
                [*before.command, "serve"],
                env=environment({"FLEETMETER_DATABASE_URL": url, "FLEETMETER_PORT": "0"})
                | before.environ,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert refused.returncode == 1
            assert "newer version" in refused.stderr


def use(client: httpx.Client, vehicle: str) -> None:
    """Send, assign, correct and ask as devices and people do."""
    since = hours_ago(4)
    first = [vehicle_reading(vehicle, since + n * MINUTE, 1) for n in range(1, 4)]
    assert post(client, *first)["accepted"] == 3
    late = vehicle_reading(vehicle, since + MINUTE / 2, 0.5)
    assert post(client, late, first[0])["duplicates"] == 1
    requests: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("PUT", f"/v1/vehicles/{vehicle}/meter", {"meterId": "M", "since": rfc3339(since)}),
        ("PATCH", f"/v1/vehicles/{vehicle}", {"label": vehicle}),
        (
            *("POST", "/v1/corrections"),
            {"vehicleId": vehicle, "timestamp": rfc3339(since + MINUTE), "kwhDeliveredDc": 2}
            | {"who": "me", "reason": "a typo"},
        ),
        (
            *("POST", "/v1/corrections"),
            {"vehicleId": vehicle, "timestamp": rfc3339(since + 2 * MINUTE), "void": True}
            | {"who": "me", "reason": "twice"},
        ),
    )
    for method, path, body in requests:
        client.request(method, path, json=body).raise_for_status()
    for path in ("vehicles", "rejections", "anomalies", "rules", "analytics/sites", "export"):
        client.get(f"/v1/{path}").raise_for_status()
