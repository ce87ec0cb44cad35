"""A mapping says which columns mean what, and its mistakes are told with what helps."""

import re
import tomllib
from pathlib import Path

import pytest

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound, MappingError
from fleetmeter.files.imports.mapping.options import MappingOptions, mapping_options
from fleetmeter.readings.telemetry import Telemetry
from tests.support.imports import Imported, csv
from tests.support.repository import ROOT

METER = """
kind = "meter"
time = { column = "Date", zone = "UTC" }
[fields]
meterId = { constant = "M" }
"""


def test_two_tariffs_in_wh_are_one_register() -> None:
    mapping = METER + 'kwhConsumedAcTotal = { sum = ["T1", "T2"], unit = "Wh" }'
    read = Imported("Date,T1,T2\n2026-02-09 10:00,1200000,300400\n", mapping)
    assert read.column("kwh_consumed_ac_total") == [1500.4]
    assert read.column("meter_id") == ["M"]
    assert read.times == ["02-09 10:00"]


def test_a_sum_of_which_a_part_is_empty_is_no_number() -> None:
    mapping = METER + 'kwhConsumedAcTotal = { sum = ["T1", "T2"] }'
    read = Imported("Date,T1,T2\n2026-02-09,1,\n2026-02-10,,\n2026-02-11,1,2\n", mapping)
    assert read.errors == {2: "T2 is empty, and kwhConsumedAcTotal is a sum with it"}
    assert read.source.left_out == 1


def test_names_are_found_whatever_their_case_and_spaces_and_by_place() -> None:
    text = "DATE,Usage  (kWh),ID\n2026-02-09T10:00Z,1.5,7\n"
    mapping = """
        time = "date"
        [fields]
        meterId = { column = 3, prefix = "MTR-" }
        kwhConsumedAc = "usage (kwh)"
    """
    read = Imported(text, mapping)
    assert read.column("meter_id") == ["MTR-7"]
    assert read.column("kwh_consumed_ac") == [1.5]


def test_a_name_with_a_star_is_the_only_column_that_fits() -> None:
    mapping = METER + "kwhConsumedAc = 'Energy (*)'"
    assert Imported("Date,Energy (A)\n2026-02-09,1\n", mapping).column("kwh_consumed_ac") == [1]
    with pytest.raises(SourceError, match=r"needs the columns Energy \(\*\)"):
        Imported("Date,Energy (A),Energy (B)\n2026-02-09,1,2\n", mapping)


def test_ids_are_translated_and_joined_and_numbers_are_no_decimals() -> None:
    text = "t,site,box,kwh\n2026-02-09T10:00Z,A,1,1\n2026-02-09T10:00Z,A,2,1\n"
    mapping = """
        time = "t"
        [fields]
        meterId = { join = ["site", "box"], names = { A-1 = "MTR-1" }, prefix = "x" }
        kwhConsumedAc = "kwh"
    """
    assert Imported(text, mapping).column("meter_id") == ["xMTR-1", "xA-2"]


@pytest.mark.parametrize(
    ("time", "starts", "times"),
    [
        ('{ column = "t", stamp = "start", interval = "15min" }', ["10:00"], ["10:15"]),
        ('{ column = "t", stamp = "end", interval = "15min" }', ["09:45"], ["10:00"]),
        ('{ column = "t", interval = 3600 }', ["09:00"], ["10:00"]),
        ('{ column = "t", stamp = "start", duration = { column = "d" } }', ["10:00"], ["10:05"]),
        (
            '{ column = "t", duration = { column = "d", unit = "min" } }',
            ["05:00"],
            ["10:00"],
        ),
    ],
)
def test_intervals_are_stamped_at_either_end(
    time: str, starts: list[str], times: list[str]
) -> None:
    mapping = f"time = {time}\n[fields]\nmeterId = {{ constant = 'M' }}\nkwhConsumedAc = 'kwh'"
    read = Imported("t,d,kwh\n2026-02-09T10:00Z,300,1\n", mapping)
    assert [each.removeprefix("02-09 ") for each in read.starts] == starts
    assert [each.removeprefix("02-09 ") for each in read.times] == times


def test_a_register_at_the_end_of_an_interval_has_no_interval_of_its_own() -> None:
    mapping = """
        time = { column = "t", stamp = "start", interval = "15min" }
        [fields]
        meterId = { constant = "M" }
        kwhConsumedAcTotal = "total"
    """
    read = Imported("t,total\n2026-02-09T10:00Z,300\n", mapping)
    assert read.times == ["02-09 10:15"]
    assert read.starts == [""]


def test_two_columns_say_when_an_interval_was() -> None:
    mapping = METER.replace('"Date"', '"to"').replace("[fields]", 'start = "from"\n[fields]')
    read = Imported(
        "from,to,kwh\n2026-02-09 10:00,2026-02-09 12:00,3\n", mapping + "kwhConsumedAc = 'kwh'"
    )
    assert (read.starts, read.times) == (["02-09 10:00"], ["02-09 12:00"])


