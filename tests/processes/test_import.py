"""Imports store each line once, whatever is wrong with others and whatever interrupts."""

import asyncio
import gzip
import json
import signal
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow
import pyarrow.parquet
import pytest

from fleetmeter.database.migrations import migrate
from fleetmeter.errors import DatabaseUnavailableError, FleetMeterError
from fleetmeter.files.imports import lines, parquet
from fleetmeter.files.imports.run import Stop, prepared, run
from fleetmeter.files.imports.sidecar_files import SidecarFiles
from fleetmeter.settings import Settings
from tests.conftest import (
    RETENTION_DAYS,
    Db,
    Server,
    eventually,
    fresh_database,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.imports import rejects
from tests.support.processes import Forked
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VEHICLES = "select count(*) from vehicle_readings where starts_with(vehicle_id, $1)"
METERS = "select count(*) from meter_readings where starts_with(meter_id, $1)"


def meters_csv(path: Path, uid: str, count: int, bad_every: int = 0) -> Path:
    """Write readings of ten meters; with `bad_every`, every so many lines are invalid."""
    begin = hours_ago(20)
    with path.open("w") as file:
        file.write("meterId,timestamp,kwhConsumedAc,voltage\n")
        for n in range(count):
            time = rfc3339(begin + timedelta(seconds=n // 10))
            kwh = "1,5" if bad_every and n % bad_every == 0 else "1.5"
            file.write(f'{uid}M-{n % 10},{time},"{kwh}",230\n')
    return path


def imported(url: str, *paths: Path, out: Path | None = None, stop: Stop | None = None) -> int:
    """Import a file; return the exit status."""
    return run(prepared(paths, None, out), url, Settings(database_url=url), stop or Stop())


def left(path: Path) -> list[str]:
    """Return the names of the files beside a file."""
    return sorted(each.name for each in path.parent.iterdir() if each != path)


def test_bad_lines_are_reported_and_the_rest_is_stored(
    database_url: str, db: Db, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "readings.csv"
    at = hours_ago(3)
    good = [f"{uid}EV,,{rfc3339(at + timedelta(minutes=n))},,1.2,36,,," for n in range(5)]
    again = good[0].replace(",,1.2", ",720,1.2")  # the same without it, whichever comes first
    both = f"{uid}EV,{uid}M,{rfc3339(at + timedelta(hours=1))},72,1.2,36,,,"
    meter = f",{uid}M,{rfc3339(at)},,,,1.5,230,"
    old = f"{uid}EV,,2001-01-01T00:00:00Z,72,1.2,36,,,"
    bad = [
        f"{uid}EV;;{rfc3339(at)};72;1.2;36;;;",
        f'{uid}EV,,{rfc3339(at)},72,1.2,36,,,"a note that',
        'runs on"',
        f'{uid}EV,,{rfc3339(at)},72,"1,2",36,,,',
        old,
        f"{uid}EV,,{rfc3339(at)},72,-1.2,36,,,",
    ]
    header = "vehicleId,meterId,timestamp,soc,kwhDeliveredDc,batteryTemp,kwhConsumedAc,voltage,note"
    path.write_text("\n".join([header, *good, *bad, both, meter, again, f"{uid}EV,,2026-11"]))
    assert imported(database_url, path) == 1

    told = capsys.readouterr()
    assert told.out == (
        f"{path}: 7 accepted, 1 duplicates, 7 rejected, 1 values left out "
        f"({path}.rejected.ndjson)\n"
    )
    assert told.err == f"{path}: columns that mean nothing here: note\n"
    assert db.value(VEHICLES, uid) == 6
    assert db.value(METERS, uid) == 1
    found = rejects(path)
    assert {line: reject["code"] for line, reject in found.items()} == {
        7: "malformed",
        8: "malformed",
        9: "malformed",
        10: "invalid_type",
        11: "too_old",
        12: "out_of_range",
        15: "dropped_field",
        16: "malformed",
    }
    assert found[10]["path"] == "$.kwhDeliveredDc"
    assert found[11]["text"] == old
    assert "the oldest is" in found[11]["detail"]
    assert left(path) == ["readings.csv.rejected.ndjson"]


def test_a_file_of_another_shape_is_reported_and_the_others_are_imported(
    database_url: str, db: Db, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(f"vehicleId,soc\n{uid}EV,72\n")
    right = meters_csv(tmp_path / "right.csv", uid, 10)
    assert imported(database_url, wrong, right) == 1
    told = capsys.readouterr()
    assert told.err.startswith(
        f"{wrong}: line 1: the header lacks timestamp; the columns found are"
    )
    assert told.out == f"{right}: 10 accepted, 0 duplicates, 0 rejected\n"
    assert db.value(METERS, uid) == 10
    assert left(wrong) == ["right.csv"]


def test_every_format_gives_the_same_and_a_second_time_duplicates(
    database_url: str,
    db: Db,
    uid: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    at = hours_ago(5)
    readings = [
        reading
        for n in range(10)
        for reading in (
            vehicle_reading(f"{uid}EV", at + timedelta(minutes=n), meterId=f"{uid}M"),
            meter_reading(f"{uid}M", at + timedelta(minutes=n)),
        )
    ]
    columns = list(readings[0] | readings[1])
    csv = ["\t".join(columns)] + [
        "\t".join(str(reading.get(name, "")) for name in columns) for reading in readings
    ]
    body = "\n".join(csv).encode()
    ndjson = "\r\n".join(map(json.dumps, readings)).encode()
    paths = {
        tmp_path / "a.csv": body,
        tmp_path / "a.csv.gz": gzip.compress(body[:100]) + gzip.compress(body[100:]),
        tmp_path / "a.ndjson": ndjson,
        tmp_path / "a.ndjson.zst": zstd.compress(ndjson),
    }
    for path, content in paths.items():
        path.write_bytes(content)
    table = pyarrow.Table.from_pylist([dict.fromkeys(columns) | reading for reading in readings])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    files = [*paths, tmp_path / "a.parquet"]
    for path in files:
        assert imported(database_url, path) == 0
        assert capsys.readouterr().out == f"{path}: 20 accepted, 0 duplicates, 0 rejected\n"
        assert imported(database_url, path) == 0
        assert capsys.readouterr().out == f"{path}: 0 accepted, 20 duplicates, 0 rejected\n"
        stored = db.fetch(
            "select vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id "
            "from vehicle_readings where starts_with(vehicle_id, $1) order by time",
            uid,
        )
        assert [tuple(row) for row in stored] == [
            (f"{uid}EV", at + timedelta(minutes=n), 1_200_000, 7200, 3600, f"{uid}M")
            for n in range(10)
        ]
        assert db.value(METERS, uid) == 10
        for table in ("readings", "live_state"):
            db.fetch(
                f"delete from {table} where device in"
                " (select device from devices where starts_with(id, $1))",
                uid,
            )
    assert left(files[0]) == sorted(path.name for path in files[1:])


def test_a_device_that_sends_registers_has_no_interval_energy_between_them(
    database_url: str, uid: str, tmp_path: Path
) -> None:
    at = hours_ago(2)
    path = tmp_path / "mixed.csv"
    path.write_text(
        "meterId,timestamp,kwhConsumedAc,kwhConsumedAcTotal,voltage\n"
        f"{uid}M,{rfc3339(at)},,100,230\n"
        f"{uid}M,{rfc3339(at + timedelta(minutes=1))},,101,230\n"
    )
    assert imported(database_url, path) == 0
    with path.open("a") as file:
        file.write(f"\n{uid}M,{rfc3339(at + timedelta(seconds=30))},1,,230\n")
    assert imported(database_url, path) == 1
    assert rejects(path)[5]["code"] == "mixed_energy"


def fleetmeter_import(database_url: str, path: Path) -> Forked:
    """Start an import in a process of its own, in small steps."""
    return Forked(
        ["import", str(path)],
        {"FLEETMETER_DATABASE_URL": database_url},
        path.parent,
        patches={"fleetmeter.files.imports.lines.BLOCK_BYTES": 20_000},
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks small, so that a small file has many."""
    monkeypatch.setattr(lines, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(parquet, "_ROWS", 400)


def counts(said: str) -> list[int]:
    """Return accepted, duplicates and rejected from the last line of output."""
    words = said.splitlines()[-1].partition(": ")[2].replace(",", "").split()
    return [int(word) for word in words if word.isdigit()]


def test_an_import_that_was_killed_resumes_and_duplicates_nothing(
    database_url: str, db: Db, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30_000, bad_every=1000)
    progress = Path(f"{path}.progress.json")
    killed = fleetmeter_import(database_url, path)
    eventually(progress.exists, timeout_s=30, pause_s=0.001)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    began = json.loads(progress.read_text())["position"]
    assert began[0] > 0
    assert began[1] < 30_000

    assert imported(database_url, path) == 1
    out = capsys.readouterr().out
    assert out.endswith(
        " (resumed; readings that were stored before the interruption may count as duplicates)\n"
    )
    accepted, duplicates, rejected = counts(out)
    assert accepted + duplicates == 29_970
    assert rejected == 30
    assert db.value(METERS, uid) == 29_970
    assert list(rejects(path)) == [2 + 1000 * n for n in range(30)]
    assert not progress.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_where_it_can_resume(
    number: int,
    status: int,
    database_url: str,
    db: Db,
    uid: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30_000, bad_every=1000)
    stopped = fleetmeter_import(database_url, path)
    eventually(Path(f"{path}.progress.json").exists, timeout_s=30, pause_s=0.001)
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == status, err
    assert err.startswith(f"{path}: stopped after line ")
    assert err.endswith("; run it again to go on\n")
    assert not out

    assert imported(database_url, path) == 1
    assert counts(capsys.readouterr().out) == [29_970, 0, 30]
    assert db.value(METERS, uid) == 29_970
    assert len(rejects(path)) == 30


def at_the_first_save(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Run something as soon as the first block is committed."""
    save = SidecarFiles.save

    def saves(self: SidecarFiles) -> None:
        save(self)
        monkeypatch.setattr(SidecarFiles, "save", save)
        happens()

    monkeypatch.setattr(SidecarFiles, "save", saves)


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_without_its_database_it_keeps_the_progress(
    database_url: str,
    db: Db,
    uid: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30_000)
    proxy = DatabaseProxy(database_url)
    with proxy.running():
        at_the_first_save(monkeypatch, proxy.take_away)
        with pytest.raises(DatabaseUnavailableError, match="the database was lost after line") as e:
            imported(proxy.url, path)
        assert str(e.value).endswith("; run it again to go on")
        assert left(path) == ["readings.csv.progress.json"]
        assert capsys.readouterr().err == ""
        proxy.give_back()
        assert imported(proxy.url, path) == 0
    accepted, duplicates, _ = counts(capsys.readouterr().out)
    assert accepted + duplicates == 30_000
    assert db.value(METERS, uid) == 30_000


@pytest.mark.parametrize("ending", [pytest.param(".csv.gz", marks=pytest.mark.slow), ".parquet"])
@pytest.mark.usefixtures("small_blocks")
def test_formats_without_byte_offsets_resume_too(
    ending: str,
    database_url: str,
    db: Db,
    uid: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"readings{ending}"
    if ending == ".parquet":
        begin = hours_ago(20)
        count = 30_000
        columns = {
            "meterId": [f"{uid}M-{n % 10}" for n in range(count)],
            "timestamp": [rfc3339(begin + timedelta(seconds=n // 10)) for n in range(count)],
            "kwhConsumedAc": [1.5] * count,
            "voltage": [230] * count,
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=20_000)
    else:
        body = meters_csv(tmp_path / "plain", uid, 30_000).read_bytes()
        path.write_bytes(gzip.compress(body, 1))
        (tmp_path / "plain").unlink()
    stop = Stop()
    at_the_first_save(monkeypatch, lambda: stop.ask(signal.SIGTERM))
    assert imported(database_url, path, stop=stop) == 143
    assert 0 < db.value(METERS, uid) < 30_000
    assert imported(database_url, path) == 0
    assert counts(capsys.readouterr().out) == [30_000, 0, 0]
    assert db.value(METERS, uid) == 30_000
    assert left(path) == []


@pytest.mark.usefixtures("small_blocks")
def test_a_changed_file_starts_over(
    database_url: str,
    uid: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30_000, bad_every=5_000)
    stop = Stop()
    at_the_first_save(monkeypatch, lambda: stop.ask(signal.SIGTERM))
    assert imported(database_url, path, stop=stop) == 143
    meters_csv(path, uid, 20_000)
    capsys.readouterr()
    assert imported(database_url, path) == 0
    told = capsys.readouterr()
    assert told.err == (
        f"{path}: an earlier import of it was stopped, but the file has changed since; "
        "starting over\n"
    )
    accepted, duplicates, rejected = counts(told.out)
    assert duplicates > 0
    assert (accepted + duplicates, rejected) == (20_000, 0)
    assert left(path) == []


@pytest.mark.usefixtures("small_blocks")
def test_a_compressed_file_that_is_cut_off_is_stored_as_far_as_it_goes(
    database_url: str, db: Db, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "readings.csv.gz"
    path.write_bytes(gzip.compress(meters_csv(tmp_path / "plain", uid, 30_000).read_bytes())[:-9])
    assert imported(database_url, path) == 1
    assert "it cannot be unpacked: " in capsys.readouterr().err
    assert db.value(METERS, uid) > 20_000


def test_rejects_and_progress_go_elsewhere_with_out(
    database_url: str, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = meters_csv(folder / "readings.csv", uid, 10, bad_every=5)
    assert imported(database_url, path, out=tmp_path / "out") == 1
    assert f"2 rejected ({tmp_path}/out/readings.csv.rejected.ndjson)" in capsys.readouterr().out
    assert left(path) == []
    assert len(rejects(tmp_path / "out/readings.csv")) == 2


@pytest.mark.parametrize(
    ("files", "out", "said"),
    [
        (["x.csv"], "file/out", "--out .*file/out cannot be used: Not a directory"),
        (["x.txt"], None, "x.txt: its extension does not show the format; add --format"),
        (["a/x.csv", "b/x.csv"], "out", "would both write .*x.csv.rejected.ndjson"),
        (["/dev/null"], None, "/dev/null is not a regular file, .*; save it to a file first"),
        (["a.csv.import.lock", "a.csv.progress.json"], None, "nothing to import"),
        (["c/x.csv"], None, "x.csv.rejected.ndjson cannot be written: Is a directory; .* --out"),
    ],
)
def test_what_cannot_be_imported_is_reported_before_anything_is_stored(
    files: Iterable[str], out: str | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "c/x.csv.rejected.ndjson").mkdir(parents=True)
    with pytest.raises(FleetMeterError, match=said):
        prepared([tmp_path / name for name in files], None, tmp_path / out if out else None)


def test_a_file_that_is_being_imported_is_left_alone(
    database_url: str, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30_000)
    first = fleetmeter_import(database_url, path)
    eventually(Path(f"{path}.progress.json").exists, timeout_s=30, pause_s=0.001)
    assert imported(database_url, path) == 1
    said = f"{path}: another import that writes {path}.rejected.ndjson is running\n"
    assert capsys.readouterr().err == said
    out, err = first.communicate(timeout=60)
    assert (counts(out), err, first.returncode) == ([30_000, 0, 0], "", 0)


@pytest.mark.usefixtures("small_blocks")
def test_a_full_disk_is_reported_and_stored_readings_are_kept(
    database_url: str, uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 3_000, bad_every=2)
    opened = Path.open

    def full(self: Path, mode: str = "r", *how: Any, **options: Any) -> Any:
        rejects = self.name.endswith(".rejected.ndjson")
        path = Path("/dev/full") if rejects and mode == "ab" else self
        return opened(path, mode, *how, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(FleetMeterError, match=r"No space left on device; run it again to go on"):
        imported(database_url, path)


def test_files_written_by_an_import_are_not_imported(
    database_url: str, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 10)
    own = [
        Path(f"{path}{end}")
        for end in (".import.lock", ".progress.json", ".progress.json.new", ".rejected.ndjson")
    ]
    for each in own:
        each.touch()
    assert imported(database_url, *sorted(tmp_path.iterdir())) == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[0] == (
        f"skipped, as an import writes them: {', '.join(map(str, own))}"
    )
    assert told.out == f"{path}: 10 accepted, 0 duplicates, 0 rejected\n"


def test_parquet_without_pyarrow_says_what_to_install(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "fleetmeter.files.imports.parquet", raising=False)
    path = tmp_path / "readings.parquet"
    path.write_bytes(b"PAR1")
    assert imported(database_url, path) == 1
    said = "Parquet needs pyarrow: pip install 'fleetmeter[parquet]'"
    assert capsys.readouterr().err == f"{path}: {said}\n"


def test_a_reading_stored_with_other_values_is_reported(
    database_url: str, db: Db, uid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meters_csv(tmp_path / "readings.csv", uid, 30)
    assert imported(database_url, path) == 0
    path.write_text(path.read_text().replace("1.5", "2", 8))
    assert imported(database_url, path) == 1
    assert counts(capsys.readouterr().out) == [0, 22, 8]
    assert {line: reject["code"] for line, reject in rejects(path).items()} == dict.fromkeys(
        range(2, 10), "conflict"
    )
    energy = "select sum(energy_mwh)::bigint from meter_readings where starts_with(meter_id, $1)"
    assert db.value(energy, uid) == 30 * 1_500_000


@pytest.mark.parametrize("format_", ["csv", pytest.param("parquet", marks=pytest.mark.slow)])
def test_an_export_gives_the_same_energy_at_the_same_time_elsewhere(
    client: httpx.Client, db: Db, server: Server, uid: str, tmp_path: Path, format_: str
) -> None:
    """Covers registers over gaps, given and overlapping intervals, and intervals from settings."""
    at = hours_ago(60)
    minute = timedelta(minutes=1)

    def register(n: int, total: float) -> dict[str, Any]:
        sent = meter_reading(f"{uid}R", at + n * minute, kwhConsumedAcTotal=total)
        del sent["kwhConsumedAc"]
        return sent

    settings = (("meter", f"{uid}H", '{"reporting_interval_s": 3600}'),)
    for kind, device, values in settings:
        db.fetch("select set_device($1, $2, $3::jsonb)", kind, device, values)
    post(
        client,
        *(
            register(n, total)
            for n, total in ((0, 100), (1, 100.1), (200, 107.7), (201, 3), (290, 4))
        ),
        *(
            meter_reading(f"{uid}S", at + n * minute, n / 7, intervalStart=rfc3339(at + s * minute))
            for n, s in ((30, -70.5), (40, 10), (100, 100 - 1 / 60))
        ),
        *(meter_reading(f"{uid}H", at + n * minute, 1 / 3) for n in (60, 120, 150, 300)),
        *(
            vehicle_reading(f"{uid}EV", at + n * minute, n / 9, meterId=meter)
            for n, meter in ((7, f"{uid}R"), (8, f"{uid}R"), (9, f"{uid}S"))
        ),
    )
    window = {"from": rfc3339(at), "to": rfc3339(at + timedelta(hours=6)), "format": format_}
    devices = [("meterId", f"{uid}{name}") for name in "RSH"] + [("vehicleId", f"{uid}EV")]
    paths = []
    for name, device in devices:
        answer = client.get("/v1/export", params=window | {name: device})
        assert answer.status_code == 200, answer.text
        paths.append(tmp_path / f"{device}.{format_}")
        paths[-1].write_bytes(answer.content)

    def stored(where: Db) -> list[list[tuple[Any, ...]]]:
        of_uid = "from {} as r join devices as d using (device) where starts_with(d.id, $1)"
        meter = "(select m.id from devices as m where m.device = r.meter)"
        questions = (
            f"select d.id, time, {meter}, energy_mwh, register_mwh, span_ms, interval_start, reset,"
            f" spread, soc_bp, voltage_mv {of_uid.format('readings')} order by 1, 2",
            f"select d.id, bucket, ends, {meter}, starts, energy_mwh, covered_ms"
            f" {of_uid.format('spread_energy')} order by 1, 2, 3",
            f"select d.id, bucket, {meter}, energy_mwh, covered_ms {of_uid.format('quarter_hours')}"
            " order by 1, 2, 3",
        )
        return [[tuple(row) for row in where.fetch(asked, uid)] for asked in questions]

    with fresh_database(server) as url:
        asyncio.run(migrate(url, RETENTION_DAYS))
        elsewhere = Db(url)
        for kind, device, values in settings:
            elsewhere.fetch("select set_device($1, $2, $3::jsonb)", kind, device, values)
        assert imported(url, *paths) == 0
        readings, pieces, _ = stored(elsewhere)
        assert (len(readings), sum(row[6] is not None for row in readings)) == (15, 3)
        assert len(pieces) > 30
        eventually(lambda: stored(db) == stored(elsewhere))
        # where it came from, it is all there already
        assert imported(db.url, *paths) == 0
    assert len(stored(db)[0]) == 15
