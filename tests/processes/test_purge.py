"""`fleetmeter purge` deletes everything of one device, and the rollups follow."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from click.testing import CliRunner, Result

from fleetmeter import cli
from fleetmeter.access.reach import EVERYTHING
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
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
from tests.support.locks import until_blocked
from tests.support.rollups import materialise

MINUTE = timedelta(minutes=1)


@pytest.fixture
def purge(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", database_url)

    def run(*args: str, says: str | None = None) -> Result:
        return CliRunner().invoke(cli.main, ["purge", *args], input=says)

    return run


@pytest.fixture
def fleet(client: httpx.Client, db: Db, server: Server, uid: str) -> str:
    """Two vehicles with everything a device can have, now and 40 days ago (in the columnstore)."""
    for start in (hours_ago(24 * 40), hours_ago(5)):
        for vehicle in ("EV-1", "EV-2"):
            client.put(
                f"/v1/vehicles/{uid}{vehicle}/meter",
                json={"meterId": f"{uid}M", "since": rfc3339(start)},
            ).raise_for_status()
            post(
                client,
                *(vehicle_reading(f"{uid}{vehicle}", start + n * MINUTE, 1) for n in range(10)),
            )
        post(client, *(meter_reading(f"{uid}M", start + n * MINUTE, 3) for n in range(10)))
    for key, name, value in (("vehicleId", "EV-1", "soc"), ("meterId", "M", "voltage")):
        client.post(
            "/v1/corrections",
            json={
                key: f"{uid}{name}",
                "timestamp": rfc3339(hours_ago(5)),
                value: 99,
                "who": "anna",
                "reason": "misread",
            },
        ).raise_for_status()
    client.put(
        f"/v1/vehicles/{uid}EV-1/meter", json={"meterId": None, "since": rfc3339(hours_ago(1))}
    )
    client.put(
        f"/v1/vehicles/{uid}EV-1/meter",
        json={"meterId": f"{uid}M", "since": rfc3339(hours_ago(1))},
    )
    client.put(
        f"/v1/tokens/{uid}card", json={"vehicleId": f"{uid}EV-1", "since": rfc3339(hours_ago(9))}
    ).raise_for_status()
    for at in (hours_ago(8), hours_ago(3)):
        db.fetch(
            "select begin_transaction($1, 1, $2, null, $3, $4, 5, 'ac')",
            f"{uid}station",
            f"{uid}M",
            f"{uid}card",
            at,
        )
    client.patch(f"/v1/vehicles/{uid}EV-1", json={"label": "Anna's"}).raise_for_status()
    client.patch(f"/v1/meters/{uid}M", json={"label": "Anna's"}).raise_for_status()
    materialise(db, server)
    if server.engine == "timescaledb":
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    eventually(lambda: rollup_differences(db, uid) == [])
    return uid


def number_of(db: Db, device: str) -> int | None:
    """Return the device's number in the database, while it has one."""
    rows = db.fetch("select device from devices where id = $1", device)
    return rows[0]["device"] if rows else None


def places(db: Db, device: str, number: int | None = None) -> dict[str, int]:
    """Return every column that contains the id or the number (by default, its current one).

    Found without the purge's own list. The audit log only grows: it keeps that there was a device.
    """
    columns = db.fetch(
        "select c.table_name, c.column_name, c.data_type = 'integer' as is_number"
        " from information_schema.columns as c where c.table_schema = 'public'"
        " and (c.data_type in ('text', 'jsonb')"
        " or c.data_type = 'integer' and c.column_name in ('device', 'vehicle', 'meter'))"
        " and c.table_name !~ '^(efficiency|vehicle_energy|audit_log)'"
    )
    number = number or number_of(db, device)
    found = {}
    for table, column, is_number in columns:
        condition = f'"{column}" = $1' if is_number else f'strpos("{column}"::text, $1) > 0'
        count = db.value(
            f'select count(*) from "{table}" where {condition}', number if is_number else device
        )
        if count:
            found[f"{table}.{column}"] = count
    return found


