"""Readings of registers: what is taken, what is not, and the energy that follows from them."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.intake.registers import derived
from fleetmeter.intake.rows import NULL
from tests.support.readings import METER, VEHICLE, decoded, rejection

VEHICLE_REGISTER = {k: v for k, v in VEHICLE.items() if k != "kwhDeliveredDc"} | {
    "kwhDeliveredDcTotal": 15_000.5
}
METER_REGISTER = {k: v for k, v in METER.items() if k != "kwhConsumedAc"} | {
    "kwhConsumedAcTotal": 1_000_000_000
}


def test_a_reading_of_a_register_has_no_interval_energy() -> None:
    batch = decoded([VEHICLE_REGISTER, METER, METER_REGISTER, VEHICLE])
    assert [(reading.energy_mwh, reading.register_mwh) for reading in batch.readings] == [
        (None, 15_000_500_000),
        (1_500_000, None),
        (None, 10**15),
        (1_200_000, None),
    ]


@pytest.mark.parametrize(
    ("reading", "fields", "code", "path"),
    [
        (VEHICLE_REGISTER, {"kwhDeliveredDc": 1}, "mixed_energy", "$.kwhDeliveredDcTotal"),
        (METER_REGISTER, {"kwhConsumedAc": 0}, "mixed_energy", "$.kwhConsumedAcTotal"),
        (VEHICLE_REGISTER, {"kwhDeliveredDcTotal": -0.1}, "out_of_range", "$.kwhDeliveredDcTotal"),
        (METER_REGISTER, {"kwhConsumedAcTotal": 1e9 + 1}, "out_of_range", "$.kwhConsumedAcTotal"),
        (METER_REGISTER, {"kwhConsumedAcTotal": "12"}, "invalid_type", "$.kwhConsumedAcTotal"),
        (VEHICLE, {"kwhConsumedAcTotal": 1}, "contradictory", ""),
        (METER, {"kwhDeliveredDcTotal": 1}, "contradictory", ""),
        (METER_REGISTER, {"kwhConsumedAcTotal": None, "voltage": None}, "missing_field", ""),
    ],
)
def test_a_register_that_cannot_be_is_rejected(
    reading: dict[str, Any], fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(reading | fields) == (code, path)


def expected(
    register: int, previous: int | None, rollover: int | None, span_ms: int
) -> tuple[int, int | None, bool]:
    """The rule of docs/energy-accounting.md, one reading at a time."""
    if previous is None:
        return 0, None, False
    rise = register - previous
    if rise < 0 and rollover is not None and (rollover + rise) * 10 < rollover:
        rise += rollover
    most = 1_000_000_000 + Fraction(span_ms * 10_000 * 10, 36)
    return (rise, span_ms, False) if 0 <= rise <= most else (0, None, True)


REGISTERS = st.integers(0, 10**15) | st.integers(0, 3 * 10**9)


@given(
    st.lists(
        st.tuples(
            REGISTERS,
            st.none() | REGISTERS,
            st.none() | st.integers(1000, 10**15),
            st.integers(0, 400 * 86_400_000),
        ),
        min_size=1,
    )
)
def test_registers_are_derived_a_column_at_a_time_as_one_by_one(rows: list[Any]) -> None:
    columns = [
        np.array([NULL if value is None else value for value in column], np.int64)
        for column in zip(*rows, strict=True)
    ]
    result = derived(*columns)
    assert [
        (energy, None if span == NULL else span, reset)
        for energy, span, reset in zip(*(each.tolist() for each in result), strict=True)
    ] == [expected(*row) for row in rows]
