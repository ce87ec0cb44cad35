"""What the page computes of a load: gaps, exact sums, the highest quarter hour, odd days."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from fleetmeter.http.shared.web_files import FOLDER

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def computed(script: str) -> Any:
    """The JSON of an expression over the exports of `views/load/profile.js`, in Berlin."""
    source = (
        f"import * as p from '{(FOLDER / 'views/load/profile.js').as_uri()}';"
        "const at = (text) => Date.parse(text);"
        "const bucket = (from, kwh) => ({ from, to: new Date(at(from) + 900_000).toISOString(),"
        "  energyConsumedAc: kwh });"
        f"console.log(JSON.stringify({script}))"
    )
    command = ["node", "--no-warnings", "--experimental-default-type=module", "--input-type=module"]
    done = subprocess.run(
        [*command, "--eval", source],
        capture_output=True,
        text=True,
        env=os.environ | {"TZ": "Europe/Berlin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_highest_quarter_hour_and_the_sum_are_those_of_the_answer() -> None:
    totals = computed(
        "p.totalsOf(p.profileOf([bucket('2026-11-29T10:00:00Z', 0.1),"
        " bucket('2026-11-29T10:15:00Z', 0.2), bucket('2026-11-29T10:45:00Z', null)],"
        " at('2026-11-29T10:00:00Z'), at('2026-11-29T11:30:00Z'), at('2026-11-29T11:15:00Z')))"
    )
    assert totals["energy"] == 0.3
    assert totals["peak"] == {"power": 0.8, "at": 1795947300000}
    assert (totals["missing"], totals["passed"]) == (3, 5)
    assert totals["mean"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("day", "quarters"), [("2026-03-29", 92), ("2026-06-15", 96), ("2026-10-25", 100)]
)
def test_a_day_has_the_quarter_hours_that_the_clock_gives_it(day: str, quarters: int) -> None:
    script = f"p.profileOf([], ...p.periodOf('day', p.dayOf('{day}')).map(Number), 1e15).passed"
    assert computed(script) == quarters


def test_the_week_before_is_at_the_same_time_of_day() -> None:
    before = computed("new Date(p.weekBefore(at('2026-10-26T07:00:00Z')))")
    assert before == "2026-10-19T06:00:00.000Z"


def test_periods_begin_on_monday_and_on_the_first() -> None:
    periods = computed(
        "['week', 'month'].map((each) => p.periodOf(each, p.dayOf('2026-11-29')).map(p.dayName))"
    )
    assert periods == [["2026-11-23", "2026-11-30"], ["2026-11-01", "2026-12-01"]]
