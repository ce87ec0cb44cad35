"""Imports by mappings and presets on the command line, and the rules over them."""

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleetmeter.anomalies.evaluation import late
from fleetmeter.cli import main
from fleetmeter.files.imports.mapping import source
from fleetmeter.files.imports.mapping.options import mapping_options
from fleetmeter.files.imports.run import Stop, prepared, run
from fleetmeter.files.imports.sidecar_files import SidecarFiles
from fleetmeter.settings import Settings
from tests.conftest import Db, hours_ago, rfc3339

pytestmark = pytest.mark.either

MAPPING = """
time = "t"
[fields]
meterId = "m"
kwhConsumedAc = { column = "wh", unit = "Wh" }
"""


def fleetmeter(*words: object, url: str = "postgresql://127.0.0.1:1/none") -> Result:
    """Run the command; without a URL it must not need a database."""
    environ = {"FLEETMETER_DATABASE_URL": url}
    return CliRunner().invoke(main, ["import", *map(str, words)], env=environ)


def file_of(folder: Path, uid: str, count: int = 3) -> tuple[Path, Path]:
    """A file and its mapping."""
    begin = hours_ago(30)
    lines = [f"{uid},{rfc3339(begin + timedelta(seconds=n))},{1500 + n}" for n in range(count)]
    path, mapping = folder / "meters.csv", folder / "map.toml"
    path.write_text("\n".join(["m,t,wh", *lines]) + "\n")
    mapping.write_text(MAPPING)
    return path, mapping


def test_a_dry_run_shows_readings_as_they_are_stored_and_totals_and_stores_nothing(
    tmp_path: Path, uid: str
) -> None:
    path, mapping = file_of(tmp_path, uid, 12)
    with path.open("a") as file:
        file.write(f"{uid},2001-01-01T00:00:00Z,1\n{uid},{rfc3339(hours_ago(1))},-1\n")
    done = fleetmeter("--map", mapping, "--dry-run", path)
    assert done.exit_code == 1
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shown) == 10
    assert shown[1] == {
        "meterId": uid,
        "timestamp": rfc3339(hours_ago(30) + timedelta(seconds=1)),
        "kwhConsumedAc": 1.501,
    }
    assert f"meter {uid}: 12 readings from " in done.stderr
    assert f"kwhConsumedAc {12 * 1.5 + 0.066:.6f} in all" in done.stderr
    assert "2 would be rejected" in done.stderr
    assert "  14: too_old" in done.stderr
    assert "  15: out_of_range" in done.stderr
    assert "FLEETMETER_RETENTION_DAYS" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["map.toml", "meters.csv"]


