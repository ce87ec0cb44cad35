"""Frames of OCPP-J are read as chargers write them, and nothing that comes in is a defect."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetmeter.inputs.ocpp import framing
from fleetmeter.inputs.ocpp.framing import Answer, Call, CallError, FrameError
from fleetmeter.inputs.ocpp.payloads import (
    BootNotification,
    Configuration,
    MeterValues,
    StartTransaction,
    StopTransaction,
    TransactionEvent,
    Variables,
    decoded,
)

PAYLOADS = (
    BootNotification,
    Configuration,
    MeterValues,
    StartTransaction,
    StopTransaction,
    TransactionEvent,
    Variables,
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = sorted({field for kind in PAYLOADS for field in kind.__struct_fields__} | {"sampledValue"})


@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), JSON))
@example(b'[2,"1","A"')
@example(b"[" * 100_000)
@example(b'[2,"\xff","A",{}]')
def test_what_is_no_frame_is_refused(message: bytes) -> None:
    try:
        frame = framing.parse(message)
    except FrameError:
        return
    assert frame is None or isinstance(frame, Call | Answer)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (b'[2,"1","A",{"a":NaN,"b":[-Infinity,1.5]}]', {"a": "NaN", "b": ["-Infinity", 1.5]}),
        (b'\xef\xbb\xbf[2,"1","A",{"a":5}]', {"a": 5}),
    ],
)
def test_numbers_that_are_none_and_a_byte_order_mark_cost_no_message(
    message: bytes, payload: object
) -> None:
    call = framing.parse(message)
    assert isinstance(call, Call)
    assert (call.id, call.action, json.loads(call.payload)) == (b'"1"', "A", payload)


@pytest.mark.parametrize(
    ("message", "call_id"),
    [
        (b'[2,"a-1","A",{"a":01}]', b'"a-1"'),
        (b' [ 2 , "a-1" , "A", {', b'"a-1"'),
        (b'[2,"a\\","A",{', None),
        (b'[2,"\xff","A",{', None),
        (b'[3,"a-1",{', None),
    ],
)
def test_a_call_that_is_no_json_is_answered_by_its_id(message: bytes, call_id: object) -> None:
    with pytest.raises(FrameError) as refused:
        framing.parse(message)
    assert refused.value.call_id == call_id


@given(st.integers() | st.text(max_size=36), st.text(min_size=1, max_size=50))
def test_an_id_comes_back_as_it_was_sent(id_: object, action: str) -> None:
    call = framing.parse(json.dumps([2, id_, action, {"a": 1}]).encode())
    assert isinstance(call, Call)
    assert (call.action, json.loads(call.payload)) == (action, {"a": 1})
    assert json.loads(framing.result(call.id, b"{}")) == [3, id_, {}]
    error = framing.error(call.id, "FormationViolation", 'a "quote"', is_version_2=True)
    assert json.loads(error) == [4, id_, "FormatViolation", 'a "quote"', {}]


def test_a_call_without_a_payload_has_an_empty_one() -> None:
    assert framing.parse(b'[2,"1","Heartbeat"]') == Call(b'"1"', "Heartbeat", b"{}")


def test_what_follows_a_call_is_skipped() -> None:
    message = b'[2,"1","Heartbeat",{"a":1}' + b",0" * 500_000 + b"]"
    assert framing.parse(message) == Call(b'"1"', "Heartbeat", b'{"a":1}')


@pytest.mark.parametrize("end", [b"", b",0"], ids=["as it should be", "deviating"])
def test_a_payload_of_very_many_records_is_refused(end: bytes) -> None:
    payload = b'{"connectorId":1,"meterValue":[%b%b]}' % (b",".join([b"{}"] * 300_000), end)
    with pytest.raises(CallError, match="more than 40,000 records"):
        decoded(payload, MeterValues)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b'[3,"fm-1",{"status":"Accepted"}]', Answer("fm-1", b'{"status":"Accepted"}', None)),
        (b'[3,"fm-1"]', Answer("fm-1", b"{}", None)),
        (b'[4,"fm-1","NotSupported","no",{}]', Answer("fm-1", b"{}", '"NotSupported" "no"')),
        (b'[4,"fm-1"]', Answer("fm-1", b"{}", "an error")),
        (b'[5,"fm-1","InternalError","",{}]', None),
        (b'[6,"x","NotifyPeriodicEventStream",{}]', None),
    ],
)
def test_answers_to_calls_of_ours(message: bytes, answer: Answer | None) -> None:
    assert framing.parse(message) == answer


@given(
    st.sampled_from(PAYLOADS),
    st.dictionaries(
        st.sampled_from(FIELDS),
        JSON | st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=3),
    ),
)
def test_a_payload_is_decoded_or_refused(kind: Any, payload: dict[str, Any]) -> None:
    with suppress(CallError):
        assert isinstance(decoded(json.dumps(payload).encode(), kind), kind)


@pytest.mark.parametrize(
    ("payload", "times"),
    [
        ({"connectorId": "1", "meterValue": [{"timestamp": "t", "sampledValue": []}]}, ["t"]),
        (
            {"connectorId": 1.0, "meterValue": {"timestamp": "t", "sampledValue": {"value": 5}}},
            ["t"],
        ),
        (
            {"connectorId": 1, "meterValue": [None, 5, {"timestamp": "t", "sampledValue": None}]},
            ["t"],
        ),
        ({"connectorId": 1, "meterValue": None, "more": [{}]}, []),
        ({"evseId": 1, "customData": {"vendorId": "x"}}, []),
    ],
)
def test_meter_values_are_read_where_they_deviate(payload: Any, times: list[str]) -> None:
    found = decoded(json.dumps(payload).encode(), MeterValues)
    assert found.outlet == 1
    assert [each.timestamp for each in found.meterValue or ()] == times