def history(outcome: Result) -> list[str]:
    """Return the lines of output about readings."""
    return [line for line in outcome.output.splitlines() if "readings" in line]


@pytest.mark.either
@pytest.mark.parametrize(("device", "others"), [("EV-1", "EV-2"), ("M", "EV-2")])
def test_nothing_of_the_device_stays_and_all_of_the_others(
    client: httpx.Client, db: Db, purge: Any, fleet: str, device: str, others: str
) -> None:
    number = number_of(db, f"{fleet}{device}")
    assert len(places(db, f"{fleet}{device}")) > 16
    window = {"from": rfc3339(hours_ago(24 * 41)), "to": rfc3339(hours_ago(0))}
    path = f"/v1/vehicles/{fleet}{others}/readings"
    before = client.get(path, params=window).json()["items"]

    counted = purge("--device", f"{fleet}{device}", "--dry-run")
    assert counted.exit_code == 0, counted.output
    assert places(db, f"{fleet}{device}"), "a dry run removes nothing"
    done = purge("--device", f"{fleet}{device}", "--yes")
    assert done.exit_code == 0, done.output
    assert history(done) == history(counted), "rollups and accounts move in the background"

    eventually(lambda: places(db, f"{fleet}{device}", number) == {})
    eventually(lambda: rollup_differences(db, fleet) == [])
    assert unshared_energy(db, fleet) == []
    after = client.get(path, params=window).json()["items"]
    if device == "M":  # the readings stay, all but the meter's id
        assert after == [item | {"meterId": None} for item in before]
    else:
        assert after == before
        answer = client.get(f"/v1/analytics/performance/{fleet}EV-2", params=window).json()
        assert answer["totalEnergyConsumedAc"] == 60, "all of the meter's AC is its own now"
    assert "nothing is stored" in purge("--device", f"{fleet}{device}").output


@pytest.mark.either
def test_the_counts_it_shows_are_those_of_the_database(db: Db, purge: Any, fleet: str) -> None:
    lines = purge("--device", f"{fleet}EV-1", "--dry-run").output.splitlines()
    counted = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines}
    there = db.fetch("select count(*) from vehicle_readings where vehicle_id = $1", f"{fleet}EV-1")
    assert counted["readings"] == there[0][0] == 20
    assert counted["replaced_readings"] == 1
    assert counted["assignments"] == 3
    assert counted["replaced_assignments"] == 1


@pytest.mark.either
def test_it_asks_first(db: Db, purge: Any, fleet: str) -> None:
    assert purge("--device", f"{fleet}EV-1", says="n\n").exit_code == 1
    assert places(db, f"{fleet}EV-1")["vehicle_readings.vehicle_id"] == 20
    assert purge("--device", f"{fleet}EV-1", says="y\n").exit_code == 0
    eventually(lambda: places(db, f"{fleet}EV-1") == {})


@pytest.mark.either
def test_an_id_of_a_vehicle_and_of_a_meter_needs_the_kind(
    client: httpx.Client, purge: Any, uid: str
) -> None:
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}X", at), meter_reading(f"{uid}X", at))
    refused = purge("--device", f"{uid}X", "--yes")
    assert refused.exit_code == 1
    assert "--kind" in refused.output
    assert purge("--device", f"{uid}X", "--kind", "meter", "--yes").exit_code == 0
    assert client.get(f"/v1/meters/{uid}X").status_code == 404
    assert client.get(f"/v1/vehicles/{uid}X").status_code == 200


