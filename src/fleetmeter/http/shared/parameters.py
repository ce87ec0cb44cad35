"""Parameters that several endpoints share: device ids, windows of time, pages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from litestar import Request
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from fleetmeter.energy import buckets
from fleetmeter.http.shared.problems import HAS_NUL, NUL, invalid_parameter
from fleetmeter.readings.ids import (
    DEVICE_ID_PATTERN,
    DEVICE_ID_RULE,
    SITE_PATTERN,
    SITE_RULE,
    is_device_id,
    is_site,
)
from fleetmeter.readings.model import DeviceId, Timestamp
from fleetmeter.readings.times import in_utc

MAX_WINDOW = timedelta(days=400)
DEFAULT_WINDOW = timedelta(hours=24)
MAX_LIMIT = 1000

DeviceIdPath = Annotated[
    str,
    PathParameter(
        pattern=DEVICE_ID_PATTERN,
        min_length=1,
        max_length=64,
        description="Percent-encoded: `/` as %2F, a space as %20.",
    ),
]
SitePath = Annotated[str, PathParameter(pattern=SITE_PATTERN, min_length=1, max_length=64)]
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        required=False,
        description="Start of the window, RFC 3339; 24 hours before `to` by default. "
        "Counts energy used after it; lists items stamped at or after it.",
        schema_extra={"format": "date-time"},
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        name="to",
        required=False,
        description="End of the window, RFC 3339; now by default. "
        "Counts energy used up to it; lists items stamped before it.",
        schema_extra={"format": "date-time"},
    ),
]
Limit = Annotated[
    int,
    QueryParameter(
        ge=1, le=MAX_LIMIT, required=False, description="Maximum number of items per page."
    ),
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        required=False,
        max_length=400,
        description="`nextCursor` of the previous page; keep the other parameters the same.",
    ),
]

Bucket = Annotated[
    buckets.Bucket,
    QueryParameter(
        required=False, description="UTC quarter hours or hours, or days of a time zone."
    ),
]
TimeZone = Annotated[
    str | None,
    QueryParameter(
        name="tz",
        required=False,
        max_length=64,
        description="IANA time zone of the days of `bucket=day`, such as Europe/Berlin; by default "
        "the device's, else UTC.",
    ),
]

MAX_ID = 2**63 - 1
Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
"""A row id in the database."""

Who = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Added to the name of the key, which is stored anyway; without any key, it is "
        "who is stored.",
        examples=["anna@example.com"],
    ),
]
Note = Annotated[str, Meta(min_length=1, max_length=1000)]

_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

T = TypeVar("T")


def takes(*names: str) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Return a guard that answers 400 to other query parameters, which may be misspelt ones.

    It refuses values that the database cannot compare with any text, too.
    """

    async def refuse_others(request: Request[Any, Any, Any]) -> None:
        for name, value in request.query_params.multi_items():
            if name not in names:
                raise invalid_parameter(name, "unknown query parameter")
            if NUL in value:
                raise invalid_parameter(name, HAS_NUL)

    return refuse_others


refuse_unknown_parameters = takes(
    "from", "to", "bucket", "tz", "sort", "limit", "cursor", "versions"
)


class Window(msgspec.Struct, frozen=True):
    """A span of time, UTC."""

    start: datetime
    end: datetime


class Page(msgspec.Struct, Generic[T], rename="camel"):
    """A page of a list; `nextCursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None


def window(from_: str | None, to: str | None, now: datetime | None = None) -> Window:
    """Return the requested window, by default the last 24 hours. Raises 400."""
    end = parse_time("to", to) if to else (now or datetime.now(UTC))
    start = parse_time("from", from_) if from_ else end - DEFAULT_WINDOW
    if start >= end:
        raise invalid_parameter("from", "must be before to")
    if end - start > MAX_WINDOW:
        raise invalid_parameter("from", f"the window is longer than {MAX_WINDOW.days} days")
    return Window(start, end)


def window_of(edges: tuple[datetime, datetime]) -> Window:
    """Return the window that a cursor carries. Raises 400."""
    start, end = (check_time("cursor", edge) for edge in edges)
    return window(start.isoformat(), end.isoformat())


def zone_of_days(bucket: buckets.Bucket, tz: str | None) -> ZoneInfo | None:
    """Return the time zone of a series by days, or None by default. Raises 400."""
    if tz and bucket != "day":
        raise invalid_parameter("tz", "is only allowed with bucket=day; hours are UTC hours")
    return time_zone("tz", tz) if tz else None


def time_zone(name: str, key: str) -> ZoneInfo:
    """Return the IANA time zone of a name. Raises 400."""
    if key not in _time_zones():
        raise invalid_parameter(name, f"{key} is not an IANA time zone such as Europe/Berlin")
    return ZoneInfo(key)


@cache
def _time_zones() -> set[str]:
    return available_timezones() - {"Factory", "localtime", "posixrules"}  # no places


def parse_time(name: str, text: str) -> datetime:
    """Parse an RFC 3339 time with an offset; return it in UTC. Raises 400."""
    try:
        # a + that was not percent-encoded arrives as a space
        time = msgspec.convert(text.replace(" ", "+"), datetime)
    except msgspec.ValidationError:
        raise invalid_parameter(
            name, "is not an RFC 3339 time such as 2026-02-09T10:00:00Z"
        ) from None
    return check_time(name, time)


def check_time(name: str, time: datetime) -> datetime:
    """Return the time in UTC. Raises 400 when it has no offset or is out of range."""
    try:
        return in_utc(time)
    except ValueError as error:
        raise invalid_parameter(name, str(error)) from None


def check_device_id(name: str, value: str) -> str:
    """Return the id of a device, checked for paths and bodies that store it. Raises 400."""
    if not is_device_id(value):
        raise invalid_parameter(name, DEVICE_ID_RULE)
    return value


def check_site(name: str, value: str) -> str:
    """Return the name of a site, checked for bodies that store it. Raises 400."""
    if not is_site(value):
        raise invalid_parameter(name, SITE_RULE)
    return value


def check_printable(name: str, text: str | None) -> None:
    """Raise 400 for text with unprintable characters."""
    if text is not None and not text.isprintable():
        raise invalid_parameter(name, "contains unprintable characters")


def page(items: Sequence[T], limit: int, key: Callable[[T], Any]) -> Page[T]:
    """Return a page of `limit` items; pass one more if there are more, to get a cursor.

    `key` returns where the next page begins: after an id, or at a time.
    """
    kept = list(items[:limit])
    more = len(items) > limit
    return Page(kept, _encode(key(kept[-1])) if more else None)


def after(cursor: str | None, kind: type[T]) -> T | None:
    """Return the key in a cursor, if there is a cursor; the page comes after it. Raises 400."""
    found: T | None = _decode(cursor, kind) if cursor else None
    return found


def after_id(cursor: str | None) -> str:
    """Return the id in a cursor, by default one before all others. Raises 400."""
    return _decode(cursor, DeviceId) if cursor else ""


def from_time(cursor: str | None, start: datetime) -> datetime:
    """Return the time in a cursor, by default and at least `start`. Raises 400."""
    return max(start, check_time("cursor", _decode(cursor, Timestamp))) if cursor else start


def _encode(key: Any) -> str:
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _decode(cursor: str, kind: Any) -> Any:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if _ESCAPED_NUL.search(text):
            raise ValueError
        return msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.MsgspecError):  # binascii's error is a ValueError
        raise invalid_parameter("cursor", "is not a cursor of this list") from None
