"""Shows what becomes of a frame of OCPP, without a charge point or a database. Pure."""

from datetime import UTC, datetime

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.mapping.charge_points import ChargePoints
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.ocpp import framing
from fleetmeter.inputs.ocpp.framing import Call, CallError, FrameError
from fleetmeter.inputs.ocpp.payloads import (
    MeterValue,
    MeterValues,
    StartTransaction,
    StopTransaction,
    TransactionEvent,
    decoded,
    whole,
)
from fleetmeter.inputs.ocpp.readings import (
    Charging,
    counted_once,
    moments_of,
    readings_of,
    session_id_of,
)
from fleetmeter.readings.decode import Item
from fleetmeter.readings.ocpp import SampledValue

OWN_VEHICLE = "(the token's)"
"""The vehicle of a transaction that nobody knows."""

_FIRST = 1


def taken(rules: ChargePoints, charge_point: str, frame: str) -> tuple[list[Item], list[Untaken]]:
    """Return the readings that a frame gives, and what is not taken of it.

    Its transaction is taken to have begun at 0 kWh, with the token of a vehicle. Raises
    FleetMeterError.
    """
    try:
        call = framing.parse(frame.encode())
        if not isinstance(call, Call):
            raise FrameError("the frame is not a call")
        connector, called, values = _said(call)
    except (FrameError, CallError) as error:
        raise FleetMeterError(f"the frame cannot be read: {error}") from None
    outlet = rules.outlet(charge_point, _FIRST if connector is None else connector)
    arrival = datetime.now(UTC)
    moments, wrong = moments_of(values, arrival, by_arrival=outlet.rule.stampByArrival)
    counted_once(moments, {}, outlet.connector)
    untaken: list[Untaken] = []
    session_id = None if called is None else session_id_of(called)
    charging = Charging(session_id, OWN_VEHICLE, 0.0)
    return [*readings_of(outlet, charging, moments, untaken.append), *wrong], untaken


def _said(call: Call) -> tuple[int | None, object, list[MeterValue]]:
    """Return the outlet, the transaction and the meter values of a call. Raises CallError."""
    match call.action:
        case "MeterValues":
            values = decoded(call.payload, MeterValues)
            return values.outlet, values.transactionId, values.meterValue or []
        case "StartTransaction":
            start = decoded(call.payload, StartTransaction)
            return whole(start.connectorId), "new", [_register(start.timestamp, start.meterStart)]
        case "StopTransaction":
            stop = decoded(call.payload, StopTransaction)
            register = _register(stop.timestamp, stop.meterStop)
            return None, stop.transactionId, [*(stop.transactionData or ()), register]
        case "TransactionEvent":
            event = decoded(call.payload, TransactionEvent)
            return event.outlet, event.called, event.meterValue or []
        case _:
            raise CallError("NotImplemented", f"{call.action} has no meter values")


def _register(timestamp: object, value: object) -> MeterValue:
    return MeterValue(timestamp, [] if value is None else [SampledValue(value)])
