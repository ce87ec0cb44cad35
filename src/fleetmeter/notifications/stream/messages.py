"""Messages of the stream, as each reach sees them: encoded once for all unlimited listeners."""

from collections.abc import Callable, Collection, Sequence

import msgspec
from asyncpg import Record

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.within import Sites, as_shown, sites_named
from fleetmeter.database.pool import Connection
from fleetmeter.devices.settings import device_state
from fleetmeter.notifications.events import Numbered
from fleetmeter.readings.kinds import DeviceKind

Message = Callable[[Reach], bytes | None]
"""Returns a message as a reach sees it, or None when it is about something outside."""

_encode = msgspec.json.Encoder().encode


async def event_messages(
    connection: Connection, events: Sequence[Numbered], reaches: Collection[Reach]
) -> list[Message]:
    """Return the messages of events, for listeners of these reaches."""
    if all(reach.whole for reach in reaches):
        return [_event(event, None, {}) for event in events]
    anomalies = [_anomaly(event) for event in events]
    sites = await sites_named(connection, [each for each in anomalies if each])
    return [_event(*pair, sites) for pair in zip(events, anomalies, strict=True)]


def state_message(kind: DeviceKind, row: Record) -> Message:
    """Return the message of a live state, from a row of the query `devices`."""
    state = device_state(kind, row)
    whole = _state_text(kind, state)

    def message(reach: Reach) -> bytes | None:
        if reach.whole:
            return whole
        if not reach.includes(row["id"], row["site"]):
            return None
        meter_id = row["meter_id"]
        if meter_id is None or reach.includes(meter_id, row["meter_site"]):
            return whole
        return _state_text(kind, msgspec.structs.replace(state, meter_id=None))

    return message


def _event(event: Numbered, anomaly: Anomaly | None, sites: Sites) -> Message:
    whole = _event_text(event)

    def message(reach: Reach) -> bytes | None:
        if reach.whole:
            return whole
        shown = None if anomaly is None else as_shown(anomaly, reach, sites)
        if shown is None or shown is anomaly:
            return None if shown is None else whole
        redacted = msgspec.structs.replace(event.event, anomaly=msgspec.Raw(_encode(shown)))
        return _event_text(msgspec.structs.replace(event, event=redacted))

    return message


def _anomaly(event: Numbered) -> Anomaly | None:
    """Return the anomaly of an event; None when another version stored it with other fields."""
    try:
        return msgspec.json.decode(event.event.anomaly, type=Anomaly)
    except msgspec.ValidationError:
        return None


def _event_text(event: Numbered) -> bytes:
    return b"event: anomaly\nid: %d\ndata: %s\n\n" % (event.id, _encode(event.event))


def _state_text(kind: DeviceKind, state: msgspec.Struct) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.name.encode(), _encode(state))
