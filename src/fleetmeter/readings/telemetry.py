"""A reading as it comes off the wire, of any kind of device."""

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from fleetmeter.readings.kinds import KINDS, SESSION


@cache
def attribute(field: str) -> str:
    """Return the Python name of a field: kwhDeliveredDc is kwh_delivered_dc."""
    return re.sub("([A-Z])", r"_\1", field).lower()


NUMBERS: tuple[str, ...] = tuple(dict.fromkeys(field for kind in KINDS for field in kind.fields))
"""The fields that are numbers, on the wire, each once."""

IDS: tuple[str, ...] = tuple(kind.id_field for kind in KINDS)

TEXTS: tuple[str, ...] = (*IDS, SESSION.field)

TIMES: tuple[str, ...] = ("intervalStart", "timestamp")

FIELDS: tuple[str, ...] = (*TEXTS, *NUMBERS, *TIMES)
"""Every field, in the order in which a Telemetry has them."""

if TYPE_CHECKING:

    class Telemetry(msgspec.Struct):
        """Every field of every kind, None when absent; null is the same as absent."""

        vehicle_id: str | None = None
        meter_id: str | None = None
        session_id: str | None = None
        interval_start: datetime | None = None
        timestamp: datetime | None = None

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    Telemetry = msgspec.defstruct(
        "Telemetry",
        [
            *((attribute(field), str | None, None) for field in TEXTS),
            *((attribute(field), float | None, None) for field in NUMBERS),
            *((attribute(field), datetime | None, None) for field in TIMES),
        ],
        rename={attribute(field): field for field in FIELDS},
        gc=False,
        module=__name__,
    )
    Telemetry.__doc__ = "Unknown fields are ignored, so newer firmware keeps working."