def test_the_zone_of_the_command_line_is_that_of_all_times() -> None:
    mapping = """
        time = { column = "to", format = "day-first", zone = "UTC" }
        start = "from"
        [fields]
        meterId = { constant = "M" }
        kwhConsumedAc = "kwh"
    """
    text = "from,to,kwh\n09.02.2026 10:00,09.02.2026 12:00,3\n"
    read = Imported(text, mapping, zone="Europe/Berlin")
    assert (read.starts, read.times) == (["02-09 09:00"], ["02-09 11:00"])


def test_rows_without_values_are_part_of_the_order_of_times() -> None:
    mapping = METER.replace("UTC", "Europe/Berlin") + "kwhConsumedAc = 'kwh'"
    hours = [("01:00", 1), ("02:00", ""), ("02:00", 2), ("03:00", 3)]
    read = Imported(csv(["Date", "kwh"], *([f"2026-10-25 {h}", v] for h, v in hours)), mapping)
    assert [each[-5:] for each in read.times] == ["23:00", "01:00", "02:00"]


def test_date_and_time_of_day_stand_apart() -> None:
    mapping = """
        time = { columns = ["Day", "Time"], format = "day-first", zone = "Europe/London" }
        [fields]
        meterId = { constant = "M" }
        kwhConsumedAc = "kWh"
    """
    assert Imported("Day,Time,kWh\n09/07/2026,10:30,1\n", mapping).times == ["07-09 09:30"]


def test_a_wide_file_has_a_device_in_each_column() -> None:
    mapping = """
        time = { column = "Date", zone = "UTC" }
        [fields]
        meterId = { prefix = "MTR-", names = { Yard = "7" } }
        kwhConsumedAc = { each = "* [kWh]" }
        powerKw = { each = "* [W]", unit = "W" }
    """
    text = csv(
        ["Date", "Hall [kWh]", "Yard [kWh]", "Yard [W]", "Note"],
        ["2026-02-09", 1.5, 2.5, 900, ""],
        ["2026-02-10", "", "x", 800, ""],
        ["2026-02-11", "", 3, "", ""],
    )
    read = Imported(text, mapping)
    found = [
        (each.meter_id, each.kwh_consumed_ac, each.power_kw)
        for each in read.items
        if isinstance(each, Telemetry)
    ]
    assert found == [("MTR-Hall", 1.5, None), ("MTR-7", 2.5, 0.9), ("MTR-7", 3, None)]
    assert read.errors == {3: "Yard [kWh] is x, which is not a number"}


def test_every_other_column_may_be_a_device() -> None:
    mapping = METER.replace('meterId = { constant = "M" }', 'kwhConsumedAc = { each = "*" }')
    read = Imported("Date,A,B\n2026-02-09,1,2\n", mapping)
    assert read.column("meter_id") == ["A", "B"]


def test_rows_of_several_quantities_become_fields() -> None:
    mapping = """
        time = "t"
        where = { entity = ["energy_*", "power"] }
        [fields]
        meterId = { constant = "M" }
        kwhConsumedAcTotal = { column = "v", where = { entity = "energy_*" } }
        powerKw = { column = "v", unit = "W", where = { entity = "power" } }
    """
    rows = [("energy_1", "5"), ("power", "900"), ("light", "on"), ("power", "unavailable")]
    text = csv(["t", "entity", "v"], *(["2026-02-09T10:00Z", *row] for row in rows))
    read = Imported(text, mapping)
    assert read.column("kwh_consumed_ac_total") == [5, None]
    assert read.column("power_kw") == [None, 0.9]
    assert read.source.left_out == 2


def test_a_counter_of_sessions_becomes_what_was_added() -> None:
    mapping = """
        time = "t"
        [fields]
        vehicleId = { constant = "EV" }
        kwhDeliveredDc = { column = "added", difference = "session" }
    """
    rows = [(0, 1, 0.5), (5, 1, 1.75), (60, 2, 0), (65, 2, 2), (70, 2, 1.5)]
    text = csv(
        ["t", "session", "added"],
        *(
            [f"2026-02-09T10:{m % 60:02}Z".replace("10", f"{10 + m // 60}"), s, a]
            for m, s, a in rows
        ),
    )
    read = Imported(text, mapping)
    kwh = [getattr(each, "kwh_delivered_dc", None) for each in read.items]
    assert kwh == [0.5, 1.25, 0, 2, None]
    assert "the counter fell from 2 to 1.5" in read.errors[6]
    assert read.source.bound.kind.name == "vehicle"


def test_a_counter_without_sessions_opens_with_its_first_value() -> None:
    mapping = METER + "kwhConsumedAc = { column = 'n', difference = true, unit = 'Wh' }"
    read = Imported("Date,n\n2026-02-09 10:00,7000\n2026-02-09 10:30,7500\n", mapping)
    assert read.column("kwh_consumed_ac") == [0.5]
    assert read.starts == ["02-09 10:00"]


