"""Ids, times, numbers and bodies that are almost right, or not at all."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime.now(UTC).replace(microsecond=0)

INSIDE = ["IN-V1", "IN-V2", "IN-V3", "IN-M1", "IN-M2", *(f"IN-new{n}" for n in range(20))]
OUTSIDE = ["OUTSIDE-V1", "OUTSIDE-V2", "OUTSIDE-M1", "OUTSIDE-M2"]
TRICKS = [
    *("OUTSIDE-V1/../IN-V1", "IN-V1/../x", "IN-V1\x00OUTSIDE-V1", "OUTSIDE-V1\nIN-V1"),
    *("outside-v1", "OUTSIDE-V1 ", " OUTSIDE-V1", "OUTSIDE\u2010V1", "\uff2fUTSIDE-V1", "IN-*"),
    *("*", "%", "IN-%", "IN-_1", "..", ".", "", "\u0130N-V1", "x" * 64, "x" * 65, "x" * 5000),
    *("' or true --", "IN-V1\\", "9" * 5000, "-1", "0", "1", "2", "3", "9223372036854775807"),
    *("9223372036854775808", "1e3", "\u0661", "+1", "1_0"),
]
SITES = ["north"] * 6 + ["nowhere", "east", "..", "", "n" * 65, "north\x00", None]
TIMES = [
    *((NOW - timedelta(hours=h)).isoformat() for h in (0, 1, 2, 3, 24, 24 * 399, -1, -24)),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z"),
    *("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-14:00", "2026-02-30T00:00:00Z"),
    *("2026-06-30T23:59:60Z", "2026-01-01T00:00:00", "2026-01-01", "now", ""),
    *("\u0662\u0660\u0662\u0666-01-01T00:00:00Z", "-4713-01-01T00:00:00Z", "infinity"),
]
KINDS = [
    *("vehicle_silent", "site_silent", "battery_hot", "dc_exceeds_ac", "readings_refused"),
    *("nothing", "a" * 300),
]
NUMBERS: list[Any] = [
    *(0, 1, -1, 1.5, 230, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 10**400),
    *(1e308, -1e308, 5e-324),
]
ODD: list[Any] = [
    *(None, True, False, "", "x", "\x00", "\ud800", "\U0001f600" * 50, "a" * 5000, [], {}),
    *([[]], {"a": {"b": []}}),
    *NUMBERS,
    *("1e999", "NaN", "null", "-0", "0x10", "\u202e", "\r\nX: y", "' or true --", "%s", "{0}"),
    *("$1", "\\"),
]
ZONES = [
    *("Europe/Berlin", "UTC", "utc", "", "../../etc/passwd", "Factory", "localtime", "Europe"),
    *("\x00", "right/UTC"),
]
ZONES += [
    *("America/Argentina/Ushuaia", "Etc/GMT+14", "posixrules", "Z" * 64, "Z" * 65, "CON"),
    "europe/berlin",
]
KEYED: list[Any] = [
    *("IN-V1", "OUTSIDE-V1", "", "\x00", "~", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59-14:00", 1, 0, -1, 2**63 - 1, 2**63, 10**30, 1e300, None, True, []),
    *({}, ["IN-V1", 1], [1.5, "IN-V1"], [2**63, "x"], ["2026-01-01T00:00:00Z", 2**63]),
    *(["a"] * 50, {"a": 1}, ["site", None], ["fleet", ""], ["vehicle", "\x00"]),
    *(["", "", "\x00"], ["IN-V1", "vehicle", ""]),
    *([at, "kwhConsumedAcTotal"] for at in TIMES),
    *([TIMES[3], TIMES[0], id_] for id_ in ("IN-V1", "OUTSIDE-V1", "\x00", None)),
    *(
        [TIMES[3], TIMES[0], value, "IN-V1"]
        for value in (None, 0, 1e308, -1e308, 5e-324, 2**63, "x")
    ),
    *([TIMES[11], TIMES[10], "IN-V1"], [TIMES[15], TIMES[0], 1.5, "IN-V1"]),
]
POOLS: dict[str, Sequence[Any]] = {
    "from": TIMES,
    "to": TIMES,
    "at": TIMES,
    "tz": ZONES,
    "bucket": ["quarterHour", "hour", "day", "month", "\x00"],
    "limit": [1, 2, 1000, 1001, 0, -1, 2**63, "1e3", "", "\u0661"],
    "sort": ["-loss", "vehicleId", "-vehicleId", "ratio", "-ratio", "efficiency", "", "id;drop"],
    "versions": ["all", "current", "", "x"],
    "only": ["states", "anomalies", "both", ""],
    "lastEventId": [
        *(0, 1, 5, -1, 2**63 - 1, 2**63, "9" * 19, "9" * 5000, "\u0663", "x", "", "0" * 400),
    ],
    "format": ["csv", "parquet", "xlsx", ""],
    "vehicleId": [*INSIDE, *OUTSIDE, *TRICKS],
    "meterId": [*INSIDE, *OUTSIDE, *TRICKS],
    "deviceId": [*INSIDE, *OUTSIDE, *TRICKS],
    "target": [*INSIDE, *OUTSIDE, "north", "OUTSIDE-site", *TRICKS],
    "site": ["north", "OUTSIDE-site", "nowhere", *TRICKS],
    "scope": ["fleet", "site", "vehicle", "meter", "x", ""],
    "kind": [*KINDS, "vehicle", "meter"],
    "status": ["open", "ended", "acknowledged", "resolved", "x", ""],
    "register": ["kwhExportedAcTotal", "kwhConsumedAcTotal", "kwhDeliveredDcTotal", "x", ""],
    "revoked": ["true", "false", "2", ""],
    "object": ["vehicle IN-V1", "meter OUTSIDE-M1", "key x", "\x00", "a" * 5000],
    "code": ["too_old", "invalid_value", "forbidden_device", "\x00", ""],
    "action": ["correct", "set", "x", ""],
    "who": ["test", "key:x", "\x00", ""],
}
BODIES: dict[str, Any] = {
    "PATCH": {
        "label": "l",
        "site": "north",
        "reportingIntervalS": 60,
        "timeZone": "UTC",
        "role": "charger",
    },
    "PUT /v1/vehicles": {"meterId": "IN-M2", "since": TIMES[2]},
    "POST /v1/meters": {
        "at": TIMES[2],
        "lastKwh": 2,
        "firstKwh": 0,
        "register": "kwhConsumedAcTotal",
    },
    "POST /v1/corrections": {
        "vehicleId": "IN-V1",
        "timestamp": TIMES[2],
        "powerKw": 8,
        "who": "w",
        "reason": "r",
    },
    "POST /v1/anomalies": {"who": "w", "note": "n"},
    "PUT /v1/rules": {
        "scope": "vehicle",
        "target": "IN-V1",
        "parameters": {"enabled": True},
        "who": "w",
    },
    "POST /v1/keys": {
        "name": "x",
        "scopes": ["read"],
        "devices": ["IN-*"],
        "sites": [],
        "expiresAt": None,
    },
    "POST /v1/webhooks": {"url": "http://127.0.0.1:1/", "format": "fleetmeter", "kinds": []},
    "POST /v1/session": {"key": f"fm_abcdef_{'0' * 48}"},
}
READING = {
    "vehicleId": {
        "vehicleId": "IN-V1",
        "soc": 72,
        "kwhDeliveredDc": 1.2,
        "batteryTemp": 36,
        "timestamp": TIMES[1],
    },
    "meterId": {"meterId": "IN-M1", "kwhConsumedAc": 1.5, "voltage": 230, "timestamp": TIMES[1]},
}
FIELDS = [
    *("meterId", "vehicleId", "sessionId", "odometerKm", "kwhConsumedAcTotal", "intervalStart"),
    *("powerKw", "reset"),
]
