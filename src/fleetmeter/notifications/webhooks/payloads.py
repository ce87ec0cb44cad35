"""What webhooks are sent: our own JSON, or what Prometheus' Alertmanager sends to its receivers."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from fleetmeter.notifications.events import AnomalyEvent

Format = Literal["fleetmeter", "alertmanager"]

_FIRING_ENDS = "0001-01-01T00:00:00Z"
"""How Alertmanager says that an alert has not ended."""

_NOTHING_CHANGES = "acknowledged"
"""Alertmanager knows no such event: the alert fires on."""

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Alert(msgspec.Struct, rename="camel", kw_only=True):
    """Of an anomaly, what an alert says."""

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


def payload(format_: Format, message_id: str, event: AnomalyEvent, public_url: str) -> bytes | None:
    """The body that tells of an event; None when this format has nothing to tell of it."""
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


def test_payload(format_: Format, message_id: str, now: datetime, public_url: str) -> bytes:
    """A body that tells of nothing, to see whether it arrives."""
    summary = "A test of this webhook; nothing is wrong."
    if format_ == "alertmanager":
        labels = {"alertname": "FleetMeterTest", "severity": "info"}
        return _encode(_message("resolved", labels, {}, {"summary": summary}, now, now, public_url))
    return _encode(
        {"id": message_id, "type": "test", "timestamp": now, "data": {"summary": summary}}
    )


def _alertmanager(event: AnomalyEvent, public_url: str) -> bytes:
    alert = msgspec.json.decode(event.anomaly, type=_Alert)
    # what tells one alert from another stays the same from its begin to its end: a cause, which
    # may become clearer, is none of it
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
    """Version 4 of https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""
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
    """Prometheus' fingerprint of a label set: FNV-1a, 64 bits, of names and values in order."""
    sum_ = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in (*name.encode(), 255, *value.encode(), 255):
            sum_ = (sum_ ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{sum_:016x}"
