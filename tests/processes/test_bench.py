"""`fleetmeter bench`, small: its scenarios run, lose nothing, and leave nothing behind."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.mapping.load import parse
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.model import time_of
from fleetmeter.readings.validate import Bounds, Invalid, Reading, checked
from fleetmeter.settings import Settings
from fleetmeter.slices import at_once
from fleetmeter_benchmark import (
    columnstore,
    compare_ingest,
    detection,
    evaluation,
    export_file,
    import_file,
    jobs,
    report,
    run,
)
from fleetmeter_benchmark.answers import Answered, medians
from fleetmeter_benchmark.client import question
from fleetmeter_benchmark.columnstore import CLOCKS
from fleetmeter_benchmark.file_results import Moved
from fleetmeter_benchmark.file_results import medians as file_medians
from fleetmeter_benchmark.fleet import (
    AGES,
    INFLUX_RULES,
    Format,
    Request,
    Traffic,
    requests,
    transactions,
)
from fleetmeter_benchmark.history import empty_history
from fleetmeter_benchmark.ingest import Ingest
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.options import (
    COMPARED,
    AnomalyOptions,
    AnswersOptions,
    ColumnstoreOptions,
    Options,
)
from fleetmeter_benchmark.realistic_day import MINUTES, Day, minutes
from tests.conftest import Db, Server, hours_ago
from tests.support.mosquitto import mosquitto
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow

START = hours_ago(0.5)
BOUNDS = Bounds(hours_ago(10), hours_ago(-1))
DATABASES = "select count(*) from pg_database where datname like 'fleetmeter_bench%'"


def run_bench(
    folder: Path, environ: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLEETMETER_")}
    return subprocess.run(
        [sys.executable, "-m", "fleetmeter", "bench", *options],
        cwd=folder,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.timescaledb
def test_scenarios_run_and_nothing_acknowledged_is_missing(server: Server, tmp_path: Path) -> None:
    before = Db(server.url).value(DATABASES)
    done = run_bench(
        tmp_path,
        {"FLEETMETER_DATABASE_URL": server.url},
        *("--devices", "1000", "--readings", "200000", "--seconds", "1", "--out", "result.json"),
        *("--only", "resend", "--only", "overload"),
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "result.json").read_text())
    results = {line["scenario"]: line for line in document["results"]}
    assert list(results) == [
        "limit, batches of 1,000",
        "bulk, batches of 1,000",
        "resend",
        "overload, 3 × bulk",
    ]
    for name, line in results.items():
        assert name in done.stdout
        assert line["rate"] > 0
        assert "missing" not in line, name
        statuses = {"200", "204"} | ({"503", "unsent"} if "load" in name else set())
        assert set(line["answers"]) <= statuses, name
    assert results["resend"]["compared_with"] == "bulk, batches of 1,000"
    assert document["machine"]["timescaledb"]
    assert document["answers"] == document["columnstore"] == document["files"] == []
    assert "readings in history" not in done.stdout
    assert Db(server.url).value(DATABASES) == before


def test_without_a_database_it_brings_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    options = ("--only", "singles", "--devices", "1000", "--readings", "200000")
    done = run_bench(tmp_path, {}, *options)
    assert done.returncode == 0, done.stderr
    assert "singles, 64 connections" in done.stdout
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.either
def test_what_a_key_costs_is_measured_beside_a_service_without(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Db(server.url).value(DATABASES)
    out = tmp_path / "result.json"
    options = Options(only=("keys",), pairs=2)
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    lines = json.loads(out.read_text())["keys"]
    assert [(line["figure"], line["pairs"]) for line in lines] == [
        ("singles", 2),
        ("batches of 1,000", 2),
    ]
    assert all(0.3 < line["ratio"] < 3 for line in lines)
    assert "with a key" in capsys.readouterr().out
    assert Db(server.url).value(DATABASES) == before


@pytest.mark.either
@pytest.mark.slow
def test_chargers_are_measured_beside_singles(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    options = Options(only=("ocpp",), devices=1000, readings=20_000, charge_points=600)
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    *_, singles, ocpp, idle = json.loads(out.read_text())["results"]
    assert ocpp["compared_with"] == singles["scenario"]
    assert ocpp["answers"] == {"CALLRESULT": 5000}
    assert "missing" not in ocpp
    assert "unacknowledged" not in ocpp
    assert ocpp["rate"] > 0
    assert idle["answers"] == {"101": 600}
    assert idle["rss_mib"] > 0


@pytest.mark.either
@pytest.mark.slow
def test_mqtt_is_measured_beside_singles(server: Server, tmp_path: Path) -> None:
    mosquitto()
    out = tmp_path / "result.json"
    options = Options(only=("mqtt",), devices=1000, readings=20_000)
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    *_, singles, mqtt = json.loads(out.read_text())["results"]
    assert mqtt["compared_with"] == singles["scenario"]
    assert mqtt["answers"] == {"PUBACK": 2000}
    assert "missing" not in mqtt and "unacknowledged" not in mqtt  # noqa: PT018
    assert mqtt["rate"] > 0


@pytest.mark.either
@pytest.mark.slow
def test_line_protocol_is_measured_beside_json_and_all_of_it_is_stored(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Db(server.url).value(DATABASES)
    out = tmp_path / "result.json"
    options = Options(only=("influx",), pairs=2)
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    lines = json.loads(out.read_text())["influx"]
    assert [(line["figure"], line["pairs"]) for line in lines] == [
        ("singles", 2),
        ("batches of 1,000", 2),
    ]
    assert lines[1]["target"] == {"of": "ratio", "at_most": 1.25, "at_least": None}
    assert "line protocol" in capsys.readouterr().out
    assert Db(server.url).value(DATABASES) == before


def test_an_unknown_scenario_is_one_clear_line(tmp_path: Path) -> None:
    done = run_bench(tmp_path, {}, "--only", "nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: unknown scenario nonsense; choose from bulk,")


def test_answers_are_timed_beside_their_limits(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Db(server.url).value(DATABASES)
    options = Options(
        only=("answers",),
        answers=AnswersOptions(
            fleet=20, history_fleet=4, history_days=(1, 2, 4), runs=10, fleet_runs=2
        ),
    )
    out = tmp_path / "result.json"
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    document = json.loads(out.read_text())
    lines = {line["scenario"]: line for line in document["answers"]}
    assert {name: (line["readings"], line["runs"]) for name, line in lines.items()} == {
        "performance, 24 h": (62_400, 10),
        "performance, 24 h cut": (62_400, 10),
        "sessions, 24 h": (62_400, 10),
        "fleet, 24 h": (62_400, 2),
        "fleet, 24 h cut": (62_400, 2),
        "performance, 1 day of history": (11_520, 10),
        "performance, 2 days of history": (23_040, 10),
        "3 days by day, one vehicle": (25_344, 10),
    }
    printed = capsys.readouterr().out
    for name, line in lines.items():
        assert name in printed
        assert 0 < line["p50_ms"] <= line["p99_ms"], name
    assert {name: line["limit_ms"] for name, line in lines.items() if "limit_ms" in line} == {
        "performance, 24 h": 3,
        "performance, 24 h cut": 3,
        "fleet, 24 h": 250,
        "performance, 1 day of history": 3,
        "performance, 2 days of history": 3,
        "3 days by day, one vehicle": 10,
    }
    grown = lines["performance, 2 days of history"]
    assert grown["compared_with"] == "performance, 1 day of history"
    assert grown["ratio"] > 0
    assert grown["limit_ratio"] == 1.2
    assert document["results"] == []
    assert "readings/s" not in printed
    assert Db(server.url).value(DATABASES) == before


def test_the_history_of_answers_is_complete_rolled_up_and_accounted_for(server: Server) -> None:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=24)
    told: dict[str, tuple[int, int]] = {}

    async def fill() -> None:
        async with empty_history(
            server.url, 40, lambda name, *done: told.update({name: done})
        ) as history:
            await history.fill("fill", start, end, timedelta(minutes=10))
            await history.finish("finish", end, account_since=start)
            assert told == {"fill": (11_520, 11_520), "finish": (3, 3)}
            assert history.readings == 11_520
            connection = history.connection
            rolled_up = await connection.fetchval("select rolled_up_until()")
            accounted = await connection.fetchval("select count(*) from accounted_hours")
            if server.engine == "timescaledb":
                # the first readings are stamped on the hour: they end the hour before
                assert (rolled_up, accounted) == (end, 25)
            row = await queries.fleet(
                connection,
                start=start,
                end=end,
                after_site=None,
                sites=100,
                sort="loss",
                reverse=True,
                after_value=None,
                after_id=None,
                vehicles=100,
                **EVERYTHING.parameters(),
            )
            totals = json.loads(row["totals"])
            assert totals["vehicles_reporting"] == totals["meters_reporting"] == 40
            assert totals["readings_without_meter"] == 0
            attributed = totals["ac_mwh"] - totals["unattributed_mwh"]
            assert totals["compared_ac_mwh"] == attributed
            assert totals["compared_dc_mwh"] == totals["dc_mwh"]
            assert 0.8 < totals["compared_dc_mwh"] / totals["compared_ac_mwh"] < 0.95
            assert totals["unattributed_mwh"] > 0
            vehicles = {item["vehicle_id"]: item for item in json.loads(row["vehicles"])}
            assert vehicles["EV-000020"]["meter_ids"] == ["MTR-000019"]
            assert {item["value"] < 0 for item in vehicles.values()} == {True}
            assert len(json.loads(row["sites"])) == 40

    asyncio.run(fill())


def test_an_answer_over_its_limit_is_shown_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    def line(scenario: str, p50_ms: float, **limits: float) -> Answered:
        free = Answered(scenario=scenario, readings=1, runs=1, p50_ms=p50_ms, p99_ms=p50_ms)
        return msgspec.structs.replace(free, **limits)

    first = [line("free", 5), line("ok", 3, limit_ms=3), line("slow", 4, limit_ms=3)]
    ratio = [line("grown", 2, limit_ms=3, ratio=1.3, limit_ratio=1.2)]
    later = [line("free", 7), line("ok", 3), line("slow", 6), line("grown", 2, ratio=1.7)]
    lines = medians([first + ratio, later])
    assert [each.p50_ms for each in lines] == [6, 3, 5, 2]
    on = dict.fromkeys(("timescaledb", "postgresql", "python", "cores", "cpu"), "")
    report.show_answers(lines, on)
    rows = [
        [cell.strip() for cell in row.split("│")[1:-1]]
        for row in capsys.readouterr().out.splitlines()
        if "│" in row
    ]
    assert [(row[0], row[4], row[5]) for row in rows] == [
        ("free", "", ""),
        ("ok", "3 ms", ""),
        ("slow", "3 ms OVER", ""),
        ("grown", "3 ms, ratio 1.2 OVER", "1.50"),
    ]


def test_a_day_is_packed_and_no_reading_is_lost_or_stored_twice(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Db(server.url).value(DATABASES)
    options = Options(only=("columnstore",), columnstore=ColumnstoreOptions(devices=10))
    out = tmp_path / "result.json"
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    document = json.loads(out.read_text())
    lines = {line["scenario"]: line for line in document["columnstore"]}
    assert {name: line["readings"] for name, line in lines.items()} == {
        "exact minutes": 28_800,
        "jitter of a second": 28_800,
    }
    printed = capsys.readouterr().out
    figures = {name for line in lines.values() for name in line if name[-2:] == "us"}
    for name, line in lines.items():
        assert name in printed
        assert 100 < line["rows_bytes"] < 300, name
        assert line["rows_late_us"] > 0, name
        if server.engine == "postgresql":
            assert "columnstore_bytes" not in line, name
            continue
        assert line["columnstore_bytes"] < line["rows_bytes"] / 5, name
        assert line["columnstore_bytes"] < line["late_bytes"], name
        assert line["rewritten_bytes"] < line["updated_bytes"], name
        assert all(line[figure] > 0 for figure in figures), name
    exact, jitter = lines["exact minutes"], lines["jitter of a second"]
    if server.engine == "timescaledb":
        assert (exact["limit_bytes"], jitter["limit_bytes"]) == (8, 12)
        assert exact["columnstore_bytes"] < jitter["columnstore_bytes"]
        assert figures == {"rows_resend_us", "rows_late_us", "resend_us", "late_us"}
    assert document["results"] == document["answers"] == []
    assert Db(server.url).value(DATABASES) == before


def test_late_readings_that_are_not_stored_end_the_benchmark(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnstore, "_LATE_BY", timedelta(0))
    options = Options(only=("columnstore",), columnstore=ColumnstoreOptions(devices=2))
    with pytest.raises(FleetMeterError, match="exact minutes: of 60 readings 0 were stored as new"):
        run.measure(server.url, Settings(), options, rounds=1, out=tmp_path / "none.json")


def test_more_bytes_than_the_limit_are_shown_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    def line(scenario: str, size: float, limit: float | None) -> columnstore.Packed:
        return columnstore.Packed(
            scenario=scenario,
            readings=1,
            rows_bytes=100,
            rows_resend_us=1,
            rows_late_us=1,
            columnstore_bytes=size,
            limit_bytes=limit,
        )

    rounds = [
        [line("free", 13, None), line("ok", 12, 12), line("large", each, 12)] for each in (12, 14)
    ]
    lines = columnstore.medians(rounds)
    assert [each.columnstore_bytes for each in lines] == [13, 12, 13]
    on = dict.fromkeys(("timescaledb", "postgresql", "python", "cores", "cpu"), "")
    report.show_columnstore(lines, on)
    rows = [
        [cell.strip() for cell in row.split("│")[1:-1]]
        for row in capsys.readouterr().out.splitlines()
        if "│" in row
    ]
    assert [(row[0], row[3], row[4]) for row in rows] == [
        ("free", "13.0", ""),
        ("ok", "12.0", "12.0"),
        ("large", "13.0", "12.0 OVER"),
    ]


BULK = Measured(scenario="bulk", rate=1000.0, p50_ms=1, p99_ms=1, answers={"200": 1})


def test_a_file_is_imported_whole_and_compared_with_the_faster_bulk(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def bulk(_: Ingest, batch: int) -> Measured:
        return msgspec.structs.replace(BULK, scenario=f"bulk, {batch}", rate=7e6 - 1000 * batch)

    before = Db(server.url).value(DATABASES)
    monkeypatch.setattr(Ingest, "bulk", bulk)  # measured by the scenarios above
    options = Options(only=("import",), devices=1000, readings=20_000)
    out = tmp_path / "result.json"
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    small, whole = json.loads(out.read_text())["files"]
    assert (small["scenario"], small["readings"]) == ("import, 2,000", 2000)
    assert (whole["scenario"], whole["readings"]) == ("import, 20,000", 20_000)
    assert 9 < whole["bytes"] / small["bytes"] < 11
    assert whole["compared_with"] == "bulk, 1000"
    assert whole["ratio"] == whole["rate"] / 6e6
    assert whole["rss_ratio"] == whole["rss_mib"] / small["rss_mib"]
    assert (whole["target_ratio"], whole["limit_rss_ratio"]) == (0.5, 1.2)
    assert all(line["rss_mib"] > 20 and line["process_cpu_s"] > 0 for line in (small, whole))
    printed = capsys.readouterr().out
    assert "import, 2,000" in printed
    assert "0.5 UNDER" in printed
    assert Db(server.url).value(DATABASES) == before


def test_history_that_is_not_what_the_file_has_ends_the_benchmark(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(devices=1000, readings=1000)
    wrong = import_file._DIFFERENCE.replace("soc * 100)", "soc * 100 + 1)")
    monkeypatch.setattr(import_file, "_DIFFERENCE", wrong)
    with pytest.raises(FleetMeterError, match=r"import, 1,000: .*500 are MISSING.* has 500 that"):
        asyncio.run(import_file.measure(server.url, None, options, lambda *_: None, BULK))


@pytest.mark.postgresql
def test_history_is_exported_whole_in_each_format(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Db(server.url).value(DATABASES)
    options = Options(only=("export",), devices=1000, readings=10_000)
    out = tmp_path / "result.json"
    run.measure(server.url, Settings(), options, rounds=1, out=out)
    document = json.loads(out.read_text())
    lines = {line["scenario"]: line for line in document["files"]}
    assert {name: line["readings"] for name, line in lines.items()} == {
        "export CSV, 10,000": 10_000,
        "export CSV, 100,000": 100_000,
        "export Parquet, 10,000": 10_000,
        "export Parquet, 100,000": 100_000,
    }
    csv, parquet = lines["export CSV, 100,000"], lines["export Parquet, 100,000"]
    assert csv["bytes"] > 50 * csv["readings"]
    assert parquet["bytes"] < csv["bytes"] / 5
    assert parquet["compared_with"] == "export CSV, 100,000"
    assert csv["limit_rss_ratio"] == parquet["limit_rss_ratio"] == 1.2
    assert all(line["rate"] > 0 and line["rss_mib"] > 20 for line in lines.values())
    printed = capsys.readouterr().out
    assert all(name in printed for name in lines)
    if server.engine == "timescaledb":
        assert "4 of 6 chunks are in the columnstore" in " ".join(printed.split())
    assert document["results"] == []
    assert Db(server.url).value(DATABASES) == before


@pytest.mark.postgresql
def test_without_pyarrow_the_export_says_that_parquet_was_not_measured(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_file, "find_spec", lambda name: None)
    options = Options(devices=1000, readings=1000)
    lines = asyncio.run(export_file.measure(server.url, None, options, lambda *_: None))
    assert [line.scenario for line in lines] == ["export CSV, 1,000", "export CSV, 10,000"]
    assert lines[-1].note == "Parquet was not measured: pyarrow is not installed."


@pytest.mark.postgresql
@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_an_export_that_lacks_a_reading_ends_the_benchmark(
    server: Server, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    def later(path: str, window: tuple[datetime, datetime], **parameters: str) -> bytes:
        start, end = window
        return question(path, (start + timedelta(seconds=1), end), **parameters)

    async def measure() -> None:
        async with empty_history(server.url, 10, lambda *_: None) as history:
            start = START.replace(microsecond=0) - timedelta(days=1)
            await history.fill("fill", start, start + timedelta(hours=1))
            exporting = export_file._Exporting(history, None, 1, lambda *_: None)
            exporting.windows = [(1200, start, start + timedelta(hours=1))] * 2
            await exporting.lines(format_)  # type: ignore[arg-type]

    monkeypatch.setattr(export_file, "question", later)
    with pytest.raises(FleetMeterError, match="1,180 readings; 20 are MISSING"):
        asyncio.run(measure())


def test_a_file_that_misses_its_targets_is_shown_plainly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def line(scenario: str, ratio: float, rss_ratio: float) -> Moved:
        return Moved(
            scenario=scenario,
            readings=1,
            bytes=1,
            rate=1,
            rss_mib=50 * rss_ratio,
            process_cpu_s=1,
            ratio=ratio,
            target_ratio=0.5,
            rss_ratio=rss_ratio,
            limit_rss_ratio=1.2,
        )

    rounds = [
        [line("ok", 0.5, 1.2), line("slow", each, 1), line("large", 1, 1 + each)]
        for each in (0.3, 0.5)
    ]
    lines = file_medians(rounds)
    assert [each.rss_mib for each in lines] == [60, 50, 75]
    on = dict.fromkeys(("timescaledb", "postgresql", "python", "cores", "cpu"), "")
    report.show_files(lines, on)
    rows = [
        [cell.strip() for cell in row.split("│")[1:-1]]
        for row in capsys.readouterr().out.splitlines()
        if "│" in row
    ]
    assert [(row[0], row[4], row[5], row[8], row[9]) for row in rows] == [
        ("ok", "0.50", "0.5", "1.20", "1.2"),
        ("slow", "0.40", "0.5 UNDER", "1.00", "1.2"),
        ("large", "1.00", "0.5", "1.40", "1.2 OVER"),
    ]


@pytest.mark.parametrize("jitter_ms", [0, 1000])
def test_the_day_has_the_resolution_that_it_says(jitter_ms: int) -> None:
    day = Day(devices=30, start=START, jitter_ms=jitter_ms)
    all_minutes = list(minutes(day))
    assert all_minutes == list(minutes(day)), "the same at each call"
    assert len(all_minutes) == MINUTES
    readings = [each for minute in all_minutes for each in minute]
    vehicles = [each for each in readings if "vehicleId" in each]
    meters = [each for each in readings if "meterId" in each]
    assert len(vehicles) == len(meters) == 30 * MINUTES
    for number, minute in enumerate(all_minutes):
        for each in minute:
            late_us = (each["timestamp"] - START) // timedelta(microseconds=1) - 60_000_000 * number
            assert 0 <= late_us < max(1000 * jitter_ms, 1)
            assert late_us % 1000 == 0
    dc = [each["kwhDeliveredDc"] for each in vehicles]
    ac = [each["kwhConsumedAc"] for each in meters]
    assert all(round(kwh, 3) == kwh for kwh in dc + ac)
    assert all(round(each["batteryTemp"], 1) == each["batteryTemp"] for each in vehicles)
    assert all(round(each["voltage"], 1) == each["voltage"] for each in meters)
    assert all(5 <= each["soc"] <= 100 for each in vehicles)
    assert 0.15 < sum(kwh > 0 for kwh in dc) / len(dc) < 0.4
    assert 0.8 < sum(dc) / sum(ac) < 0.95


def decoded(format_: Format, request: Request) -> list[Reading]:
    """Return the readings that the service decodes from a request."""
    decoder: BatchDecoder | LineDecoder
    if format_ == "influx":
        mapping = Mapping(parse(INFLUX_RULES, "rules"))
        decoder = LineDecoder(mapping, KnownHeads(), 1, 1000)
    else:
        decoder = BatchDecoder(format_, 1000)
    at_once(decoder.feed(request.wire.partition(b"\r\n\r\n")[2]))
    items = at_once(decoder.finish())
    return [checked(item, BOUNDS) for item in items if not isinstance(item, Invalid)]


@pytest.mark.parametrize("late", [0.0, 0.2])
@pytest.mark.parametrize("format_", ["json", "ndjson", "msgpack", "influx"])
def test_the_traffic_is_valid_and_never_repeats_a_reading(format_: Format, late: float) -> None:
    traffic = Traffic(
        devices=1000,
        groups=10,
        batch=200,
        start=START,
        format=format_,
        late=late,
    )
    keys = set()
    sent = 0
    for group in range(3):
        stream = requests(traffic, group)
        for request in [next(stream) for _ in range(5)]:
            readings = decoded(format_, request)
            assert len(readings) == request.readings
            keys |= {(reading.id, reading.time) for reading in readings}
            sent += request.readings
    assert len(keys) == sent
    assert sent == (3 * 5 * 200 if not late else 3 * 5 * 250)


def test_the_limit_stores_the_same_readings_as_the_requests_bring() -> None:
    traffic = Traffic(devices=1000, groups=10, batch=200, start=START)
    first = next(transactions(traffic, [0, 1], 400))
    sent = {
        (
            *(reading.id, time_of(reading.time), reading.energy_mwh),
            *(value for value in reading.values if value is not None),
        )
        for group in (0, 1)
        for reading in decoded("json", next(requests(traffic, group)))
    }
    assert {row[:5] for row in first.vehicles} | set(first.meters) == sent


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="it compares in a git checkout")
def test_two_versions_are_measured_in_turn_and_nothing_is_left(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Db(server.url).value(DATABASES)
    monkeypatch.setattr(jobs, "_QUIET_S", 1)
    monkeypatch.setattr(compare_ingest, "AGES", AGES[:2])
    monkeypatch.setattr(columnstore, "CLOCKS", CLOCKS[:1])
    figures = {
        "bulk": ("bulk, fresh", "bulk, an hour old, CPU of the database"),
        "singles": ("singles, an hour old ÷ fresh", "singles, fresh ÷ empty handler"),
        "answers": ("performance, 2 h", "performance, 2 h cut", "fleet, 2 h", "fleet, 2 h cut"),
        "columnstore": ("a row with its index, exact minutes",),
    }
    # each on one engine; the columnstore, which only one has, on both
    left_out = ("singles",) if server.engine == "timescaledb" else ("bulk", "answers")
    options = Options(
        only=tuple(name for name in COMPARED if name not in left_out),
        devices=1000,
        readings=80_000,
        answers=AnswersOptions(fleet=20, hours=4, runs=5, fleet_runs=2),
        columnstore=ColumnstoreOptions(devices=10),
    )
    out = tmp_path / "compare.json"
    run.measure_against("HEAD", server.url, options, rounds=1, out=out)
    document = json.loads(out.read_text())
    lines = {line["figure"]: line for line in document["compared"]}
    assert lines.keys() >= {figure for name in options.only for figure in figures[name]}
    assert not lines.keys() & {figure for name in left_out for figure in figures[name]}
    printed = capsys.readouterr().out
    for name, line in lines.items():
        assert name in printed
        assert min(line["old"], line["new"], line["ratio"]) > 0, name
    row = lines["a row with its index, exact minutes"]
    assert 0.95 < row["ratio"] < 1.05, "the bytes of two versions that store the same"
    assert ("in the columnstore, exact minutes" in lines) == (server.engine == "timescaledb")
    if "answers" in options.only:
        assert [lines[name]["pairs"] for name in figures["answers"]] == [5, 5, 2, 2]
    assert document["machine"]["old"] in document["machine"]["new"]
    assert Db(server.url).value(DATABASES) == before


def test_a_database_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    environ = {"FLEETMETER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = run_bench(tmp_path, environ)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the database")


@pytest.mark.timescaledb
def test_faults_of_a_simulated_fleet_are_found_and_nothing_is_left_behind(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    options = AnomalyOptions(vehicles=24, days=1, faults=1, seeds=(8,), evaluated=100, runs=2)
    told: set[str] = set()

    async def measure() -> tuple[list[Answered], detection.Detected]:
        def progress(name: str, done: int, total: int) -> None:
            told.add(name)

        return (
            await evaluation.measure(server.url, options, progress),
            await detection.measure(server.url, options, progress),
        )

    before = Db(server.url).value(DATABASES)
    timed, detected = asyncio.run(measure())
    assert len(timed) == 2
    assert all(line.p50_ms > 0 for line in timed)
    assert told >= {"anomalies: fleet 8", *(line.scenario for line in timed)}
    found = {line.kind: line for line in detected.scores}
    assert not found.keys() & detection.BY_ARRIVAL
    for kind in ("voltage_out_of_range", "meter_silent", "battery_hot"):
        assert (found[kind].faults, found[kind].recalled) == (1, 1), kind
    on = {"timescaledb": "2", "postgresql": "15", "python": "3", "cores": 1, "cpu": ""}
    report.show_detected(detected, on)
    assert "voltage_out_of_range" in capsys.readouterr().out
    assert Db(server.url).value(DATABASES) == before