@pytest.mark.either
def test_a_purged_device_may_report_again(
    client: httpx.Client, db: Db, purge: Any, uid: str
) -> None:
    start = hours_ago(3)

    def register(n: int, total: float) -> dict[str, Any]:
        reading = meter_reading(f"{uid}M", start + n * MINUTE) | {"kwhConsumedAcTotal": total}
        del reading["kwhConsumedAc"]
        return reading

    post(client, *(register(n, 10 + n) for n in range(5)))
    client.patch(f"/v1/meters/{uid}M", json={"label": "Anna's"}).raise_for_status()
    before = number_of(db, f"{uid}M")
    assert purge("--device", f"{uid}M", "--yes").exit_code == 0
    # earlier than before, and of the other kind: nothing is remembered
    again = [meter_reading(f"{uid}M", start + n * MINUTE, 2 - n) for n in range(2)]
    post(client, *reversed(again))
    assert client.get(f"/v1/meters/{uid}M").json()["kwhConsumedAc"] == 1
    # and its history is its own: under another number, without what there was
    window = {"from": rfc3339(start), "to": rfc3339(hours_ago(0))}
    assert client.get(f"/v1/meters/{uid}M/readings", params=window).json()["items"] == again
    assert "settings" not in client.get(f"/v1/meters/{uid}M").json()
    assert number_of(db, f"{uid}M") not in (None, before)
    assert db.value("select count(*) from readings where device = $1", before) == 0


@pytest.mark.either
def test_a_device_that_keeps_reporting_keeps_its_meter(
    client: httpx.Client, db: Db, purge: Any, uid: str
) -> None:
    start = hours_ago(1).replace(minute=5)  # within a quarter hour, which shares its AC out

    def both(n: int) -> None:
        at = start + n * MINUTE
        post(
            client,
            vehicle_reading(f"{uid}EV", at, 1, meterId=f"{uid}M"),
            meter_reading(f"{uid}M", at, 2),
        )

    both(0)
    db.fetch("select purge_assignments('vehicle', $1)", f"{uid}EV")
    both(1)  # the service has learned the pair anew
    db.fetch("select * from purge_device('vehicle', $1, false)", f"{uid}EV")
    both(2)
    db.fetch("select forget_device('vehicle', $1)", f"{uid}EV")
    both(3)
    window = {"from": rfc3339(start - MINUTE), "to": rfc3339(start + timedelta(hours=1))}
    answer = client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()
    assert (answer["totalEnergyDeliveredDc"], answer["totalEnergyConsumedAc"]) == (2, 8)


@pytest.mark.either
def test_a_purge_waits_for_whoever_stamps_readings(
    client: httpx.Client, db: Db, purge: Any, uid: str
) -> None:
    start = hours_ago(30)
    post(client, *(vehicle_reading(f"{uid}EV", start + n * MINUTE) for n in range(30)))

    async def meanwhile() -> Result:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():
                await connection.execute(
                    "update readings set meter = number_device('meter', 'M')"
                    " where device = device_of('vehicle', $1)",
                    f"{uid}EV",
                )
                done: asyncio.Task[Result] = asyncio.create_task(
                    asyncio.to_thread(purge, "--device", f"{uid}EV", "--yes")
                )
                await until_blocked(connection)
                assert not done.done()
            return await done
        finally:
            await connection.close()

    assert asyncio.run(meanwhile()).exit_code == 0
    eventually(lambda: places(db, f"{uid}EV") == {})


@pytest.mark.either
def test_a_meter_that_is_purged_while_readings_are_stamped_with_it_does_not_come_back(
    client: httpx.Client, db: Db, purge: Any, uid: str
) -> None:
    start = hours_ago(24 * 4)
    post(client, *(vehicle_reading(f"{uid}EV", start + n * 60 * MINUTE) for n in range(72)))

    async def meanwhile() -> tuple[httpx.Response, Result]:
        connection = await asyncpg.connect(db.url)
        try:
            async with connection.transaction():
                await connection.execute(
                    "select from live_state where device = device_of('vehicle', $1) for update",
                    f"{uid}EV",
                )
                assigned = asyncio.create_task(
                    asyncio.to_thread(
                        client.put,
                        f"/v1/vehicles/{uid}EV/meter",
                        json={"meterId": f"{uid}M", "since": rfc3339(start)},
                    )
                )
                await until_blocked(connection)
                purged = asyncio.create_task(
                    asyncio.to_thread(purge, "--device", f"{uid}M", "--yes")
                )
                await until_blocked(connection, sessions=2)
            return await assigned, await purged
        finally:
            await connection.close()

    assigned, purged = asyncio.run(meanwhile())
    assert assigned.status_code == 200
    assert purged.exit_code == 0, purged.output
    eventually(lambda: places(db, f"{uid}M") == {})


