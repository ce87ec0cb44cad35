"""No frame is a defect: each call is answered, and the connection goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLES, SLOW_EXAMPLES, Service, on_migrated, running_service
from tests.support.charge_points import charger, minutes_ago, text

pytestmark = [pytest.mark.either, pytest.mark.slow]

WORDS = st.sampled_from(
    [
        *("Started", "Updated", "Ended", "Wh", "kWh", "W", "V", "Percent", "L1", "L1-N", "L2-L3"),
        *("EV", "Inlet", "Outlet", "SoC", "Voltage", "Temperature", "Power.Active.Import", "Raw"),
        *("Energy.Active.Import.Register", "Energy.Active.Import.Interval", "Sample.Clock"),
        *("Transaction.Begin", "SignedData"),
    ]
)
SCALARS: st.SearchStrategy[Any] = (
    WORDS
    | st.sampled_from([0, -1, 1, 2, 12345, 1e9, 1e308, -5.5, None, True, "", "0", "1e999", "NaN"])
    | st.builds(lambda minutes: text(minutes_ago(minutes)), st.integers(-600, 10_000))
    | st.sampled_from(["2026-02-30T00:00:00Z", "yesterday", "0001-01-01T00:00:00+23:59"])
    | st.text(max_size=70)
)
KEYS = st.sampled_from(
    [
        *("connectorId", "evseId", "transactionId", "meterValue", "timestamp", "sampledValue"),
        *("idTag", "idToken", "meterStart", "meterStop", "transactionData", "reason", "id"),
        *("eventType", "evse", "transactionInfo", "stoppedReason", "chargingStation", "model"),
    ]
)
PAYLOADS: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)
ACTIONS = {
    "ocpp1.6": ("MeterValues", "StartTransaction", "StopTransaction", "BootNotification"),
    "ocpp2.0.1": ("MeterValues", "TransactionEvent", "BootNotification"),
}


ANY = st.one_of(
    WORDS, SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(KEYS, SCALARS, max_size=2)
)
SAMPLED: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"value": SCALARS, "measurand": WORDS | ANY},
    optional=dict.fromkeys(("phase", "location", "context", "unit", "format"), WORDS | ANY)
    | {"unitOfMeasure": st.fixed_dictionaries({"unit": ANY, "multiplier": ANY}) | ANY},
)


def shaped(version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads that are nearly right, with anything in any place."""
    moments = st.lists(
        st.fixed_dictionaries(
            {"timestamp": SCALARS, "sampledValue": st.lists(SAMPLED, min_size=1, max_size=5)}
        ),
        min_size=1,
        max_size=3,
    )
    numbers = st.one_of(*[st.integers(-2, 3)] * 4, SCALARS)
    if version == "ocpp1.6":
        known = {"connectorId": numbers, "transactionId": numbers, "meterStart": numbers}
        return st.fixed_dictionaries(
            known | {"meterStop": numbers, "timestamp": SCALARS, "meterValue": moments},
            optional={"idTag": SCALARS, "transactionData": moments},
        )
    return st.fixed_dictionaries(
        {
            "eventType": WORDS,
            "timestamp": SCALARS,
            "evse": st.fixed_dictionaries({"id": numbers}) | SCALARS,
            "evseId": numbers,
            "transactionInfo": st.fixed_dictionaries({"transactionId": SCALARS}),
            "meterValue": moments,
        },
        optional={"idToken": st.fixed_dictionaries({"idToken": SCALARS}) | PAYLOADS},
    )


@pytest.fixture(scope="module")
def hostile(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    environ = {"FLEETMETER_MAPPING": "depot.toml", "FLEETMETER_OCPP_SAMPLE_S": "0"}
    rules = '[[chargePoints]]\nconnector = 2\nmeasures = "dc"\n'
    (folder / "depot.toml").write_text(rules + '[[chargePoints]]\nregister = "session"\n')
    with running_service(folder, on_migrated(database_url) | environ) as running:
        yield running
        log = running.log.read_text()
        assert "a call failed" not in log, log
        assert "request failed" not in log, log
        assert "Traceback" not in log, log


@pytest.mark.parametrize("version", ACTIONS)
@settings(SLOW_EXAMPLES, max_examples=30 * EXAMPLES)
@given(data=st.data())
def test_every_call_is_answered(hostile: Service, version: str, data: st.DataObject) -> None:
    payloads = st.one_of(shaped(version), shaped(version), PAYLOADS)
    actions = st.sampled_from(ACTIONS[version])
    calls = data.draw(st.lists(st.tuples(actions, payloads), min_size=1, max_size=8))
    with charger(hostile.base_url, "CP", version) as cp:
        for number, (action, payload) in enumerate(calls):
            cp.send(json.dumps([2, number, action, payload]))
            answer = cp.answer()
            assert answer[1] == number
            if answer[0] == 4:
                assert "InternalError" not in answer[2], (action, payload, answer)
        assert cp.call("Heartbeat", {})
