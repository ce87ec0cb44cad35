"""Lists of columns in SQL: what is committed is what the description of kinds makes now."""

import pytest

from fleetmeter.database.sql import SQL
from fleetmeter.readings.kinds import METER, VEHICLE
from fleetmeter.readings.lists import written

FILES = sorted([*SQL.glob("routines/*.sql"), *SQL.glob("queries/*.sql")])


@pytest.mark.parametrize("name", [str(path.relative_to(SQL)) for path in FILES])
def test_the_lists_of_a_file_are_fresh(name: str) -> None:
    text = (SQL / name).read_text(encoding="utf-8")
    assert written(text) == text, "run: make lists"


def items(text: str) -> list[str]:
    """What stands in the only list of a text."""
    lines = written(text).splitlines()[1:-1]
    assert all(len(line) <= 120 for line in lines)
    return " ".join(line.strip() for line in lines).split("; ")


def test_a_list_is_of_all_kinds_of_one_or_of_what_another_has_not() -> None:
    own = [each for each in VEHICLE.measurements if each not in METER.measurements]
    assert items("-- each measurement of vehicle but meter: {column};\n-- end") == [
        *(each.column for each in own[:-1]),
        f"{own[-1].column};",
    ]
    assert items("-- each measurement of meter, last: {field} {type} x {scale};\nold\n-- end") == [
        *(f"{each.field} {each.sql_type} x {each.scale}" for each in METER.measurements[:-1]),
        f"{METER.measurements[-1].field} {METER.measurements[-1].sql_type} x "
        f"{METER.measurements[-1].scale};",
    ]


def test_what_is_written_for_each_may_take_more_than_one_line() -> None:
    long = "-- each measurement of meter: {column}_at =\n--     {type};\n-- end"
    short = "-- each measurement of meter: {column}_at = {type};\n-- end"
    assert written(long).splitlines()[:2] == long.splitlines()[:2]
    assert written(long).splitlines()[2:] == written(short).splitlines()[1:]
    assert written(written(long)) == written(long)


def test_a_list_has_the_rollups_of_each_measurement() -> None:
    names = items("    -- each rollup, last: {name},\n    -- end")[0].split(", ")
    assert "soc_bp_min" in names
    assert "voltage_mv_sum" in names
    assert not any(name.startswith("reverse_mwh") for name in names)
