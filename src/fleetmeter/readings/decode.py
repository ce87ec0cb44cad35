"""From the bytes of a request to a Batch.

A whole batch is decoded in one pass; only when an item is of the wrong type is the body split and
each item decoded on its own, so that one bad reading never costs another.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError
from fleetmeter.readings.model import MAX_AHEAD_S, Batch, MeterRow, Rejection, VehicleRow
from fleetmeter.readings.validate import Invalid, Telemetry, validate

_MAX_FIELDS = 16
"""Fields of a reading, on average over the largest batch: bounds the memory of decoding."""

_decode_one = msgspec.json.Decoder(Telemetry).decode
_decode_many = msgspec.json.Decoder(list[Telemetry]).decode
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(body: bytes, now: datetime, retention: timedelta, max_batch: int) -> Batch:
    """Decode and validate one reading or an array of them, both kinds mixed.

    `now` is the time of arrival (UTC), from which the age of a reading counts. The first of several
    readings with the same device and time in one batch is kept; the others count as `repeated`.

    Raises MalformedBodyError (not JSON) and BatchTooLargeError.
    """
    items: Sequence[Telemetry | msgspec.Raw] = _items(body, max_batch)
    oldest, latest = now - retention, now + timedelta(seconds=MAX_AHEAD_S)
    vehicles: dict[tuple[str, datetime], VehicleRow] = {}
    meters: dict[tuple[str, datetime], MeterRow] = {}
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            row = validate(_telemetry(item), oldest, latest)
        except Invalid as invalid:
            rejected.append(Rejection(index, invalid.code, invalid.detail, invalid.path))
            continue
        if type(row) is VehicleRow:
            vehicles.setdefault((row.vehicle_id, row.time), row)
        elif type(row) is MeterRow:
            meters.setdefault((row.meter_id, row.time), row)
    return Batch(
        vehicles=list(vehicles.values()),
        meters=list(meters.values()),
        repeated=len(items) - len(vehicles) - len(meters) - len(rejected),
        rejected=rejected,
    )


def _items(body: bytes, max_batch: int) -> Sequence[Telemetry | msgspec.Raw]:
    """The items of a body, decoded, or as raw JSON where that has to be done one by one."""
    if body.count(b",") > _MAX_FIELDS * max_batch:
        raise BatchTooLargeError(f"more than {max_batch} readings; send them in smaller batches")
    items: Sequence[Telemetry | msgspec.Raw]
    try:
        if body.lstrip()[:1] != b"[":
            items = [_whole(body)]
        else:
            try:
                items = _decode_many(body)
            except msgspec.ValidationError:
                items = _split(body)
    except RecursionError:
        raise MalformedBodyError("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBodyError(f"the body is not valid JSON: {error}") from None
    if len(items) > max_batch:
        raise BatchTooLargeError(
            f"{len(items)} readings, more than {max_batch}; send them in smaller batches"
        )
    return items


def _telemetry(item: Telemetry | msgspec.Raw) -> Telemetry:
    if isinstance(item, Telemetry):
        return item
    try:
        return _decode_one(item)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).replace(" | null", "").partition(" - at `")
        if not path:
            raise Invalid("not_an_object", f"a reading is an object: {reason}") from None
        path = path.rstrip("`")
        code = "invalid_timestamp" if path == "$.timestamp" else "invalid_type"
        raise Invalid(code, f"{path.removeprefix('$.')}: {reason}", path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("invalid_type", str(error)) from None
