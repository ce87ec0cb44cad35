"""The arithmetic of two versions measured in turn, and how old the readings of a run are."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark import compare, report, versions
from fleetmeter_benchmark.fleet import AGES, STEP, Age, requests
from fleetmeter_benchmark.ingest_jobs import bulk_job, singles_job
from fleetmeter_benchmark.load_job import Job
from fleetmeter_benchmark.measured_load import measure_load
from fleetmeter_benchmark.options import Options
from fleetmeter_benchmark.pairs import Compared, Pairs, Target

ON = dict.fromkeys(("timescaledb", "postgresql", "python", "cores", "cpu", "old", "new"), "")


def test_a_ratio_is_the_median_of_the_ratios_of_pairs() -> None:
    pairs = Pairs()
    for old, new in ((10, 20), (100, 150), (1, 3)):  # one machine that was slow and fast at times
        pairs.add("bulk", "readings/s", old, new)
    (line,) = pairs.lines({})
    assert (line.figure, line.unit, line.pairs) == ("bulk", "readings/s", 3)
    assert (line.old, line.new) == (10, 20)
    assert line.ratio == 2
    pairs.add("bulk", "readings/s", 1, 1)
    assert pairs.lines({})[0].ratio == 1.75, "between the two in the middle"


def test_the_spread_of_ratios_and_the_least_disturbed_rounds_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = Pairs()
    for old, new in ((10, 11), (20, 26), (10, 12), (30, 33), (40, 44)):
        pairs.add("singles", "µs a reading", old, new)
    (line,) = pairs.lines({"singles": Target(at_most=1.05)})
    assert line.low is not None
    assert line.high is not None
    assert (round(line.low, 9), round(line.high, 9), line.ratio_of_least) == (1.1, 1.2, 1.1)
    report.show_sides([line], ON, ("without keys", "with a key"))
    row = next(row for row in capsys.readouterr().out.splitlines() if "singles" in row)
    assert [cell.strip() for cell in row.split("│")[3:-1]] == [
        *("20.00", "26.00", "1.10", "1.10 to 1.20", "1.10", "ratio ≤ 1.05 NOT REACHED", "5")
    ]


def test_figures_stay_in_the_order_in_which_they_came() -> None:
    pairs = Pairs()
    for _ in range(2):
        pairs.add("second", "ms", 1, 1)
        pairs.add("first", "ms", 1, 1)
    assert [line.figure for line in pairs.lines({})] == ["second", "first"]


def test_what_only_one_version_has_is_no_pair() -> None:
    pairs = Pairs()
    pairs.add("columnstore", "bytes", None, 4)
    pairs.add("columnstore", "bytes", 4, None)
    assert pairs.lines({}) == []


def test_nothing_has_no_ratio() -> None:
    pairs = Pairs()
    pairs.add("CPU", "s", 0, 1)
    pairs.add("CPU", "s", 2, 1)
    (line,) = pairs.lines({"CPU": Target(at_most=1)})
    assert (line.old, line.new, line.ratio) == (1, 1, None)
    assert line.target is not None
    assert not line.target.reached(line)


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target(at_most=0.5), True),
        (Target(at_most=0.49), False),
        (Target(at_least=0.5), True),
        (Target(at_least=0.51), False),
        (Target(of="new", at_most=40), True),
        (Target(of="new", at_least=40.01), False),
    ],
)
def test_a_target_is_of_the_ratio_or_of_the_new_version(target: Target, reached: bool) -> None:
    line = Compared(figure="", unit="", pairs=1, old=80, new=40, ratio=0.5)
    assert target.reached(line) is reached


def test_a_target_is_judged_in_the_digits_that_are_shown() -> None:
    line = Compared(figure="", unit="", pairs=1, old=1, new=1.004, ratio=1.004)
    assert Target(at_most=1).reached(line)


def test_what_is_not_reached_is_shown_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = Pairs()
    pairs.add("bulk", "readings/s", 100_000, 150_000)
    pairs.add("row", "bytes", 150, 110)
    pairs.add("singles", "", 0.4, 0.5)
    report.show_compared(
        pairs.lines({"bulk": Target(at_least=1.7), "row": Target(of="new", at_most=115)}), ON
    )
    rows = [
        [cell.strip() for cell in row.split("│")[1:-1]]
        for row in capsys.readouterr().out.splitlines()
        if "│" in row
    ]
    assert rows == [
        ["bulk", "readings/s", "100,000", "150,000", "1.50", "ratio ≥ 1.7 NOT REACHED", "1"],
        ["row", "bytes", "150.00", "110.00", "0.73", "new ≤ 115", "1"],
        ["singles", "", "0.40", "0.50", "1.25", "", "1"],
    ]


def test_each_target_is_of_a_whole_window() -> None:
    assert {"performance, 24 h", "fleet, 24 h cut"} <= compare.targets(Options()).keys()


@pytest.mark.parametrize("age", AGES, ids=lambda age: age.name)
@pytest.mark.parametrize("job_of", [partial(bulk_job, batch=5000), singles_job])
def test_the_readings_of_a_run_are_all_of_its_age(age: Age, job_of: Callable[..., Job]) -> None:
    options = Options(devices=10_000, readings=200_000)
    now = datetime.now(UTC)
    job = job_of(options, age=age)
    times, sent = [], 0
    for request in requests(job.traffic, 0):
        times += re.findall(rb'"timestamp":"([^"]+)"', request.wire)
        sent += request.readings
        if sent >= job.readings / job.traffic.groups:
            break
    ages = [now - age.ago - datetime.fromisoformat(time.decode()) for time in times]
    assert max(ages) <= job.readings / options.devices * STEP + timedelta(seconds=2)
    assert min(ages) >= timedelta(0)


def test_more_readings_than_are_fresh_end_the_benchmark() -> None:
    job = bulk_job(Options(devices=1000, readings=10_000_000), 5000)
    with pytest.raises(FleetMeterError, match="more than 4 minutes back; take more devices"):
        measure_load("bulk", job, None, None, lambda *_: None).send(None)


@pytest.mark.skipif(not (versions._CHECKOUT / ".git").exists(), reason="no git checkout")
def test_a_revision_that_does_not_exist_is_one_clear_line() -> None:
    with (
        pytest.raises(FleetMeterError, match=r"rev-parse .* none-such.* failed: fatal: "),
        versions.checked_out("none-such"),
    ):
        pass


def test_without_a_repository_there_is_nothing_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(versions, "_CHECKOUT", tmp_path)
    with (
        pytest.raises(FleetMeterError, match="is not a git checkout"),
        versions.checked_out("HEAD"),
    ):
        pass
