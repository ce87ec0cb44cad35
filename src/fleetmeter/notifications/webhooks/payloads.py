"""Bodies of webhooks: our own JSON, or the format of Prometheus' Alertmanager."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from fleetmeter.notifications.events import AnomalyEvent

MessageFormat = Literal["fleetmeter", "alertmanager"]

_FIRING_ENDS = "0001-01-01T00:00:00Z"
"""Alertmanager's end of an alert that is still firing."""

_NOTHING_CHANGES = "acknowledged"
"""Event that Alertmanager does not know: the alert keeps firing."""

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Alert(msgspec.Struct, rename="camel", kw_only=True):
    """The part of an anomaly that an alert shows."""

    id: int
    kind: str
    severity: str
    status: str
    device_kind: str
    device_id: str
    summary: str
    started_at: datetime
    site: str | None = None
    cause: str | None = None
    ended_at: datetime | None = None
    resolved_at: datetime | None = None


def payload(
    format_: MessageFormat, message_id: str, event: AnomalyEvent, public_url: str
) -> bytes | None:
    """Return the body for an event, or None when this format does not report it."""
    if format_ == "alertmanager":
        if event.event == _NOTHING_CHANGES:
            return None
        return _alertmanager(event, public_url)
    return _encode(
        {
            "id": message_id,
            "type": f"anomaly.{event.event}",
            "timestamp": event.at,
            "data": event,
        }
    )


def test_payload(format_: MessageFormat, message_id: str, now: datetime, public_url: str) -> bytes:
    """Return the body of a test message."""
    summary = "A test of this webhook; nothing is wrong."
    if format_ == "alertmanager":
        labels = {"alertname": "FleetMeterTest", "severity": "info"}
        return _encode(_message("resolved", labels, {}, {"summary": summary}, now, now, public_url))
    return _encode(
        {"id": message_id, "type": "test", "timestamp": now, "data": {"summary": summary}}
    )


def _alertmanager(event: AnomalyEvent, public_url: str) -> bytes:
    alert = msgspec.json.decode(event.anomaly, type=_Alert)
    # labels identify an alert, so they stay the same from start to end: the cause, which may become
    # clearer, is not one of them
    labels = {
        "alertname": alert.kind,
        "device_kind": alert.device_kind,
        "device_id": alert.device_id,
        "severity": alert.severity,
    }
    more = {"site": alert.site} if alert.site is not None else {}
    annotations = {"summary": alert.summary}
    if alert.cause is not None:
        annotations["cause"] = alert.cause
    if event.note is not None:
        annotations["note"] = event.note
    # not by the event: what a person has resolved is updated once it is really over
    resolved = alert.status == "resolved"
    ends = (alert.ended_at or alert.resolved_at or event.at) if resolved else None
    url = f"{public_url}/v1/anomalies/{alert.id}"
    message = _message(
        "resolved" if resolved else "firing",
        labels,
        more,
        annotations,
        alert.started_at,
        ends,
        public_url,
        url,
    )
    return _encode(message)


def _message(
    status: Literal["firing", "resolved"],
    group_labels: dict[str, str],
    more_labels: dict[str, str],
    annotations: dict[str, str],
    starts: datetime,
    ends: datetime | None,
    public_url: str,
    generator_url: str = "",
) -> dict[str, Any]:
    """Return version 4 of prometheus.io/docs/alerting/latest/configuration/#webhook_config."""
    labels = group_labels | more_labels
    # quotes and backslashes are escaped there as they are in JSON
    group = ", ".join(
        f"{name}={_encode(value).decode()}" for name, value in sorted(group_labels.items())
    )
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{group}}}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "fleetmeter",
        "groupLabels": group_labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": public_url,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": starts.astimezone(UTC),
                "endsAt": ends.astimezone(UTC) if ends else _FIRING_ENDS,
                "generatorURL": generator_url or public_url,
                "fingerprint": fingerprint(labels),
            }
        ],
    }


def fingerprint(labels: dict[str, str]) -> str:
    """Return Prometheus' fingerprint of a label set: 64-bit FNV-1a of sorted names and values."""
    sum_ = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in (*name.encode(), 255, *value.encode(), 255):
            sum_ = (sum_ ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{sum_:016x}"