def test_newest_first_is_understood_where_clocks_went_back() -> None:
    mapping = METER.replace("UTC", "Europe/Berlin") + "kwhConsumedAc = 'kwh'"
    hours = ["04:00", "03:00", "02:00", "02:00", "01:00"]
    read = Imported(csv(["Date", "kwh"], *([f"2026-10-25 {h}", 1] for h in hours)), mapping)
    assert [each[-5:] for each in read.times] == ["03:00", "02:00", "01:00", "00:00", "23:00"]


def test_an_import_goes_on_after_any_block_with_the_same_readings() -> None:
    mapping = METER.replace("UTC", "Europe/Berlin") + (
        "kwhConsumedAc = { column = 'n', difference = true }"
    )
    rows = [[f"2026-10-{1 + n // 1440:02} {n // 60 % 24:02}:{n % 60:02}", n] for n in range(12_000)]
    text = csv(["Date", "n"], *rows)
    whole = Imported(text, mapping)
    assert len(whole.ends) > 2
    for end in whole.ends:
        rest = Imported(text, mapping, begin=end)
        assert rest.readings == whole.readings[end.offset - 1 :]
    assert Imported(text, mapping, begin=Position(12_000, 12_001)).items == []


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("kind = 'meter'", "lacks time, as in time = "),
        ("time = 'Date'", "lacks fields"),
        ("time = 'Date'\nfield = 1\n[fields]\nsoc = 's'", "unknown field `field`"),
        ("time = 'Date'\n[fields]\nsoc = 's'", "nothing says which vehicle it is: add --device ID"),
        ("time = 'Date'\n[fields]\nvehicleId = 'v'", "nothing that was measured"),
        ("time = 'Date'\n[fields]\nvehicleId = 'v'\nsoc = { constant = 5 }", "nothing that was"),
        ("time = 'Date'\n[fields]\nmeterId = 'v'\nsoc = 's'", "a meter has no soc"),
        ("time = 'Date'\n[fields]\nmeterId = 'v'\nkWh = 's'", "has kWh; known are vehicleId"),
        ("time = 'Date'\n[fields]\nmeterId = 'v'\ntimestamp = 's'", "stands outside of [fields]"),
        (METER + "kwhConsumedAc = { column = 'a', unit = 'kW' }", "it can be kWh, Wh, MWh"),
        (METER + "kwhConsumedAc = { column = 'a', constant = 5 }", "one of column, constant"),
        (METER + "kwhConsumedAc = { unit = 'Wh' }", "one of column, constant"),
        ("device = 'M'\n" + METER + "kwhConsumedAc = { each = '*' }", "a device in each column"),
        (METER.replace("UTC", "Europe/Berlim") + "voltage = 'v'", "did you mean Europe/Berlin"),
        (METER.replace("zone", "stamp = 'start', zone") + "voltage = 'v'", "need the length"),
        (METER.replace("zone", "interval = '5 weeks', zone") + "voltage = 'v'", "5 weeks"),
        (METER.replace("zone", "format = 'german', zone") + "voltage = 'v'", 'format "german"'),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(mapping: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(mapping)
    with pytest.raises(MappingError) as told:
        mapping_options(path)
    assert said in str(told.value)


def test_columns_that_are_missing_are_named_with_those_that_are_there() -> None:
    mapping = METER + 'kwhConsumedAcTotal = { sum = ["Stand T1", "Stand T3"] }'
    with pytest.raises(SourceError) as told:
        Imported("Datum,Stand T1,Stand T2\n2026-01-05,1,2\n", mapping)
    assert str(told.value).startswith(
        "the mapping needs the columns Date, Stand T3 (did you mean Stand T"
    ) or "Date (did you mean Datum?)" in str(told.value)
    assert "the columns found are Datum, Stand T1, Stand T2" in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "M"}, "go with --map, --preset or --guess"),
        ({"preset": "sheely"}, "unknown preset 'sheely'; choose from acn-data"),
        ({"preset": "shelly"}, "add --device ID"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, str], said: str) -> None:
    with pytest.raises(MappingError, match=said):
        mapping_options(**options)  # type: ignore[arg-type]


def test_the_mappings_of_the_documentation_can_be_used() -> None:
    page = ROOT / "docs" / "import.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(blocks) > 3
    for block in blocks:
        said = tomllib.loads(block)
        found = MappingOptions(said, preset=said.get("preset")).candidates()
        assert any(isinstance(each, Bound) for each in found.values())
    text = "Zählerstände;;\nDatum;Stand T1;Stand T2\n09.02.2026 10:00;1.200.000,5;300.000\n"
    assert Imported(text, blocks[0]).column("kwh_consumed_ac_total") == [1500.0005]


def test_a_mapping_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("time = {")
    with pytest.raises(MappingError, match=r"map\.toml is not TOML"):
        mapping_options(path)
    with pytest.raises(MappingError, match="cannot be read"):
        mapping_options(tmp_path / "none.toml")
