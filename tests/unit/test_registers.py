"""Readings of registers: what is taken, what is not, and whose items are refused later."""

from typing import Any

import pytest

from tests.unit.test_decode import METER, VEHICLE, decoded, rejection

VEHICLE_REGISTER = {k: v for k, v in VEHICLE.items() if k != "kwhDeliveredDc"} | {
    "kwhDeliveredDcTotal": 15_000.5
}
METER_REGISTER = {k: v for k, v in METER.items() if k != "kwhConsumedAc"} | {
    "kwhConsumedAcTotal": 1_000_000_000
}


def test_registers_are_rows_of_their_own_kinds() -> None:
    batch = decoded([VEHICLE_REGISTER, METER, METER_REGISTER, VEHICLE])
    assert [row[2] for row in batch.vehicle_registers] == [15_000_500_000]
    assert [row[2] for row in batch.meter_registers] == [10**15]
    assert (len(batch.vehicles), len(batch.meters)) == (1, 1)
    assert list(batch.order) == [2, 1, 3, 0]
    assert len(batch) == 4


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
        (METER_REGISTER, {"kwhConsumedAcTotal": None}, "missing_field", "$.kwhConsumedAc"),
    ],
)
def test_a_register_that_cannot_be_is_rejected(
    reading: dict[str, Any], fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(reading | fields) == (code, path)


def test_the_items_of_refused_devices_are_found_again() -> None:
    batch = decoded(
        [
            METER,
            {"nonsense": 1},
            METER_REGISTER | {"meterId": "MTR-2"},
            VEHICLE,
            METER | {"timestamp": "2026-02-09T10:00:10Z"},
            METER_REGISTER,
            VEHICLE_REGISTER,
        ]
    )
    batch.reject({("meters", "MTR-1"), ("vehicle_registers", "EV-1")}, set())
    assert [(item.index, item.code) for item in batch.rejected] == [
        (0, "mixed_energy"),
        (1, "unknown_kind"),
        (4, "mixed_energy"),
        (6, "mixed_energy"),
    ]
    assert "MTR-1 sends a register" in batch.rejected[0].detail
    assert "kwhConsumedAcTotal" in batch.rejected[0].detail
    assert "EV-1 sends interval energy" in batch.rejected[3].detail
