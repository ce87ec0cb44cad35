"""`fleetmeter bench`, small: its scenarios run, lose nothing, and leave nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetmeter.bench.fleet import Traffic, requests, transactions
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.model import time_of
from fleetmeter.readings.validate import Bounds
from tests.conftest import Db, Server, hours_ago

START = hours_ago(0.5)
BOUNDS = Bounds(hours_ago(10), hours_ago(10), hours_ago(-1))


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
    databases = "select count(*) from pg_database where datname like 'fleetmeter_bench%'"
    before = Db(server.url).value(databases)
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
    assert Db(server.url).value(databases) == before


def test_without_a_database_it_brings_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    options = ("--only", "singles", "--devices", "1000", "--readings", "200000")
    done = run_bench(tmp_path, {}, *options)
    assert done.returncode == 0, done.stderr
    assert "singles, 64 connections" in done.stdout
    assert list((tmp_path / "data").iterdir()) == []


def test_a_scenario_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    done = run_bench(tmp_path, {}, "--only", "nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no scenario nonsense; there are bulk,")


@pytest.mark.parametrize("late", [0.0, 0.2])
@pytest.mark.parametrize("format_", ["json", "ndjson", "msgpack"])
def test_the_traffic_is_valid_and_never_repeats_a_reading(format_: str, late: float) -> None:
    traffic = Traffic(
        devices=1000,
        groups=10,
        batch=200,
        start=START,
        format=format_,
        late=late,  # type: ignore[arg-type]
    )
    keys = set()
    sent = 0
    for group in range(3):
        stream = requests(traffic, group)
        for request in [next(stream) for _ in range(5)]:
            decoder = BatchDecoder(format_, BOUNDS, 1000)  # type: ignore[arg-type]
            decoder.feed(request.wire.partition(b"\r\n\r\n")[2])
            batch = decoder.finish()
            assert not batch.rejected
            assert len(batch.vehicles) + len(batch.meters) == request.readings
            keys |= {row[:2] for row in batch.vehicles + batch.meters}
            sent += request.readings
    assert len(keys) == sent
    assert sent == (3 * 5 * 200 if not late else 3 * 5 * 250)


def test_the_limit_stores_the_same_readings_as_the_requests_bring() -> None:
    traffic = Traffic(devices=1000, groups=10, batch=200, start=START)
    first = next(transactions(traffic, [0, 1], 400))
    decoded = set()
    for group in (0, 1):
        decoder = BatchDecoder("json", BOUNDS, 1000)
        decoder.feed(next(requests(traffic, group)).wire.partition(b"\r\n\r\n")[2])
        batch = decoder.finish()
        decoded |= {(row[0], time_of(row[1]), *row[2:5]) for row in batch.vehicles}
        decoded |= {(row[0], time_of(row[1]), *row[2:]) for row in batch.meters}
    assert {row[:5] for row in first.vehicles} | set(first.meters) == decoded


def test_a_database_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    environ = {"FLEETMETER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = run_bench(tmp_path, environ)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the database")
