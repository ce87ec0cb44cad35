"""Readings and live states as answers show them: structs that follow from kinds.py."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.readings.kinds import (
    KINDS,
    MAX_INTERVAL_KWH,
    MAX_REGISTER_KWH,
    METER,
    SESSION,
    DeviceKind,
)
from fleetmeter.readings.model import DeviceId, SessionId, Timestamp
from fleetmeter.readings.telemetry import attribute

Struct = type[msgspec.Struct]

Reset = Annotated[
    bool,
    Meta(
        description="The register was reset: it showed far less than before, or impossibly more. "
        "Energy continues from its new value."
    ),
]

IntervalStart = Annotated[
    Timestamp,
    Meta(
        description="Start of the interval, RFC 3339 with an offset; by default one reporting "
        "interval before `timestamp`, or the previous reading.",
        examples=["2026-02-09T09:00:00Z"],
    ),
]

SentTimestamp = Annotated[
    datetime,
    Meta(
        description="The impossible time that the device sent; `timestamp` is when the reading "
        "arrived, because the device's `stampByArrival` is set."
    ),
]

AsOf = Annotated[
    dict[str, datetime],
    Meta(
        description="Time of measurement of the fields that are older than `timestamp`.",
        examples=[{"soc": "2026-02-09T09:58:00Z"}],
    ),
]


def struct(
    name: str,
    doc: str,
    fields: Sequence[tuple[Any, ...]],
    *,
    module: str,
    base: Struct = msgspec.Struct,
    **options: Any,
) -> Struct:
    """Define a struct whose fields follow from a table; in camelCase on the wire."""
    return msgspec.defstruct(
        name,
        fields,
        bases=(base,),
        module=module,
        namespace={"__doc__": doc},
        rename="camel",
        kw_only=True,
        **options,
    )


def _fields(kind: DeviceKind) -> list[tuple[Any, ...]]:
    energy = kind.energy
    interval = Annotated[
        float,
        Meta(
            ge=0,
            description=f"{energy.description} since the previous reading, 0–{MAX_INTERVAL_KWH} "
            "kWh; derived from the register where that is sent, null for its first reading.",
            examples=[energy.example],
        ),
    ]
    as_ocpp = ", as OCPP's `Energy.Active.Import.Register`" if kind is METER else ""
    register = Annotated[
        float,
        Meta(
            ge=0,
            le=MAX_REGISTER_KWH,
            description=f"Instead of interval energy: an ever-growing total, kWh{as_ocpp}.",
        ),
    ]
    timestamp = Annotated[
        Timestamp,
        Meta(
            description="RFC 3339 with an offset; the end of the interval.",
            examples=["2026-02-09T10:00:00Z"],
        ),
    ]
    charged_from = Annotated[
        DeviceId,
        Meta(description="The meter it charges from; takes precedence over the assignment."),
    ]
    session_id = Annotated[
        SessionId, Meta(description=f"{SESSION.description}.", examples=[SESSION.example])
    ]
    return [
        (attribute(kind.id_field), Annotated[DeviceId, Meta(examples=[kind.example_id])]),
        (attribute(energy.field), interval | UnsetType | None, UNSET),
        *(
            (
                attribute(each.field),
                Annotated[
                    float,
                    Meta(
                        ge=each.low,
                        le=each.high,
                        description=f"{each.description}, {each.unit}.",
                        examples=[each.example],
                    ),
                ]
                | UnsetType
                | None,
                UNSET,
            )
            for each in kind.measurements
        ),
        ("timestamp", timestamp),
        *([("meter_id", charged_from | None, None)] if kind.charges else []),
        (attribute(energy.register_field), register | UnsetType | None, UNSET),
        ("interval_start", IntervalStart | UnsetType | None, UNSET),
        (attribute(SESSION.field), session_id | UnsetType | None, UNSET),
        ("reset", Reset | UnsetType, UNSET),
        ("sent_timestamp", SentTimestamp | UnsetType, UNSET),
    ]


READINGS: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}Reading",
        f"A {kind.name}'s reading, with interval energy or with what a register shows.",
        _fields(kind),
        module=__name__,
    )
    for kind in KINDS
}
"""VehicleReading and so on, by the name of the kind."""

STATES: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}State",
        f"A {kind.name}'s newest reading, with the newest known value of what it did not have.",
        [
            ("last_seen", Annotated[datetime, Meta(description="When that reading arrived.")]),
            ("as_of", AsOf | UnsetType, UNSET),
        ],
        module=__name__,
        base=READINGS[kind.name],
    )
    for kind in KINDS
}
"""VehicleState and so on, by the name of the kind."""