def test_a_dry_run_of_a_register_shows_its_first_and_last_value(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    begin = hours_ago(30).timestamp()
    path.write_text(f"{begin + 60:.0f},12.5\n{begin:.0f},10\n{begin + 30:.0f},11\n")
    done = fleetmeter("--preset", "emoncms", "--device", "M", "--dry-run", path)
    assert "kwhConsumedAcTotal from 10.000000 to 12.500000, which is 2.500000" in done.stderr
    assert done.exit_code == 0


def test_a_dry_run_works_without_a_mapping_too(tmp_path: Path) -> None:
    path = tmp_path / "readings.json"
    path.write_text(
        json.dumps([{"meterId": "M", "timestamp": rfc3339(hours_ago(1)), "voltage": 1}])
    )
    done = fleetmeter("--dry-run", path)
    assert (done.exit_code, json.loads(done.stdout)["voltage"]) == (0, 1)
    path.write_text("[{}")
    assert "not a JSON array" in fleetmeter("--dry-run", path).stderr


def test_a_guess_is_a_mapping_that_can_be_used(tmp_path: Path) -> None:
    path, guessed = tmp_path / "export.csv", tmp_path / "guessed.toml"
    rows = [f"{13 + n // 24}.02.2026 {n % 24:02}:00;{n},25" for n in range(40)]
    path.write_text("\n".join(["Zeitpunkt;Verbrauch [kWh]", *rows]) + "\n")
    done = fleetmeter("--guess", "--device", "MTR-7", "--zone", "Europe/Berlin", path)
    assert done.exit_code == 0
    guessed.write_text(done.stdout)
    shown = fleetmeter("--map", guessed, "--dry-run", path).stdout.splitlines()
    assert '"meterId":"MTR-7"' in shown[0]
    assert "2026-02-12T23:00:00Z" in shown[0]


def test_a_guess_knows_the_presets(tmp_path: Path) -> None:
    path = tmp_path / "em_data.csv"
    path.write_text(
        "Date/time UTC,Active energy Wh (1),Returned energy Wh (1),Min V,Max V\n"
        "2026-02-09 10:00,2.10,0.00,232.0,233.5\n"
    )
    done = fleetmeter("--guess", path)
    assert 'preset = "shelly"' in done.stdout
    assert 'device = "ID"  # which one?' in done.stdout


def test_the_presets_are_listed_without_a_file() -> None:
    listed = fleetmeter("--preset", "help")
    assert listed.exit_code == 0
    assert "green-button" in listed.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "sheely"), "unknown preset 'sheely'; choose from acn-data, dsmr"),
        (("--device", "M"), "go with --map, --preset or --guess"),
        (("--guess", "--preset", "dsmr"), "--guess is for files without --map and --preset"),
        (("--format", "xlsx"), "needs --map, --preset or --guess"),
    ],
)
def test_conflicting_options_are_named(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    path, _ = file_of(tmp_path, "M")
    done = fleetmeter(*words, path)
    assert done.exit_code == 1
    assert said in done.stderr


def test_a_json_array_is_imported_item_by_item(
    database_url: str, db: Db, uid: str, tmp_path: Path
) -> None:
    path = tmp_path / "readings.json"
    at = hours_ago(5)
    good = [
        {"meterId": uid, "timestamp": rfc3339(at + timedelta(seconds=n)), "kwhConsumedAc": 1}
        for n in range(6000)
    ]
    path.write_text(json.dumps([*good, {"meterId": uid}, 5, {"meterId": uid, "timestamp": "x"}]))
    done = fleetmeter(path, url=database_url)
    assert done.exit_code == 1
    assert "6,000 accepted, 0 duplicates, 3 rejected" in done.stdout
    rejects = Path(f"{path}.rejected.ndjson")
    told = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [each["line"] for each in told] == [6001, 6002, 6003]
    assert told[1]["text"] == "5"
    assert db.value("select count(*) from meter_readings where meter_id = $1", uid) == 6000


def test_a_stopped_import_resumes_with_the_same_mapping_only(
    database_url: str,
    db: Db,
    uid: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(source, "_BLOCK", 500)
    path, mapping = file_of(tmp_path, uid, 20_000)
    stop, save = Stop(), SidecarFiles.save

    def saves(self: SidecarFiles) -> None:
        save(self)
        stop.ask(signal.SIGTERM)

    def imports(stopping: Stop) -> int:
        files = prepared([path], None, None, mapping_options(mapping))
        return run(files, database_url, Settings(database_url=database_url), stopping)

    monkeypatch.setattr(SidecarFiles, "save", saves)
    assert imports(stop) == 143
    monkeypatch.setattr(SidecarFiles, "save", save)
    stored = db.value("select count(*) from meter_readings where meter_id = $1", uid)
    assert 0 < stored < 20_000
    mapping.write_text(MAPPING.replace('"t"', '{ column = "t" }\nabsent = ["x"]'))
    capsys.readouterr()
    stop = Stop()
    monkeypatch.setattr(SidecarFiles, "save", saves)
    assert imports(stop) == 143
    assert "but its mapping was another; starting over" in capsys.readouterr().err
    monkeypatch.setattr(SidecarFiles, "save", save)
    assert imports(Stop()) == 0
    assert "(resumed; " in capsys.readouterr().out
    assert db.value("select count(*) from meter_readings where meter_id = $1", uid) == 20_000
    total = db.value("select sum(energy_mwh) from meter_readings where meter_id = $1", uid)
    assert total == sum(1500 + n for n in range(20_000)) * 1000


def test_evaluate_runs_the_rules_over_an_imported_period_however_old(
    quiet_database_url: str, uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Db(quiet_database_url)
    path, mapping = tmp_path / "car.csv", tmp_path / "map.toml"
    monkeypatch.setattr(late, "REACH", timedelta(days=2))  # not 92, which take long
    begin = hours_ago(24 * 5)
    lines = [f"{rfc3339(begin + timedelta(minutes=n))},0.1,{131 + n % 2}" for n in range(180)]
    path.write_text("\n".join(["t,kwh,temp", *lines]) + "\n")
    mapping.write_text(
        f'time = "t"\n[fields]\nvehicleId = {{ constant = "{uid}" }}\nkwhDeliveredDc = "kwh"\n'
        'batteryTemp = { column = "temp", unit = "°F" }\n'
    )
    found = "select count(*) from anomalies where kind = 'battery_hot' and device_id = $1"
    assert fleetmeter("--map", mapping, path, url=quiet_database_url).exit_code == 0
    assert db.value(found, uid) == 0
    done = fleetmeter("--map", mapping, "--evaluate", path, url=quiet_database_url)
    assert done.exit_code == 0, done.stderr
    assert "1 devices evaluated from " in done.stdout
    assert "battery_hot 1" in done.stdout
    assert db.value(found, uid) == 1
    again = fleetmeter("--map", mapping, "--evaluate", path, url=quiet_database_url)
    assert "nothing new is wrong" in again.stdout
    assert db.value(found, uid) == 1