RULES = """
insert into live_state (device, time, energy_mwh, voltage_mv, last_seen)
select number_device('meter', id), now(), 0, 0, now()
from unnest(array['MTR-1', 'MTR-10']) as id;
select number_device('vehicle', 'EV-' || n)
from generate_series(1, 5) as n;
update anomaly_progress
set evaluated_until = floor_hour(now() - interval '1 hour');
insert into anomalies (
    kind, status, detected_at, device_kind, device_id, started_at, summary, evidence
)
select 'dc_exceeds_ac', 'open', now(), a.*
from (
    values
        ('meter', 'MTR-1', now(), 'MTR-1 is silent.', '{}'::jsonb),
        ('vehicle', 'MTR-1', now(), 'A vehicle of that name.', '{}'),
        ('meter', 'MTR-10', now(), 'MTR-10 is silent.', '{"firmware": "MTR-1.5"}'),
        ('vehicle', 'EV-1', '2026-01-01Z', 'x', '{"otherMeterId": "MTR-1"}'),
        ('vehicle', 'EV-2', '2026-01-02Z', 'It fits MTR-1.', '{}'),
        ('vehicle', 'EV-3', '2026-01-03Z', 'Is it MTR-1: or not?', '{}'),
        ('site', 'north', now(), 'x', '{"meters": ["MTR-1", "MTR-2"]}'),
        ('site', 'south', now(), 'x', '{}')
) as a;
insert into anomaly_events (anomaly_id, event, anomaly)
select id, 'opened', json_build_object('deviceId', device_id, 'summary', summary)
from anomalies;
update anomalies
set summary = 'x'
where device_id = 'EV-3';
update anomaly_events
set note = 'a session at MTR-1 with 3.0 kWh fits its meter'
where anomaly ->> 'deviceId' = 'south';
insert into anomaly_memory (aspect, device_kind, device_id, memory)
values
    ('hours', 'meter', 'MTR-1', '{}'),
    ('clock', 'meter', 'MTR-1', '{}'),
    ('hours', 'vehicle', 'EV-4', '{"sessions": [{"meterId": "MTR-1"}]}'),
    ('hours', 'vehicle', 'EV-5', '{"sessions": [{"meterId": "MTR-10"}]}');
insert into late_devices (device, since, late_hours_until)
select device_of('meter', id), now(), 0
from unnest(array['MTR-1', 'MTR-10']) as id;
insert into rule_overrides (kind, scope, target, parameters, changed_by)
select 'meter_silent', 'meter', target, '{}', 'anna'
from unnest(array['MTR-1', 'MTR-10']) as target;
insert into rule_changes (kind, scope, target, parameters, changed_by)
select 'meter_silent', 'meter', target, '{}', 'anna'
from unnest(array['MTR-1', 'MTR-10']) as target;
"""


