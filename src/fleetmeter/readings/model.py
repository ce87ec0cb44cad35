"""The two kinds of reading, as devices send them and as they are stored."""

import re
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

DEVICE_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
DEVICE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
DEVICE_ID_RULE = "must be 1 to 64 of the characters A–Z a–z 0–9 . _ : -"

MAX_KWH = 1000
"""Most energy of one interval, kWh: above any charger over any reporting interval."""
MAX_VOLTAGE = 1000
"""V; the end of low voltage AC (IEC 60038)."""
MIN_BATTERY_TEMP = -60
MAX_BATTERY_TEMP = 150
"""°C; beyond what a battery sensor can mean."""
MAX_AHEAD_S = 300
"""How far a device's clock may run ahead, seconds."""

DeviceId = Annotated[str, Meta(pattern=DEVICE_ID_PATTERN, min_length=1, max_length=64)]
Kwh = Annotated[float, Meta(ge=0, le=MAX_KWH)]
Timestamp = Annotated[datetime, Meta(tz=True)]


class VehicleReading(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle's reading, DC side."""

    vehicle_id: Annotated[DeviceId, Meta(examples=["EV-1"])]
    soc: Annotated[float, Meta(ge=0, le=100, description="State of charge, %.", examples=[72])]
    kwh_delivered_dc: Annotated[
        Kwh,
        Meta(
            description="Energy that reached the battery since the previous reading, kWh.",
            examples=[1.2],
        ),
    ]
    battery_temp: Annotated[
        float,
        Meta(
            ge=MIN_BATTERY_TEMP,
            le=MAX_BATTERY_TEMP,
            description="Battery temperature, °C.",
            examples=[36],
        ),
    ]
    timestamp: Annotated[
        Timestamp,
        Meta(
            description="RFC 3339 with an offset; the end of the interval.",
            examples=["2026-02-09T10:00:00Z"],
        ),
    ]
    meter_id: (
        Annotated[
            DeviceId, Meta(description="The meter it charges from; wins over the assignment.")
        ]
        | None
    ) = None


class MeterReading(msgspec.Struct, rename="camel", kw_only=True):
    """A smart meter's reading, AC side."""

    meter_id: Annotated[DeviceId, Meta(examples=["MTR-1"])]
    kwh_consumed_ac: Annotated[
        Kwh, Meta(description="Energy metered since the previous reading, kWh.", examples=[1.5])
    ]
    voltage: Annotated[
        float, Meta(ge=0, le=MAX_VOLTAGE, description="Mean voltage, V.", examples=[230])
    ]
    timestamp: Annotated[
        Timestamp,
        Meta(
            description="RFC 3339 with an offset; the end of the interval.",
            examples=["2026-02-09T10:00:00Z"],
        ),
    ]


class VehicleState(VehicleReading, kw_only=True):
    """A vehicle's newest reading."""

    last_seen: Annotated[datetime, Meta(description="When that reading arrived.")]


class MeterState(MeterReading, kw_only=True):
    """A meter's newest reading."""

    last_seen: Annotated[datetime, Meta(description="When that reading arrived.")]


class VehicleRow(NamedTuple):
    """A vehicle reading in stored units, in the column order of the incoming table."""

    vehicle_id: str
    time: datetime
    energy_mwh: int
    soc_bp: int
    battery_temp_cdeg: int
    meter_id: str | None
    meter_declared: bool


class MeterRow(NamedTuple):
    """A meter reading in stored units, in the column order of the incoming table."""

    meter_id: str
    time: datetime
    energy_mwh: int
    voltage_mv: int


class Rejection(msgspec.Struct, rename="camel", omit_defaults=True):
    """Why one item of a batch was not taken."""

    index: Annotated[int, Meta(description="Position in the batch, from 0.")]
    code: Annotated[str, Meta(description="Stable, for programs.", examples=["out_of_range"])]
    detail: Annotated[str, Meta(description="A sentence, for people.")]
    path: Annotated[str, Meta(description="JSON path of the field.", examples=["$.soc"])] = ""


class Batch(msgspec.Struct):
    """A decoded request: rows by kind (each key once) and what was wrong with the rest."""

    vehicles: list[VehicleRow]
    meters: list[MeterRow]
    repeated: int
    rejected: list[Rejection]


def kwh(energy_mwh: int) -> float:
    """Milliwatt-hours to kWh, the float nearest to the exact quotient."""
    return energy_mwh / 1_000_000


def percent(bp: int) -> float:
    """Basis points to per cent."""
    return bp / 100


def celsius(cdeg: int) -> float:
    """Hundredths of a degree to °C."""
    return cdeg / 100


def volts(mv: int) -> float:
    """Millivolts to volts."""
    return mv / 1000
