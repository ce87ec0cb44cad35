"""Writes what is really wrong in a fleet: what rules should find, and what they may."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fleetmeter.anomalies.model import Subject
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.model import kwh, time_of
from fleetmeter_simulator.devices.registers import Exchange
from fleetmeter_simulator.fleet import Fleet


def write_truth(path: Path, fleet: Fleet, seed: int, until: datetime) -> None:
    """Write what is known once the fleet has got to `until`. Raises FleetMeterError."""
    truth = {
        "seed": seed,
        "from": fleet.start,
        "to": until,
        "faults": [_plain(fault) for fault in fleet.faults],
        "acceptable": [_plain(each) for each in fleet.acceptable],
        "exchanges": [_exchange(each) for each in fleet.exchanges],
    }
    text = msgspec.json.format(msgspec.json.encode(truth))
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise FleetMeterError(f"{path} cannot be written: {error.strerror or error}") from error


def _exchange(exchange: Exchange) -> dict[str, Any]:
    stated_us = exchange.stated_us
    return {
        "meterId": exchange.meter_id,
        "at": time_of(exchange.at_us),
        "lastKwh": kwh(exchange.last_mwh),
        "firstKwh": kwh(exchange.first_mwh),
        "statedAt": None if stated_us is None else time_of(stated_us),
    }


def _plain(found: msgspec.Struct) -> dict[str, Any]:
    """Convert to plain values, named as in the API."""
    plain: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(found).items():
        if isinstance(value, Subject):
            plain |= {"deviceKind": value.device_kind, "deviceId": value.device_id}
        else:
            first, *rest = name.split("_")
            plain[first + "".join(part.title() for part in rest)] = value
    return plain