@pytest.mark.either
def test_anomalies_go_and_devices_that_they_named_are_evaluated_again(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Db(migrated_database_url)
    db.run(RULES)
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", migrated_database_url)

    def purge(*args: str) -> str:
        outcome = CliRunner().invoke(cli.main, ["purge", "--device", "MTR-1", *args])
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    counted = purge("--kind", "meter", "--dry-run")
    purge("--kind", "meter", "--yes")
    for count, relation in (
        *((1, "anomalies"), (2, "anomaly_memory"), (1, "late_devices")),
        *((1, "rule_overrides"), (1, "rule_changes"), (5, "anomalies"), (1, "anomaly_memory")),
    ):
        assert any(line.split()[:2] == [str(count), relation] for line in counted.splitlines())

    left = db.fetch("select device_kind, device_id from anomalies order by 1, 2")
    assert [tuple(row) for row in left] == [("meter", "MTR-10"), ("vehicle", "MTR-1")]
    rest = db.fetch("select aspect, device_id from anomaly_memory")
    assert [tuple(row) for row in rest] == [("hours", "EV-5")]
    assert places(db, "MTR-10").keys() >= {
        *("anomalies.device_id", "anomaly_memory.memory", "rule_overrides.target"),
        *("rule_changes.target", "meter_state.meter_id"),
    }
    late = (
        "select d.kind, d.id, l.since from late_devices as l"
        " join devices as d on d.device = l.device order by 1, 2"
    )
    others, *anew = db.fetch(late)
    assert others["id"] == "MTR-10"
    assert [row["id"] for row in anew] == ["EV-1", "EV-2", "EV-3", "EV-4"]
    assert [row["since"].day for row in anew[:3]] == [1, 2, 3]


@pytest.mark.either
def test_an_anomaly_acknowledged_during_a_purge_does_not_come_back(
    migrated_database_url: str,
) -> None:
    db = Db(migrated_database_url)
    db.run(RULES)
    anomaly_id = db.value(
        "select id from anomalies where device_kind = 'meter' and device_id = 'MTR-1'"
    )

    async def acknowledge() -> Anomaly | None:
        async with (
            asyncpg.create_pool(migrated_database_url, min_size=1) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            return await store.acknowledge(connection, anomaly_id, "anna", None, EVERYTHING)

    async def meanwhile() -> Anomaly | None:
        connection = await asyncpg.connect(migrated_database_url)
        try:
            async with connection.transaction():
                await connection.execute("select purge_device('meter', 'MTR-1', false)")
                acknowledged = asyncio.create_task(acknowledge())
                await until_blocked(connection)
            return await acknowledged
        finally:
            await connection.close()

    assert asyncio.run(meanwhile()) is None
    assert db.value("select count(*) from anomalies where id = $1", anomaly_id) == 0


@pytest.mark.either
@pytest.mark.parametrize("device", ["EV", "M"])
def test_energy_in_pieces_goes_with_its_device_and_forgets_its_meter(
    client: httpx.Client, db: Db, purge: Any, uid: str, device: str
) -> None:
    start, hour = hours_ago(6).replace(minute=0), timedelta(hours=1)
    began = rfc3339(start)
    post(
        client,
        vehicle_reading(f"{uid}EV", start + hour, 4, intervalStart=began, meterId=f"{uid}M"),
        meter_reading(f"{uid}M", start + hour, 5, intervalStart=began),
    )
    pieces = "select device_of('vehicle', $1) = device as is_vehicle, meter, energy_mwh"
    pieces += (
        " from spread_energy where device in (device_of('vehicle', $1), device_of('meter', $2))"
    )
    assert len(db.fetch(pieces, f"{uid}EV", f"{uid}M")) == 8
    number = number_of(db, f"{uid}{device}")
    counted = purge("--device", f"{uid}{device}", "--dry-run")
    assert "4 spread_energy" in " ".join(counted.output.split())
    assert purge("--device", f"{uid}{device}", "--yes").exit_code == 0
    eventually(lambda: places(db, f"{uid}{device}", number) == {})
    left = [tuple(row) for row in db.fetch(pieces, f"{uid}EV", f"{uid}M")]
    if device == "M":  # the vehicle's stay, all but the meter
        assert left == [(True, None, 1_000_000)] * 4
    else:
        assert [energy for _, _, energy in left] == [1_250_000] * 4
    eventually(lambda: rollup_differences(db, uid) == [])
