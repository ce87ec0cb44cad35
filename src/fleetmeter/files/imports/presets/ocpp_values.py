"""Converts the sampled values of one moment in a log of OCPP to columns in Wh, W and V."""

from typing import Any

import msgspec

from fleetmeter.readings.ocpp import SampledValue, values_of

COLUMNS = (
    "meter",
    "chargePoint",
    "connector",
    "timestamp",
    "importRegister",
    "importInterval",
    "exportRegister",
    "power",
    "soc",
    "voltage",
    "voltageL1",
    "voltageL2",
    "voltageL3",
)


def columns_of(sample: dict[str, Any]) -> list[Any]:
    """Return time and values of a moment, in the order of the last of COLUMNS."""
    sampled = [each for each in sample.get("sampledValue") or () if isinstance(each, dict)]
    found = values_of(msgspec.convert(sampled, list[SampledValue]))
    return [
        sample.get("timestamp"),
        found.register,
        found.interval,
        found.exported,
        found.power,
        found.soc,
        found.voltage,
        found.voltage_l1,
        found.voltage_l2,
        found.voltage_l3,
    ]
