"""A guess is a mapping that fits, or says what there is."""

import io
import json
import tomllib
from typing import Any

import pytest

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.guess import guess
from fleetmeter.files.imports.mapping.samples import sample_of
from tests.support.imports import Imported
from tests.support.workbooks import workbook


def guessed(
    content: bytes | str, reader: str = "csv", **asked: str
) -> tuple[dict[str, Any], Imported]:
    """What is guessed of a file, and what it then says."""
    body = content.encode() if isinstance(content, str) else content
    sample = sample_of(io.BytesIO(body), reader)
    text = guess(sample, asked.get("device"), asked.get("zone"))
    return tomllib.loads(text), Imported(body, text, reader)


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def test_a_portal_of_quarter_hours() -> None:
    said, read = guessed(
        rows(
            "Kunde;4711",
            "",
            "von;bis;Verbrauch [kWh];Einspeisung [kWh]",
            *(f"13.02.2026 1{n}:00;13.02.2026 1{n}:15;1,5;0,25" for n in range(9)),
        ),
        device="M",
        zone="Europe/Berlin",
    )
    assert said["decimal"] == ","
    assert (read.starts[0], read.times[0]) == ("02-13 09:00", "02-13 09:15")
    assert {*read.column("kwh_consumed_ac")} == {1.5}
    assert {*read.column("kwh_exported_ac")} == {0.25}


def test_registers_of_tariffs_are_summed() -> None:
    said, _ = guessed(
        rows("time,Import T1 kWh,Import T2 kWh", *(f"2026-02-09 1{n}:00,{n},9" for n in range(9)))
    )
    assert said["fields"]["kwhConsumedAcTotal"]["sum"] == ["Import T1 kWh", "Import T2 kWh"]


def test_a_column_for_each_charger_is_wide() -> None:
    said, read = guessed(
        rows(
            "Datum,Hof [Wh],Halle [Wh]",
            *(f"2026-02-09 1{n}:00,{9 - n % 2},{n % 3}" for n in range(9)),
        )
    )
    assert said["fields"] == {"kwhConsumedAc": {"each": ["Hof [Wh]", "Halle [Wh]"], "unit": "Wh"}}
    assert read.column("meter_id")[:2] == ["Hof [Wh]", "Halle [Wh]"]


def test_a_log_of_a_car() -> None:
    said, read = guessed(
        rows(
            "car,epoch,soc,battery_temp_°F,power W,odometer km",
            *(f"EV-{n % 2},{1770631500 + 60 * n},0.5{n},68,7200,48000" for n in range(9)),
        )
    )
    assert said["kind"] == "vehicle"
    first = read.readings[0]
    assert (first.vehicle_id, first.soc, first.battery_temp) == ("EV-0", 50, 20)
    assert (first.power_kw, first.odometer_km) == (7.2, 48000)


@pytest.mark.parametrize(
    ("written", "format_"),
    [
        ("02/13/2026 1{n}:00", "month-first"),
        ("02/03/2026 1{n}:00 PM", "month-first"),
        ("02/03/2026 1{n}:00", "day-first"),
        ("2026-02-03T1{n}:00Z", None),
    ],
)
def test_days_and_months_are_told_apart_where_that_can_be(
    written: str, format_: str | None
) -> None:
    times = [written.replace("{n}", str(n)) for n in range(3)]
    said, _ = guessed(rows("Date,kWh", *(f"{time},{n}" for n, time in enumerate(times))))
    assert said["time"].get("format") == format_


def test_a_file_without_a_header_has_columns_by_number() -> None:
    said, read = guessed(rows(*(f"{1770631500 + 60 * n};{100 + n}" for n in range(9))))
    assert said["header"] is False
    assert read.column("kwh_consumed_ac_total") == [100 + n for n in range(9)]


def test_documents_and_workbooks_are_guessed_too() -> None:
    items = [{"meter": "A", "end": f"2026-02-09T1{n}:00Z", "energy_wh": 5} for n in range(5)]
    _, read = guessed(json.dumps(items), "json")
    assert read.column("meter_id") == ["A"] * 5
    body = workbook(["x"])
    with pytest.raises(SourceError):
        guessed(body, "xlsx")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it has no columns"),
        ("just a text\nof words\n", "it has no columns"),
        ("a,b\nx,y\nz,w\n", "no column looks like a time; the columns found are a, b"),
        ("date,state\n2026-02-09,on\n2026-02-10,off\n", "no column looks like energy"),
    ],
)
def test_what_cannot_be_guessed_is_told_with_what_there_is(content: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        guessed(content)
