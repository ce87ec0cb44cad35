"""Numbers are read as a mapping says, and never as something else."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.files.imports.mapping.model import ABSENT
from fleetmeter.files.imports.mapping.numbers import number_reader
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.units import conversion, dimension_of, known_units
from fleetmeter.readings.validate import Invalid


@pytest.mark.parametrize(
    ("decimal", "cell", "number"),
    [
        (None, "1.5", 1.5),
        (None, " -1.5 ", -1.5),
        (None, "+.5", 0.5),
        (None, "1e3", 1000),
        (None, "12.5 kWh", 12.5),
        (None, 3, 3),
        (None, 3.5, 3.5),
        (None, Decimal("1.25"), 1.25),
        (None, float("nan"), None),
        (",", "1,5", 1.5),
        (",", "1.234,5", 1234.5),
        (",", "1.234.567", 1234567),
        (",", "1 234,5", 1234.5),
        (",", "1\u202f234,5", 1234.5),
        (",", "1'234,5", 1234.5),
        (",", "−0,5", -0.5),
        (",", "12", 12),
        (".", "1,234.5", 1234.5),
        (".", "1,234", 1234),
        *((None, text, None) for text in ("", " ", "NaN", "N/A", "null", "unavailable", "-", None)),
    ],
)
def test_a_number_is_read(decimal: str | None, cell: object, number: float | None) -> None:
    assert number_reader(decimal, ABSENT, "kWh")(cell, "kwh") == number


@pytest.mark.parametrize(
    ("decimal", "cell", "said"),
    [
        (None, "1,5", 'decimal = ","'),
        (None, "1,234", 'decimal = ","'),
        (",", "1.5", 'the mapping says decimal = ","'),
        (",", "1.23,4", "not a number"),
        (".", "1,5", 'the mapping says decimal = "."'),
        (None, "1_000", "not a number"),
        (None, "inf", "not a number"),
        (None, "1e999", "not a number"),
        (None, "0x10", "not a number"),
        (None, "٣", "not a number"),
        (None, "on", "not a number"),
        (None, "9" * 500, "not a number"),
        (None, True, "not a number"),
        (None, [1], "not a number"),
    ],
)
def test_what_may_mean_two_things_is_refused(decimal: str | None, cell: object, said: str) -> None:
    with pytest.raises(Invalid, match=said) as told:
        number_reader(decimal, ABSENT, "kWh")(cell, "kwh")
    assert len(told.value.detail) < 200


@settings(deadline=None)  # a busy machine is no fault
@given(st.floats(-1e9, 1e9), st.sampled_from([(",", "."), (".", ","), (",", " "), (",", "")]))
def test_a_number_with_any_marks_is_that_number(value: float, marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    text = f"{value:,.3f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
    assert number_reader(decimal, ABSENT, None)(text, "kwh") == float(f"{value:.3f}")


@pytest.mark.parametrize(
    ("field", "unit", "value", "wire"),
    [
        ("kwhConsumedAc", "Wh", 180, 0.18),
        ("kwhConsumedAcTotal", "MWh", 1.5, 1500),
        ("kwhDeliveredDc", "J", 3_600_000, 1),
        ("kwhDeliveredDc", "MJ", 3.6, 1),
        ("powerKw", "W", 10_800, 10.8),
        ("batteryTemp", "°F", 68, 20),
        ("batteryTemp", "K", 293.15, 20),
        ("soc", "ratio", 0.55, 55),
        ("voltage", "mV", 230_100, 230.1),
        ("odometerKm", "mi", 100, 160.9344),
        ("soc", None, 55, 55),
    ],
)
def test_units_are_converted(field: str, unit: str | None, value: float, wire: float) -> None:
    added, times, divided = conversion(field, unit)
    assert (value + added) * times / divided == pytest.approx(wire, abs=1e-12)


def test_every_number_of_a_reading_has_its_own_unit() -> None:
    for kind in KINDS:
        for field in kind.fields:
            assert dimension_of(field) in known_units(dimension_of(field))
            assert conversion(field, None) == (0, 1, 1)
