"""The answers to what chargers send beside readings, by version. Pure.

They keep a charger content: it may charge whoever asks, and is promised nothing else. What would
make it wait for something that never comes, such as a certificate, is rejected.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

Version = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
"""The subprotocols of WebSocket."""

VERSIONS: tuple[Version, ...] = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")

HEARTBEAT_S = 300
"""How often a charger is asked to say that it lives, seconds."""

_NOTHING = b"{}"
_ACCEPTED, _REJECTED = b'{"status":"Accepted"}', b'{"status":"Rejected"}'
_UNKNOWN_VENDOR = b'{"status":"UnknownVendorId"}'

_OF_1_6 = {
    "Authorize": b'{"idTagInfo":{"status":"Accepted"}}',
    "DataTransfer": _UNKNOWN_VENDOR,
    "DiagnosticsStatusNotification": _NOTHING,
    "FirmwareStatusNotification": _NOTHING,
    "LogStatusNotification": _NOTHING,
    "SecurityEventNotification": _NOTHING,
    "SignCertificate": _REJECTED,
    "SignedFirmwareStatusNotification": _NOTHING,
    "StatusNotification": _NOTHING,
}

_OF_2_0_1 = {
    "Authorize": b'{"idTokenInfo":{"status":"Accepted"}}',
    "ClearedChargingLimit": _NOTHING,
    "DataTransfer": _UNKNOWN_VENDOR,
    "FirmwareStatusNotification": _NOTHING,
    "Get15118EVCertificate": b'{"status":"Failed","exiResponse":""}',
    "GetCertificateStatus": b'{"status":"Failed"}',
    "LogStatusNotification": _NOTHING,
    "NotifyChargingLimit": _NOTHING,
    "NotifyCustomerInformation": _NOTHING,
    "NotifyDisplayMessages": _NOTHING,
    "NotifyEVChargingNeeds": _REJECTED,
    "NotifyEVChargingSchedule": _ACCEPTED,
    "NotifyEvent": _NOTHING,
    "NotifyMonitoringReport": _NOTHING,
    "NotifyReport": _NOTHING,
    "PublishFirmwareStatusNotification": _NOTHING,
    "ReportChargingProfiles": _NOTHING,
    "ReservationStatusUpdate": _NOTHING,
    "SecurityEventNotification": _NOTHING,
    "SignCertificate": _REJECTED,
    "StatusNotification": _NOTHING,
}

_OF_2_1 = {
    "BatterySwap": _NOTHING,
    "ClosePeriodicEventStream": _NOTHING,
    "NotifyDERAlarm": _NOTHING,
    "NotifyDERStartStop": _NOTHING,
    "NotifyPriorityCharging": _NOTHING,
    "NotifySettlement": _NOTHING,
    "NotifyWebPaymentStarted": _NOTHING,
    "OpenPeriodicEventStream": _REJECTED,
    "PullDynamicScheduleUpdate": _REJECTED,
    "ReportDERControl": _NOTHING,
}

ANSWERS: dict[Version, dict[str, bytes]] = {
    "ocpp1.6": _OF_1_6,
    "ocpp2.0.1": _OF_2_0_1,
    "ocpp2.1": _OF_2_0_1 | _OF_2_1,
}
"""The payloads of answers that are always the same, by action."""


def time_text(now: datetime) -> str:
    """Return a time in whole seconds, which every charger can read."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def heartbeat(now: datetime) -> bytes:
    """Return the answer to a Heartbeat, by which a charger sets its clock."""
    return msgspec.json.encode({"currentTime": time_text(now)})


def boot(now: datetime) -> bytes:
    """Return the answer to a BootNotification."""
    return msgspec.json.encode(
        {"currentTime": time_text(now), "interval": HEARTBEAT_S, "status": "Accepted"}
    )


def started(number: int) -> bytes:
    """Return the answer to a StartTransaction."""
    return msgspec.json.encode({"transactionId": number, "idTagInfo": {"status": "Accepted"}})


def stopped(*, has_token: bool) -> bytes:
    """Return the answer to a StopTransaction."""
    return _OF_1_6["Authorize"] if has_token else _NOTHING


def transaction_event(*, has_token: bool) -> bytes:
    """Return the answer to a TransactionEvent."""
    return _OF_2_0_1["Authorize"] if has_token else _NOTHING
