"""The two kinds of reading, as devices send them and as they are stored."""

from collections.abc import Set
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.readings.ids import DEVICE_ID_PATTERN

MAX_KWH = 1000
"""Most energy of one interval, kWh: above any charger over any reporting interval."""
MAX_REGISTER_KWH = 1_000_000_000
"""Most that a register shows, kWh: what a float still holds to the milliwatt-hour."""
MAX_VOLTAGE = 1000
"""V; the end of low voltage AC (IEC 60038)."""
MIN_BATTERY_TEMP = -60
MAX_BATTERY_TEMP = 150
"""°C; beyond what a battery sensor can mean."""
MAX_AHEAD_S = 300
"""How far a device's clock may run ahead, seconds."""

DeviceId = Annotated[str, Meta(pattern=DEVICE_ID_PATTERN, min_length=1, max_length=64)]
Kwh = Annotated[float, Meta(ge=0)]
RegisterKwh = Annotated[float, Meta(ge=0, le=MAX_REGISTER_KWH)]
Reset = Annotated[
    bool,
    Meta(description="The register showed less than before: reset or replaced. Energy counts on."),
]
Timestamp = Annotated[datetime, Meta(tz=True)]


class VehicleReading(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle's reading, DC side, with interval energy or with what a register shows."""

    vehicle_id: Annotated[DeviceId, Meta(examples=["EV-1"])]
    soc: Annotated[float, Meta(ge=0, le=100, description="State of charge, %.", examples=[72])]
    kwh_delivered_dc: (
        Annotated[
            Kwh,
            Meta(
                description="Energy that reached the battery since the previous reading, 0–1000 "
                "kWh; in an answer derived from the register, null for its first reading.",
                examples=[1.2],
            ),
        ]
        | None
    ) = None
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
    kwh_delivered_dc_total: (
        Annotated[RegisterKwh, Meta(description="Instead: a total that grows for ever, kWh.")]
        | UnsetType
        | None
    ) = UNSET
    reset: Reset | UnsetType = UNSET


class MeterReading(msgspec.Struct, rename="camel", kw_only=True):
    """A smart meter's reading, AC side, with interval energy or with what a register shows."""

    meter_id: Annotated[DeviceId, Meta(examples=["MTR-1"])]
    kwh_consumed_ac: (
        Annotated[
            Kwh,
            Meta(
                description="Energy metered since the previous reading, 0–1000 kWh; in an answer "
                "derived from the register, null for its first reading.",
                examples=[1.5],
            ),
        ]
        | None
    ) = None
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
    kwh_consumed_ac_total: (
        Annotated[
            RegisterKwh,
            Meta(
                description="Instead: a total that grows for ever, kWh, as OCPP's "
                "`Energy.Active.Import.Register`."
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    reset: Reset | UnsetType = UNSET


class VehicleState(VehicleReading, kw_only=True):
    """A vehicle's newest reading."""

    last_seen: Annotated[datetime, Meta(description="When that reading arrived.")]


class MeterState(MeterReading, kw_only=True):
    """A meter's newest reading."""

    last_seen: Annotated[datetime, Meta(description="When that reading arrived.")]


EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL begins to count; rows hold times in whole microseconds since then."""

MICROSECOND = timedelta(microseconds=1)

VehicleRow = tuple[str, int, int, int, int, str | None, bool]
"""A vehicle reading in stored units: VEHICLE_COLUMNS. Its energy is as sent: a register's total."""

VEHICLE_COLUMNS = (
    "vehicle_id",
    "time",
    "energy_mwh",
    "soc_bp",
    "battery_temp_cdeg",
    "meter_id",
    "meter_declared",
)

MeterRow = tuple[str, int, int, int]
"""A meter reading in stored units: METER_COLUMNS. Its energy is as sent: a register's total."""

METER_COLUMNS = ("meter_id", "time", "energy_mwh", "voltage_mv")


def microseconds(time: datetime) -> int:
    """An aware time as rows hold it."""
    return (time - EPOCH) // MICROSECOND


def time_of(row_time: int) -> datetime:
    """A row's time, in UTC."""
    return EPOCH + timedelta(microseconds=row_time)


def rfc3339(time: datetime) -> str:
    """A time in UTC as people and devices write it."""
    return time.isoformat().replace("+00:00", "Z")


class Rejection(msgspec.Struct, rename="camel", omit_defaults=True):
    """Why one item of a batch was not taken."""

    index: int
    """Position in the batch, from 0."""

    code: str
    """Stable, for programs."""

    detail: str
    """A sentence, for people."""

    path: str = ""
    """JSON path of the field."""


Kind = Literal["vehicles", "meters", "vehicle_registers", "meter_registers"]
"""What a row is: a vehicle's or a meter's, with interval energy or with a register."""

KINDS: tuple[Kind, ...] = ("vehicles", "meters", "vehicle_registers", "meter_registers")

Row = VehicleRow | MeterRow

Refused = Set[tuple[Kind, str]]
"""Devices (ids, with the kind of reading that was not taken) that keep to the other kind."""

Conflicts = Set[tuple[Kind, Row]]
"""Rows whose key is in history with other values."""

REJECTED = len(KINDS)
"""In a batch's order: an item that became no row."""


class Batch(msgspec.Struct, weakref=True):
    """A decoded request: rows by kind, as they came, and what was wrong with the rest."""

    vehicles: list[VehicleRow]
    meters: list[MeterRow]
    rejected: list[Rejection]
    vehicle_registers: list[VehicleRow] = []
    meter_registers: list[MeterRow] = []
    order: bytearray = msgspec.field(default_factory=bytearray)
    """Of each item, the number of its kind, or REJECTED."""

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(len(getattr(self, kind)) for kind in KINDS)

    def reject(self, refused: Refused, conflicts: Conflicts) -> None:
        """Add rows of refused devices, and rows in conflict with history, to the rejected items."""
        rows = [iter(getattr(self, kind)) for kind in KINDS]
        for index, number in enumerate(self.order):
            if number == REJECTED:
                continue
            kind: Kind = KINDS[number]
            row: Row = next(rows[number])
            if (kind, row[0]) in refused:
                detail = _MIXED[kind].format(row[0])
                self.rejected.append(Rejection(index, "mixed_energy", detail))
            elif (kind, row) in conflicts:
                detail = _CONFLICT.format(row[0], rfc3339(time_of(row[1])))
                self.rejected.append(Rejection(index, "conflict", detail))
        self.rejected.sort(key=lambda item: item.index)


_CONFLICT = (
    "{} has a reading of {} with other values, which stays; to replace it, send a correction "
    "(POST /v1/corrections)"
)
_INTERVAL = "{} sends a register; a device keeps to one kind, so send "
_REGISTER = "{} sends interval energy; a device keeps to one kind, so send "
_MIXED: dict[Kind, str] = {
    "vehicles": _INTERVAL + "kwhDeliveredDcTotal",
    "meters": _INTERVAL + "kwhConsumedAcTotal",
    "vehicle_registers": _REGISTER + "kwhDeliveredDc",
    "meter_registers": _REGISTER + "kwhConsumedAc",
}


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


def derived_kwh(energy_mwh: int, register_mwh: int | None, span_ms: int | None) -> float | None:
    """A reading's energy in kWh; None for what opens a register."""
    return None if register_mwh is not None and span_ms is None else kwh(energy_mwh)


def register_kwh(register_mwh: int | None) -> float | UnsetType:
    """What a register showed, kWh; unset for interval energy."""
    return UNSET if register_mwh is None else kwh(register_mwh)
