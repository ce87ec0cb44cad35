"""Webhooks are signed as Standard Webhooks says, and say what they are in two formats."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.model import Event
from fleetmeter.notifications.events import AnomalyEvent
from fleetmeter.notifications.webhooks.payloads import MessageFormat, fingerprint, payload
from fleetmeter.notifications.webhooks.signing import headers, new_secret

AT = datetime(2026, 2, 9, 11, 5, 3, tzinfo=UTC)
PUBLIC = "https://fleet.example"


def test_the_example_of_the_specification_has_its_signature() -> None:
    """That of the reference implementations' tests."""
    signed = headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_is_32_random_bytes() -> None:
    secrets = {new_secret() for _ in range(10)}
    assert len(secrets) == 10
    for secret in secrets:
        prefix, text = secret[:6], secret[6:]
        assert prefix == "whsec_"
        assert len(b64decode(text, validate=True)) == 32


def test_id_time_and_body_are_all_signed() -> None:
    secret = new_secret()
    signatures = {
        headers(secret, id_, at, body)["webhook-signature"]
        for id_ in ("a", "b")
        for at in (1, 2)
        for body in (b"", b"{}")
    }
    assert len(signatures) == 8
    key = b64decode(secret.removeprefix("whsec_"))
    expected = b64encode(hmac.new(key, b"a.1.{}", hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in signatures


def test_an_id_cannot_reach_into_the_timestamp() -> None:
    with pytest.raises(ValueError, match="full stop"):
        headers(new_secret(), "a.1", 1, b"")


def an_event(event: Event, **fields: Any) -> AnomalyEvent:
    anomaly = Anomaly(
        id=9,
        kind="dc_exceeds_ac",
        severity="warning",
        device_kind="vehicle",
        device_id="EV-7",
        site="BER-1",
        status="open",
        cause="wrong_meter",
        summary="EV-7 took 4 kWh more than MTR-7 gave",
        evidence={"dcKwh": 12.5},
        started_at=AT.replace(hour=9),
        detected_at=AT.replace(hour=10),
        ended_at=None,
        opened_at=AT,
        acknowledged_at=None,
        acknowledged_by=None,
        resolved_at=None,
        resolved_by=None,
        reopened=0,
    )
    anomaly = msgspec.structs.replace(anomaly, **fields)
    return AnomalyEvent(
        event=event, at=AT, who=None, note=None, anomaly=msgspec.Raw(msgspec.json.encode(anomaly))
    )


def body(format_: MessageFormat, event: AnomalyEvent) -> Any:
    encoded = payload(format_, "x-17", event, PUBLIC)
    return encoded and msgspec.json.decode(encoded)


def test_our_own_format_is_the_event_with_its_type() -> None:
    event = an_event("opened")
    told = body("fleetmeter", event)
    assert told["id"] == "x-17"
    assert told["type"] == "anomaly.opened"
    assert told["timestamp"] == "2026-02-09T11:05:03Z"
    assert told["data"].keys() == {"event", "at", "who", "note", "anomaly"}
    assert told["data"]["anomaly"] == msgspec.json.decode(event.anomaly)


def test_alertmanagers_format_fires_and_resolves_the_same_alert() -> None:
    fires = body("alertmanager", an_event("opened"))
    ended = AT.replace(hour=10, minute=30)
    over = body(
        "alertmanager", an_event("resolved", status="resolved", ended_at=ended, cause="unknown")
    )
    labels = {
        "alertname": "dc_exceeds_ac",
        "device_kind": "vehicle",
        "device_id": "EV-7",
        "severity": "warning",
        "site": "BER-1",
    }
    assert fires == {
        "version": "4",
        "groupKey": '{}:{alertname="dc_exceeds_ac", device_id="EV-7", device_kind="vehicle", '
        'severity="warning"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "fleetmeter",
        "groupLabels": {name: labels[name] for name in labels if name != "site"},
        "commonLabels": labels,
        "commonAnnotations": {
            "summary": "EV-7 took 4 kWh more than MTR-7 gave",
            "cause": "wrong_meter",
        },
        "externalURL": PUBLIC,
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": fires["commonAnnotations"],
                "startsAt": "2026-02-09T09:05:03Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": f"{PUBLIC}/v1/anomalies/9",
                "fingerprint": fingerprint(labels),
            }
        ],
    }
    assert over["status"] == over["alerts"][0]["status"] == "resolved"
    assert over["alerts"][0]["endsAt"] == "2026-02-09T10:30:03Z"
    for same in ("groupKey", "commonLabels"):
        assert over[same] == fires[same]
    assert over["alerts"][0]["fingerprint"] == fires["alerts"][0]["fingerprint"]


def test_quotes_in_an_id_do_not_end_the_label_of_a_group() -> None:
    told = body("alertmanager", an_event("opened", device_id="a\"b\\c', d"))
    assert told["groupLabels"]["device_id"] == "a\"b\\c', d"
    assert 'device_id="a\\"b\\\\c\', d", device_kind=' in told["groupKey"]


def test_an_alert_that_a_person_resolved_does_not_fire_again_when_it_is_really_over() -> None:
    ended = AT.replace(hour=12)
    updated = body("alertmanager", an_event("updated", status="resolved", ended_at=ended))
    assert updated["status"] == updated["alerts"][0]["status"] == "resolved"
    assert updated["alerts"][0]["endsAt"] == "2026-02-09T12:05:03Z"
    assert body("alertmanager", an_event("updated", status="acknowledged"))["status"] == "firing"


def test_alertmanagers_format_has_nothing_to_say_of_an_acknowledgement() -> None:
    assert body("alertmanager", an_event("acknowledged")) is None
    assert body("fleetmeter", an_event("acknowledged"))["type"] == "anomaly.acknowledged"
    assert body("alertmanager", an_event("reopened"))["status"] == "firing"


def test_a_fingerprint_is_prometheus_own() -> None:
    """FNV-1a: of no label its offset, of others what its definition gives, in any order."""
    assert fingerprint({}) == f"{14695981039346656037:016x}"
    sum_ = 14695981039346656037
    for byte in b"a\xffb\xffc\xffd\xff":
        sum_ = ((sum_ ^ byte) * 1099511628211) % 2**64
    assert fingerprint({"c": "d", "a": "b"}) == f"{sum_:016x}"
