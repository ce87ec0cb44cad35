"""Answers the calls that say something to store: once it is stored, and the same again."""

from fleetmeter.devices.transactions import InvalidTransactionError
from fleetmeter.inputs.ocpp.framing import Call, CallError
from fleetmeter.inputs.ocpp.memory import digest_of
from fleetmeter.inputs.ocpp.payloads import (
    MeterValues,
    StartTransaction,
    StopTransaction,
    TransactionEvent,
    decoded,
)
from fleetmeter.inputs.ocpp.recording import Recorder
from fleetmeter.inputs.ocpp.storing import Message


async def recorded(
    recorder: Recorder, call: Call, message: Message, *, is_version_2: bool
) -> bytes:
    """Return the payload of a call's result, once what it says is stored.

    A call that is sent again gets the answer that it got. Raises CallError.
    """
    digest = digest_of(call.id, call.action.encode(), call.payload)
    if (answered := message.memory.answer(digest)) is not None:
        return answered
    try:
        answer = await _answer(recorder, call, message, is_version_2)
    except InvalidTransactionError as error:
        raise CallError("PropertyConstraintViolation", str(error)) from None
    message.memory.answered(digest, answer)
    return answer


async def _answer(recorder: Recorder, call: Call, message: Message, is_version_2: bool) -> bytes:
    match call.action:
        case "MeterValues":
            return await recorder.meter_values(message, decoded(call.payload, MeterValues))
        case "StartTransaction" if not is_version_2:
            start = decoded(call.payload, StartTransaction)
            return await recorder.start_transaction(message, start)
        case "StopTransaction" if not is_version_2:
            stop = decoded(call.payload, StopTransaction)
            return await recorder.stop_transaction(message, stop)
        case "TransactionEvent" if is_version_2:
            event = decoded(call.payload, TransactionEvent)
            return await recorder.transaction_event(message, event)
        case _:
            raise CallError("NotImplemented", f"there is no action {call.action[:50]}")
