"""fleetmeter backup and restore: a restored database holds what was backed up, and works."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from fleetmeter import cli, operations
from fleetmeter.errors import BackupError
from fleetmeter.operations.backup import MANIFEST, Manifest, back_up, read_manifest, restore
from tests.conftest import (
    Db,
    Server,
    eventually,
    fresh_database,
    hours_ago,
    meter_reading,
    migrated_database,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.rollups import compress, materialise

MINUTE = timedelta(minutes=1)

EVERYTHING = {
    "readings": "select to_jsonb(r)::text from readings as r order by device, time",
    "days": "select to_jsonb(r)::text from daily as r order by device, bucket, meter",
    "vehicle_hourly": "select to_jsonb(r)::text from vehicle_hourly as r order by r::text",
    "corrections": "select to_jsonb(r)::text from replaced_readings as r order by r::text",
    "devices": "select to_jsonb(r)::text from devices as r order by device",
    "assignments": "select to_jsonb(r)::text from assignments as r order by r::text",
}


COMPRESS = "select compress_chunk(c) from show_chunks('readings') as c"


def run(monkeypatch: pytest.MonkeyPatch, url: str, *args: str) -> Result:
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", url)
    return CliRunner().invoke(cli.main, args)


def stored(db: Db) -> dict[str, list[str]]:
    return {name: [row[0] for row in db.fetch(sql)] for name, sql in EVERYTHING.items()}


def test_a_restored_database_is_the_same_and_works(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "monday"
    with migrated_database(server, jobs=False) as url, fresh_database(server) as other:
        with (
            running_service(tmp_path, {"FLEETMETER_DATABASE_URL": url}) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            fill(client, Db(url), server)
            eventually(lambda: rollup_differences(Db(url), "EV-") == [])
            made = run(monkeypatch, url, "backup", str(backup))  # while the service runs
            assert made.exit_code == 0, made.output
            assert "43 readings" in made.output
        before = stored(Db(url))

        back = run(monkeypatch, other, "restore", str(backup))
        assert back.exit_code == 0, back.output
        assert stored(Db(other)) == before

        with (
            running_service(tmp_path, {"FLEETMETER_DATABASE_URL": other}) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            again = vehicle_reading("EV-1", hours_ago(5), 1)
            late = vehicle_reading("EV-1", hours_ago(24 * 40) + MINUTE / 2, 0.25)
            answer = post(client, again, late, vehicle_reading("EV-9", hours_ago(0.1), 1))
            assert (answer["accepted"], answer["duplicates"]) == (2, 1)
            eventually(lambda: rollup_differences(Db(other), "EV-") == [])

        refused = run(monkeypatch, other, "restore", str(backup))
        assert refused.exit_code == 1
        assert "not empty" in refused.output
        taken = run(monkeypatch, other, "backup", str(backup))
        assert taken.exit_code == 1
        assert "name a new folder" in taken.output


@pytest.mark.timescaledb
def test_what_moves_to_the_columnstore_meanwhile_is_in_a_backup(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy compresses a chunk after the snapshot was taken, unless it must wait."""
    run_program = operations.backup._run

    async def compress_and_run(path: Path, url: str, *options: str) -> None:
        with suppress(asyncpg.LockNotAvailableError):
            await asyncio.to_thread(Db(url).run, f"set local lock_timeout = '300ms'; {COMPRESS}")
        await run_program(path, url, *options)

    monkeypatch.setattr(operations.backup, "_run", compress_and_run)
    with migrated_database(server, jobs=False) as url, fresh_database(server) as other:
        Db(url).run(
            "insert into readings (device, time, energy_mwh)"
            " select number_device('vehicle', 'EV-1'), now() - interval '40 days', 1000"
        )
        asyncio.run(back_up(url, tmp_path / "backup"))
        monkeypatch.undo()
        asyncio.run(restore(other, tmp_path / "backup"))
        assert Db(other).value("select sum(energy_mwh) from readings") == 1000


def fill(client: httpx.Client, db: Db, server: Server) -> None:
    """Send readings of today and of 40 days ago, in the columnstore there, and correct one."""
    start = hours_ago(24 * 40)
    client.put("/v1/vehicles/EV-1/meter", json={"meterId": "M", "since": rfc3339(start)})
    for since in (start, hours_ago(5)):
        post(client, *(vehicle_reading("EV-1", since + n * MINUTE, 1) for n in range(10)))
        post(client, *(meter_reading("M", since + n * MINUTE, 1.25) for n in range(10)))
    materialise(db, server)
    compress(db, server)
    post(client, *(vehicle_reading("EV-2", start + n * MINUTE, 0.5) for n in range(3)))
    client.post(
        "/v1/corrections",
        json={
            "vehicleId": "EV-1",
            "timestamp": rfc3339(start + MINUTE),
            "kwhDeliveredDc": 1.5,
            "who": "me",
            "reason": "a typo",
        },
    ).raise_for_status()


def write(backup: Path, manifest: Manifest) -> None:
    (backup / MANIFEST).write_bytes(msgspec.json.encode(manifest))


@pytest.mark.either
def test_a_damaged_backup_leaves_the_database_empty(server: Server, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with migrated_database(server, jobs=False) as url, fresh_database(server) as other:
        Db(url).run("select number_device('vehicle', 'EV-1')")
        asyncio.run(back_up(url, backup))
        largest = max(backup.glob("*.dat*"), key=lambda path: path.stat().st_size)
        whole = largest.read_bytes()
        largest.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BackupError, match="pg_restore failed"):
            asyncio.run(restore(other, backup))
        assert Db(other).value("select to_regclass('readings')") is None

        largest.write_bytes(whole)
        manifest = read_manifest(backup)
        changed = [
            msgspec.structs.replace(each, rows=each.rows + (each.relation == "devices"))
            for each in manifest.sums
        ]
        write(backup, msgspec.structs.replace(manifest, sums=changed))
        with pytest.raises(BackupError, match="differs from the backup in devices"):
            asyncio.run(restore(other, backup))


@pytest.mark.either
def test_what_cannot_be_restored_is_refused_first(server: Server, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with migrated_database(server, jobs=False) as url, fresh_database(server) as other:
        asyncio.run(back_up(url, backup))
        manifest = read_manifest(backup)
        for change, reason in (
            ({"migrations": [*manifest.migrations, "9999_later.sql"]}, "9999_later.sql"),
            ({"server": 99}, "PostgreSQL 99"),
            ({"timescaledb": "1.7.0"}, "TimescaleDB 1.7.0"),
        ):
            write(backup, msgspec.structs.replace(manifest, **change))
            with pytest.raises(BackupError, match=reason):
                asyncio.run(restore(other, backup))
        (backup / MANIFEST).unlink()
        with pytest.raises(BackupError, match="is not a backup"):
            asyncio.run(restore(other, backup))
        assert Db(other).value("select to_regclass('readings')") is None


@pytest.mark.either
def test_what_is_not_migrated_is_not_backed_up(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(monkeypatch, empty_database_url, "backup", str(tmp_path / "backup"))
    assert result.exit_code == 1
    assert "no schema of FleetMeter" in result.output
    assert list(tmp_path.iterdir()) == []
