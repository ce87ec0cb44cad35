"""The committed types of the named queries, and how mypy uses them."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from fleetmeter.database import queries
from fleetmeter.database.query_types import STUB
from tests.support.repository import ROOT

USES = """\
from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries

whole = EVERYTHING.parameters()

async def use(connection: Connection) -> None:
    row = await queries.device(connection, kind="vehicle", device_id="V1", **whole)
    assert row is not None
"""

RIGHT = [
    'number: int = row["device"]; text: str = row["id"]',
    "fields: dict[str, object] = dict(row.items())",
    'ids: list[str] | None = await queries.site_meters(connection, site="depot", **whole)',
    "async for point in queries.fleet_energy(connection, bounds=[], limit=1, **whole): "
    'point["ac_mwh"]',
    'await queries.assign_meter(connection, vehicle_id="V1", meter_id=None, since=None)',
]
WRONG = {
    'row["soc"]': "overload",
    'wrong: str = row["device"]': "assignment",
    'await queries.devise(connection, kind="vehicle", device_id="V1")': "attr-defined",
    'await queries.device(connection, kind="vehicle", **whole)': "call-arg",
    'await queries.device(connection, kind="vehicle", device_id="V1")': "call-arg",
    'await queries.device(connection, kind="vehicle", device_id="", at=None, **whole)': "call-arg",
    'await queries.device(connection, kind="vehicle", device_id=1, **whole)': "arg-type",
    'await queries.device(connection, kind="vehicle", device_id=None, **whole)': "arg-type",
    '(await queries.reading(connection, kind="", device_id="", time=row["time"], **whole))["id"]': (
        "index"
    ),
    "await queries.fleet_energy(connection, bounds=[], limit=1, **whole)": "misc",
}


def test_each_query_and_each_row_is_there_when_the_service_runs() -> None:
    lines = STUB.read_text(encoding="utf-8").splitlines()
    functions = {
        line.removeprefix("async ").removeprefix("def ").partition("(")[0]
        for before, line in pairwise(lines)
        if before == "@_query"
    }
    loaded = {name for name in queries.available_queries if not name.endswith("_cursor")}
    assert functions == loaded
    assert queries.DeviceRow is asyncpg.Record
    with pytest.raises(AttributeError):
        _ = queries.nobody_asked  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_call_is_checked_against_the_database(tmp_path: Path) -> None:
    """Correct calls pass, and each mistake has its error: names, types, nulls."""
    lines = [*RIGHT, *WRONG]
    module = tmp_path / "uses.py"
    module.write_text(USES + "".join(f"    {line}\n" for line in lines))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", module],
        cwd=ROOT,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    first = USES.count("\n") + 1 + len(RIGHT)
    found = {
        int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]")
        for line in checked.stdout.splitlines()
        if ": error: " in line
    }
    codes = {number: found.get(number, "") for number in range(first, first + len(WRONG))}
    assert found.keys() == codes.keys(), checked.stdout
    for code, expected in zip(codes.values(), WRONG.values(), strict=True):
        assert expected in code, checked.stdout
