"""Defines what all readings share: ids, times, units, and the outcome of a rejected one."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.readings.ids import DEVICE_ID_PATTERN

MAX_AHEAD_S = 300
"""Maximum time that a device's clock may run ahead, seconds."""

DeviceId = Annotated[str, Meta(pattern=DEVICE_ID_PATTERN, min_length=1, max_length=64)]
SessionId = Annotated[str, Meta(min_length=1, max_length=64)]
Timestamp = Annotated[datetime, Meta(tz=True)]

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL's epoch; rows hold times in whole microseconds since then."""

MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    """Return an aware time as rows hold it."""
    return (time - EPOCH) // MICROSECOND


def time_of(row_time: int) -> datetime:
    """Return a row's time, in UTC."""
    return EPOCH + timedelta(microseconds=row_time)


def rfc3339(time: datetime) -> str:
    """Return a time in UTC as people and devices write it."""
    return time.isoformat().replace("+00:00", "Z")


class Rejection(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """The reason why an item of a batch was not accepted."""

    index: int
    """Position in the batch, from 0."""

    code: str
    """Stable, for programs."""

    detail: str
    """A sentence, for people."""

    path: str = ""
    """JSON path of the field."""


def kwh(energy_mwh: int) -> float:
    """Convert milliwatt-hours to kWh, the float nearest to the exact quotient."""
    return energy_mwh / 1_000_000


def percent(bp: int) -> float:
    """Convert basis points to per cent."""
    return bp / 100


def celsius(cdeg: int) -> float:
    """Convert hundredths of a degree to °C."""
    return cdeg / 100


def volts(mv: int) -> float:
    """Convert millivolts to volts."""
    return mv / 1000
