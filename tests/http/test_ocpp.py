"""Charge points connect by OCPP-J, and what they say is stored before they are answered."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from ocpp.messages import MessageType, get_validator
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from fleetmeter.inputs.ocpp.answers import ANSWERS
from tests.conftest import Db, Service, eventually, on_migrated, running_service
from tests.support.charge_points import (
    ENERGY,
    CallError,
    charger,
    meter_value,
    minutes_ago,
    text,
)

pytestmark = pytest.mark.either

ADMIN = "fm_admin00001_" + "a" * 48
RULES = """
[[chargePoints]]
chargePoint = "*-dc"
connector = 1
measures = "dc"
meterId = "{chargePoint}/grid"

[[chargePoints]]
chargePoint = "*-kwh"
energyUnit = "kWh"

[[chargePoints]]
chargePoint = "*-late"
stampByArrival = true

[[chargePoints]]
chargePoint = "*-zero"
register = "session"
"""


@pytest.fixture(scope="module")
def ocpp(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with rules for charge points, and an admin key."""
    folder = tmp_path_factory.mktemp("ocpp")
    (folder / "depot.toml").write_text(RULES)
    environ = {"FLEETMETER_MAPPING": "depot.toml", "FLEETMETER_ADMIN_KEY": ADMIN}
    with running_service(folder, on_migrated(database_url) | environ) as running:
        yield running
        log = running.log.read_text()
        assert "a call failed" not in log, log
        assert "request failed" not in log, log


@pytest.fixture
def base_url(ocpp: Service) -> str:
    return ocpp.base_url


@pytest.fixture(scope="module")
def admin(ocpp: Service) -> Iterator[httpx.Client]:
    """A client with the admin key."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=ocpp.base_url, headers=headers, timeout=30) as client:
        yield client


def registers(db: Db, meter: str) -> list[tuple[datetime, int]]:
    """The times and the Wh on the register of a meter's readings."""
    rows = db.fetch(
        "select time, register_mwh from meter_readings where meter_id = $1 order by time", meter
    )
    return [(row["time"], row["register_mwh"] // 1000) for row in rows]


# -- 1.6 ------------------------------------------------------------------------------------------


def test_meter_values_are_stored_before_they_are_answered(base_url: str, db: Db, uid: str) -> None:
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        for minutes, wh in ((3, 1000), (2, 1500), (1, 2100)):
            assert cp.energy(minutes_ago(minutes), wh) == {}
            assert registers(db, f"{uid}cp-1")[-1][1] == wh


def test_a_transaction_is_recorded_from_start_to_stop(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    start, stop = minutes_ago(30), minutes_ago(10)
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        begun = cp.call(
            "StartTransaction",
            {"connectorId": 2, "idTag": f"{uid}A", "meterStart": 1000, "timestamp": text(start)},
        )
        number = begun["transactionId"]
        cp.energy(minutes_ago(20), 4000, 2, transactionId=number)
        ended = {
            "transactionId": number,
            "idTag": f"{uid}A",
            "meterStop": 8000,
            "timestamp": text(stop),
            "reason": "EVDisconnected",
            "transactionData": [meter_value(minutes_ago(15), 6000)],
        }
        assert cp.call("StopTransaction", ended) == {"idTagInfo": {"status": "Accepted"}}
    assert [wh for _, wh in registers(db, f"{uid}cp-2")] == [1000, 4000, 6000, 8000]
    row = db.fetch("select * from transactions where number = $1", number)[0]
    assert (row["started_at"], row["ended_at"], row["reason"]) == (start, stop, "EVDisconnected")
    assert (row["register_start_mwh"], row["register_end_mwh"]) == (1_000_000, 8_000_000)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_every_answer_is_one_that_the_schema_allows(base_url: str, uid: str, version: str) -> None:
    with charger(base_url, f"{uid}cp", f"ocpp{version}", key=ADMIN) as cp:
        for action in ANSWERS[f"ocpp{version}"]:  # type: ignore[index]
            cp.call(action, {})
        now = datetime.fromisoformat(cp.call("Heartbeat", {})["currentTime"])
        assert abs((datetime.now(UTC) - now).total_seconds()) < 60
        assert cp.call("BootNotification", {})["status"] == "Accepted"


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
def test_what_is_not_known_or_malformed_is_answered_with_an_error(
    base_url: str, uid: str, version: str
) -> None:
    formation = "FormationViolation" if version == "ocpp1.6" else "FormatViolation"
    other = "TransactionEvent" if version == "ocpp1.6" else "StopTransaction"
    with charger(base_url, f"{uid}cp", version, key=ADMIN) as cp:
        for odd in (5, [{"sampledValue": [1]}, 5], {"sampledValue": {"value": 1}}, None):
            assert cp.call("MeterValues", {"connectorId": "1", "meterValue": odd}) == {}
        for action, payload, code in (
            ("Unheard", {}, "NotImplemented"),
            ("MeterValues", {"connectorId": [], "meterValue": []}, "ConstraintViolation"),
            ("MeterValues", [], formation),
            (other, {}, "NotImplemented"),
        ):
            with pytest.raises(CallError, match=code):
                cp.call(action, payload)
        cp.send([2, "x"])
        assert cp.answer()[:3] == [4, "x", formation]
        for rubbish in ("", "{}", "[]", "[2]", "nonsense", '[2,["x"],"A",{}]', "[9,1,2]", "[" * 99):
            cp.send(rubbish)
        cp.socket.send(b"\xff\xfe")
        assert cp.call("Heartbeat", {})  # it goes on


def test_the_charge_points_of_the_library_are_content(base_url: str, db: Db, uid: str) -> None:
    """Their own validation is on, for what they send and for what they get."""
    from ocpp import v16, v201

    at = [text(minutes_ago(5 - n)) for n in range(3)]
    info, evse = {"transaction_id": f"{uid}tx"}, {"id": 1}

    def sample(time: str, value: Any) -> dict[str, Any]:
        return {"timestamp": time, "sampled_value": [{"value": value}]}

    async def charge_1_6(cp: v16.ChargePoint) -> None:
        begun = await cp.call(v16.call.StartTransaction(1, "TAG", 100, at[0]), suppress=False)
        assert begun.id_tag_info["status"] == "Accepted"
        number = begun.transaction_id
        values = [sample(at[1], "200")]
        await cp.call(v16.call.MeterValues(1, values, number), suppress=False)
        await cp.call(v16.call.StopTransaction(300, at[2], number), suppress=False)

    async def charge_2_0_1(cp: v201.ChargePoint) -> None:
        for number, (kind, time) in enumerate(
            zip(("Started", "Updated", "Ended"), at, strict=True)
        ):
            await cp.call(
                v201.call.TransactionEvent(
                    event_type=kind,
                    timestamp=time,
                    trigger_reason="Trigger",
                    seq_no=number,
                    transaction_info=info,
                    evse=evse,
                    id_token={"id_token": "TAG", "type": "ISO14443"},
                    meter_value=[sample(time, 100.0 * (1 + number))],
                ),
                suppress=False,
            )

    async def charge(version: Any, protocol: str, work: Any) -> None:
        url = f"ws{base_url.removeprefix('http')}/ocpp/{uid}{protocol}"
        headers = {"Authorization": f"Bearer {ADMIN}"}
        async with connect_async(
            url, subprotocols=[Subprotocol(protocol)], additional_headers=headers, proxy=None
        ) as socket:
            cp = version.ChargePoint(f"{uid}{protocol}", socket)
            reading = asyncio.create_task(cp.start())
            heartbeat = await cp.call(version.call.Heartbeat(), suppress=False)
            assert heartbeat.current_time
            await work(cp)
            reading.cancel()

    asyncio.run(charge(v16, "ocpp1.6", charge_1_6))
    asyncio.run(charge(v201, "ocpp2.0.1", charge_2_0_1))
    for protocol in ("ocpp1.6", "ocpp2.0.1"):
        assert [wh for _, wh in registers(db, f"{uid}{protocol}-1")] == [100, 200, 300]


# -- 2.0.1 ----------------------------------------------------------------------------------------


def event(kind: str, at: datetime, called: str, **more: Any) -> dict[str, Any]:
    """A TransactionEvent."""
    info = {"transactionId": called} | more.pop("info", {})
    return {
        "eventType": kind,
        "timestamp": text(at),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 0,
        "transactionInfo": info,
    } | more


def sampled(at: datetime, wh: float, **more: Any) -> list[Any]:
    """Meter values of 2.0.1 with a register in kWh, written with a power of ten."""
    value = {"value": wh / 1000, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}} | more
    return [{"timestamp": text(at), "sampledValue": [value]}]


def test_a_transaction_of_2_0_1_is_recorded(base_url: str, db: Db, uid: str) -> None:
    began, ended = minutes_ago(30), minutes_ago(5)
    with charger(base_url, f"{uid}cp", "ocpp2.0.1", key=ADMIN) as cp:
        started = event("Started", began, f"{uid}tx", evse={"id": 3, "connectorId": 1})
        assert cp.call("TransactionEvent", started | {"meterValue": sampled(began, 500)}) == {}
        token = {"idToken": f"{uid}token", "type": "ISO14443"}
        authorized = event("Updated", minutes_ago(29), f"{uid}tx", idToken=token)
        answer = cp.call("TransactionEvent", authorized)
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        now = minutes_ago(20)
        updated = event("Updated", now, f"{uid}tx", meterValue=sampled(now, 2500))
        assert cp.call("TransactionEvent", updated) == {}
        info = {"stoppedReason": "EVDisconnected"}
        last = event("Ended", ended, f"{uid}tx", meterValue=sampled(ended, 4500), info=info)
        cp.call("TransactionEvent", last)
        now = minutes_ago(1)
        cp.call("MeterValues", {"evseId": 3, "meterValue": sampled(now, 4500)})
    assert [wh for _, wh in registers(db, f"{uid}cp-3")] == [500, 2500, 4500, 4500]
    row = db.fetch("select * from transactions where own_id = $1", f"{uid}tx")[0]
    assert (row["started_at"], row["ended_at"], row["token"]) == (began, ended, f"{uid}token")
    assert (row["register_start_mwh"], row["register_end_mwh"]) == (500_000, 4_500_000)
    assert row["reason"] == "EVDisconnected"


def test_a_start_may_be_completed_by_what_follows(base_url: str, db: Db, uid: str) -> None:
    """A cable is plugged in; then a card is shown, and only then is energy metered."""
    began, charges = minutes_ago(30), minutes_ago(20)
    with charger(base_url, f"{uid}cp", "ocpp2.0.1", key=ADMIN) as cp:
        cp.call("TransactionEvent", event("Started", began, f"{uid}tx", evse={"id": 1}))
        token = {"idToken": f"{uid}token", "type": "ISO14443"}
        first = sampled(charges, 700, context="Transaction.Begin")
        told = event("Updated", charges, f"{uid}tx", idToken=token, meterValue=first)
        cp.call("TransactionEvent", told)
        ended = sampled(minutes_ago(1), 900, context="Transaction.End")
        last = event("Ended", minutes_ago(1), f"{uid}tx", meterValue=[*first, *ended])
        cp.call("TransactionEvent", last)
    row = db.fetch("select * from transactions where own_id = $1", f"{uid}tx")[0]
    assert (row["started_at"], row["token"]) == (began, f"{uid}token")
    assert (row["register_start_mwh"], row["register_end_mwh"]) == (700_000, 900_000)


def test_an_end_without_a_start_is_recorded(base_url: str, db: Db, uid: str) -> None:
    ended = minutes_ago(5)
    with charger(base_url, f"{uid}cp", "ocpp2.0.1", key=ADMIN) as cp:
        nowhere = event("Updated", ended, f"{uid}tx", meterValue=sampled(ended, 800))
        assert cp.call("TransactionEvent", nowhere) == {}
        last = event("Ended", ended, f"{uid}tx", evse={"id": 1}, meterValue=sampled(ended, 900))
        assert cp.call("TransactionEvent", last) == {}
    assert registers(db, f"{uid}cp-1") == [(ended, 900)]
    row = db.fetch("select * from transactions where own_id = $1", f"{uid}tx")[0]
    assert (row["started_at"], row["ended_at"]) == (None, ended)


def test_what_comes_after_the_end_of_its_transaction_is_stored(
    base_url: str, db: Db, uid: str
) -> None:
    began, between, ended = minutes_ago(30), minutes_ago(15), minutes_ago(5)
    with charger(base_url, f"{uid}cp", "ocpp2.0.1", key=ADMIN) as cp:
        for sent in (
            event("Ended", ended, f"{uid}tx", evse={"id": 1}, meterValue=sampled(ended, 900)),
            event("Updated", between, f"{uid}tx", meterValue=sampled(between, 800)),
            event("Started", began, f"{uid}tx", evse={"id": 1}, meterValue=sampled(began, 700)),
        ):
            cp.call("TransactionEvent", sent)
    assert registers(db, f"{uid}cp-1") == [(began, 700), (between, 800), (ended, 900)]


# -- Vehicles -------------------------------------------------------------------------------------


def own_vehicle(admin: httpx.Client, uid: str) -> str:
    """Let a token stand for a vehicle; its id."""
    told = {"vehicleId": f"{uid}EV", "since": text(minutes_ago(120))}
    answer = admin.put(f"/v1/tokens/{uid}TAG", json=told)
    answer.raise_for_status()
    return f"{uid}EV"


def test_what_an_outlet_of_direct_current_measures_is_the_vehicles(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    vehicle = own_vehicle(admin, uid)
    with charger(base_url, f"{uid}-dc", key=ADMIN) as cp:
        for first, begin in ((50_000, 60), (65_000, 30)):
            tag = {"connectorId": 1, "idTag": f"{uid}TAG"}
            at = text(minutes_ago(begin))
            started = tag | {"meterStart": first, "timestamp": at}
            number = cp.call("StartTransaction", started)["transactionId"]
            for minutes, wh in ((begin - 10, first + 4_000), (begin - 20, first + 15_000)):
                values = [
                    {"value": str(wh), "measurand": ENERGY},
                    {"value": str(1.1 * wh), "measurand": ENERGY, "location": "Inlet"},
                    {"value": "55", "measurand": "SoC", "location": "EV", "unit": "Percent"},
                    {"value": "400", "measurand": "Voltage"},
                ]
                moment = {"timestamp": text(minutes_ago(minutes)), "sampledValue": values}
                payload = {"connectorId": 1, "transactionId": number, "meterValue": [moment]}
                cp.call("MeterValues", payload)
            at = text(minutes_ago(begin - 25))
            stop = {"transactionId": number, "meterStop": first + 15_000, "timestamp": at}
            cp.call("StopTransaction", stop)
    rows = db.fetch(
        "select energy_mwh, soc_bp, meter_id from vehicle_readings where vehicle_id = $1"
        " order by time",
        vehicle,
    )
    energies = [(row["energy_mwh"] or 0) // 1_000_000 for row in rows]
    assert energies == [0, 4, 11, 0] * 2
    assert {row["meter_id"] for row in rows[:3]} == {f"{uid}-dc/grid"}
    assert rows[1]["soc_bp"] == 5500
    grid = registers(db, f"{uid}-dc/grid")
    assert [wh for _, wh in grid] == [59_400, 71_500, 75_900, 88_000]
    assert db.value("select count(*) from meter_readings where voltage_mv = 400000") == 0


def test_the_state_of_charge_is_of_the_vehicle_of_the_token(
    base_url: str, admin: httpx.Client, uid: str
) -> None:
    own_vehicle(admin, uid)
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        for connector, tag in ((1, f"{uid}TAG"), (2, f"{uid}OTHER")):
            started = {"connectorId": connector, "idTag": tag, "meterStart": 0}
            at = {"timestamp": text(minutes_ago(10))}
            number = cp.call("StartTransaction", started | at)["transactionId"]
            values = [{"value": f"{60 + connector}", "measurand": "SoC", "location": "EV"}]
            moment = {"timestamp": text(minutes_ago(5)), "sampledValue": values}
            payload = {"connectorId": connector, "transactionId": number, "meterValue": [moment]}
            cp.call("MeterValues", payload)
    assert admin.get(f"/v1/vehicles/{uid}EV").json()["soc"] == 61
    untaken = admin.get("/v1/inputs").json()["untaken"]
    assert "no_vehicle" in {each["reason"] for each in untaken if each["protocol"] == "ocpp"}


# -- What chargers do -----------------------------------------------------------------------------


def test_measurands_in_meter_values_of_their_own_are_one_reading(
    base_url: str, db: Db, uid: str
) -> None:
    at = minutes_ago(5)
    energy = [
        {"value": "100", "measurand": ENERGY, "phase": phase, "unit": "Wh"}
        for phase in ("L1", "L2", "L3")
    ]
    others: list[dict[str, Any]] = [
        {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW"},
        {"value": "398.4", "measurand": "Voltage", "phase": "L1-L2"},
        {"value": "16", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
        {"value": "22", "measurand": "Temperature", "location": "Body"},
    ]
    alone = [{"timestamp": text(at), "sampledValue": [each]} for each in (*energy, *others)]
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        cp.call("MeterValues", {"connectorId": 1, "meterValue": alone})
        apart = [{"timestamp": text(at), "sampledValue": [{"value": "300"}]}]
        cp.call("MeterValues", {"connectorId": 1, "meterValue": apart})  # a message of its own
    [row] = db.fetch("select * from meter_readings where meter_id = $1", f"{uid}cp-1")
    assert (row["register_mwh"], row["power_w"], row["voltage_mv"]) == (300_000, 7400, 230_016)


def test_a_moment_that_is_said_twice_is_one_reading(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    """With whole watt-hours at the start, and then with decimals; no conflict is counted."""
    at = minutes_ago(5)
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": text(at)}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        number = cp.call("StartTransaction", begin)["transactionId"]
        values = meter_value(at, "1000.4", context="Transaction.Begin")
        values["sampledValue"].append({"value": "3", "measurand": "Power.Active.Import"})
        cp.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [values]})
        clock = meter_value(at, "1000.5", context="Sample.Clock")
        cp.call("MeterValues", {"connectorId": 1, "meterValue": [clock]})
    [row] = db.fetch("select * from meter_readings where meter_id = $1", f"{uid}cp-1")
    assert (row["register_mwh"], row["power_w"]) == (1_000_000, 3)
    rejections = admin.get("/v1/rejections", params={"limit": 1000}).json()["items"]
    assert not [each for each in rejections if uid in json.dumps(each)]


def test_a_long_transaction_ends_with_all_of_its_samples(base_url: str, db: Db, uid: str) -> None:
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": text(minutes_ago(3000))}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        number = cp.call("StartTransaction", begin)["transactionId"]
        samples = [meter_value(minutes_ago(2900 - n), 10 * n) for n in range(2800)]
        stop = {"transactionId": number, "meterStop": 30_000, "timestamp": text(minutes_ago(5))}
        cp.call("StopTransaction", stop | {"transactionData": samples})
    assert len(registers(db, f"{uid}cp-1")) == 2802


@pytest.mark.parametrize(
    ("connector", "code"),
    [
        (-1, "PropertyConstraintViolation"),
        (2**31, "PropertyConstraintViolation"),
        (None, "OccurenceConstraintViolation"),
        (1.5, "OccurenceConstraintViolation"),
    ],
)
def test_what_cannot_be_an_outlet_gets_no_meter(
    base_url: str, db: Db, uid: str, connector: object, code: str
) -> None:
    values = {"connectorId": connector, "meterValue": [meter_value(minutes_ago(5), 100)]}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp, pytest.raises(CallError, match=code):
        cp.call("MeterValues", values)
    assert not registers(db, f"{uid}cp-{connector}")


def test_a_start_that_cannot_be_recorded_is_answered_with_an_error(base_url: str, uid: str) -> None:
    begin = {"connectorId": -1, "idTag": "A" * 100, "meterStart": 0}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        with pytest.raises(CallError, match="PropertyConstraintViolation"):
            cp.call("StartTransaction", begin)
        assert cp.call("StartTransaction", begin | {"connectorId": 1})["transactionId"] > 0
        for action in ("StartTransaction", "MeterValues"):
            with pytest.raises(CallError, match="OccurenceConstraintViolation"):
                cp.call(action, {})
        assert cp.call("StopTransaction", {"transactionId": 1_000_000}) == {}


def test_registers_that_begin_with_each_transaction(base_url: str, db: Db, uid: str) -> None:
    with charger(base_url, f"{uid}-zero", key=ADMIN) as cp:
        for begin, last in ((60, 9000), (30, 12_000)):
            at = text(minutes_ago(begin))
            started = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": at}
            number = cp.call("StartTransaction", started)["transactionId"]
            cp.energy(minutes_ago(begin - 10), last / 2, transactionId=number)
            at = text(minutes_ago(begin - 20))
            stopped = {"transactionId": number, "meterStop": last, "timestamp": at}
            cp.call("StopTransaction", stopped)
    energy = db.value(
        "select sum(energy_mwh) from meter_readings where meter_id = $1", f"{uid}-zero-1"
    )
    assert energy == 21_000_000


def test_kilowatt_hours_that_are_called_watt_hours(base_url: str, db: Db, uid: str) -> None:
    with charger(base_url, f"{uid}-kwh", key=ADMIN) as cp:
        cp.energy(minutes_ago(5), 12.5)
        begun = {
            "connectorId": 1,
            "idTag": "A",
            "meterStart": 13,
            "timestamp": text(minutes_ago(4)),
        }
        cp.call("StartTransaction", begun)
    assert [wh for _, wh in registers(db, f"{uid}-kwh-1")] == [12_500, 13_000]


@pytest.mark.parametrize("called", [0, -1, "0"])
def test_a_transaction_without_its_number_is_that_of_the_outlet(
    base_url: str, db: Db, uid: str, called: object
) -> None:
    at = minutes_ago(10)
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": text(at)}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        number = cp.call("StartTransaction", begin)["transactionId"]
        cp.energy(minutes_ago(5), 500, transactionId=called)
        stop = {"transactionId": called, "meterStop": 900, "timestamp": text(minutes_ago(1))}
        cp.call("StopTransaction", stop)
    row = db.fetch("select * from transactions where number = $1", number)[0]
    assert row["register_end_mwh"] == 900_000
    sessions = db.fetch(
        "select distinct session from readings where device = $1 and session is not null",
        row["meter"],
    )
    assert len(sessions) == 1


def test_values_of_a_transaction_at_connector_0_are_those_of_its_outlet(
    base_url: str, db: Db, uid: str
) -> None:
    begin = {"connectorId": 2, "idTag": "A", "meterStart": 10, "timestamp": text(minutes_ago(9))}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        number = cp.call("StartTransaction", begin)["transactionId"]
        cp.energy(minutes_ago(5), 500, 0, transactionId=number)
        cp.energy(minutes_ago(5), 90_000, 0)
    assert [wh for _, wh in registers(db, f"{uid}cp-2")] == [10, 500]
    assert [wh for _, wh in registers(db, f"{uid}cp-0")] == [90_000]


def test_a_number_of_another_central_system_is_found_by_the_outlet(
    base_url: str, db: Db, uid: str
) -> None:
    """A proxy sends this service a copy, and gives the charger the answers of the other."""
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": text(minutes_ago(9))}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        number = cp.call("StartTransaction", begin)["transactionId"]
        cp.energy(minutes_ago(5), 500, transactionId=987_654)
        stop = {"transactionId": 987_654, "meterStop": 900, "timestamp": text(minutes_ago(1))}
        cp.call("StopTransaction", stop)
        second = begin | {"meterStart": 900, "timestamp": text(minutes_ago(0.5))}
        other = cp.call("StartTransaction", second)["transactionId"]
        stop = {"transactionId": 987_655, "meterStop": 950, "timestamp": text(minutes_ago(0))}
        cp.call("StopTransaction", stop | {"idTag": "A"})  # without meter values between
    ends = "select register_end_mwh from transactions where number = any($1) order by number"
    assert [row[0] for row in db.fetch(ends, [number, other])] == [900_000, 950_000]


def test_a_number_of_another_central_system_may_be_one_of_a_transaction_that_is_over(
    base_url: str, db: Db, uid: str
) -> None:
    first = {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": text(minutes_ago(90))}
    second = {"connectorId": 1, "idTag": "B", "meterStart": 20, "timestamp": text(minutes_ago(30))}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        over = cp.call("StartTransaction", first)["transactionId"]
        end = {"transactionId": over, "meterStop": 20, "timestamp": text(minutes_ago(60))}
        cp.call("StopTransaction", end)
        number = cp.call("StartTransaction", second)["transactionId"]
        cp.call("StopTransaction", end | {"idTag": "B"})  # again, and by another card
        assert db.value("select ended_at from transactions where number = $1", number) is None
        end = {"transactionId": over, "meterStop": 50, "timestamp": text(minutes_ago(5))}
        cp.call("StopTransaction", end | {"idTag": "B"})
    ends = "select register_end_mwh from transactions where number = any($1) order by number"
    assert [row[0] for row in db.fetch(ends, [over, number])] == [20_000, 50_000]


def test_a_clock_that_is_hours_off_is_told_the_time(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    wrong = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=9)
    values = [meter_value(wrong - timedelta(minutes=2), 1000), meter_value(wrong, 1600)]
    payload = {"connectorId": 1, "meterValue": values}
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        told = datetime.fromisoformat(cp.call("BootNotification", {})["currentTime"])
        assert abs((told - datetime.now(UTC)).total_seconds()) < 60
        cp.call("MeterValues", payload)
    assert registers(db, f"{uid}cp-1") == []
    with charger(base_url, f"{uid}-late", key=ADMIN) as cp:
        for _ in range(2):
            cp.call("MeterValues", payload, f"{uid}same")  # the second is the first, again
        begin = {"connectorId": 1, "idTag": "A", "meterStart": 1700, "timestamp": text(wrong)}
        numbers = {cp.call("StartTransaction", begin)["transactionId"] for _ in range(2)}
        assert len(numbers) == 1
    found = registers(db, f"{uid}-late-1")
    assert [wh for _, wh in found][:2] == [1000, 1600]
    assert found[1][0] - found[0][0] == timedelta(minutes=2)
    assert all(abs(datetime.now(UTC) - time) < timedelta(minutes=5) for time, _ in found)
    assert admin.get("/v1/rejections", params={"limit": 1000}).json()


def test_a_message_that_is_sent_again_gets_the_same_answer(base_url: str, db: Db, uid: str) -> None:
    at = text(minutes_ago(9))
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": at}
    found = []
    for _ in range(2):
        with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
            found += [cp.call("StartTransaction", begin, "7") for _ in range(2)]
            found.append(cp.call("StartTransaction", begin, "8"))
            cp.energy(minutes_ago(5), 500)
    assert found == found[:1] * 6
    count = "select count(*) from transactions where station_id = $1"
    assert db.value(count, f"{uid}cp") == 1


def test_ids_begin_again_with_each_start_of_a_charger(base_url: str, db: Db, uid: str) -> None:
    for minutes in (9, 5):
        with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
            payload = {"connectorId": 1, "meterValue": [meter_value(minutes_ago(minutes), 100)]}
            cp.call("MeterValues", payload, 1)
    assert len(registers(db, f"{uid}cp-1")) == 2


def test_calls_sent_ahead_are_answered_in_their_order(base_url: str, db: Db, uid: str) -> None:
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        for n in range(50):
            values = [meter_value(minutes_ago(60 - n), 100 * n)]
            cp.send([2, n, "MeterValues", {"connectorId": 0, "meterValue": values}])
        assert [cp.answer()[1] for _ in range(50)] == list(range(50))
    assert len(registers(db, f"{uid}cp-0")) == 50


def test_a_payload_that_is_nested_deeply_is_malformed(base_url: str, uid: str) -> None:
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        for depth in range(900, 1010, 5):
            value = f'{{"value":1,"unit":{"[" * depth}{"]" * depth}}}'
            payload = f'{{"connectorId":1,"meterValue":[{{"sampledValue":[{value}]}}]}}'
            cp.send(f'[2,"{depth}","MeterValues",{payload}]')
        cp.send([2, "end", "Heartbeat", {}])
        answers = [*iter(lambda: (answer := cp.answer())[1] != "end" and answer[2], False)]
        assert all(answer in ({}, "FormationViolation") for answer in answers)
        assert "FormationViolation" in answers


def test_names_that_are_very_long_are_cut(base_url: str, admin: httpx.Client, uid: str) -> None:
    with charger(base_url, f"{uid}cp", key=ADMIN) as cp:
        cp.call("BootNotification", {"chargePointVendor": "v" * 500, "chargePointModel": "m"})
        assert f'"{"v" * 64}"' in admin.get("/v1/inputs").text


def test_a_newer_connection_takes_the_place_of_an_older_one(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    begin = {"connectorId": 1, "idTag": "A", "meterStart": 10, "timestamp": text(minutes_ago(9))}
    with charger(base_url, f"{uid}cp", key=ADMIN) as old:
        number = old.call("StartTransaction", begin)["transactionId"]
        with charger(base_url, f"{uid}cp", key=ADMIN) as new:
            with pytest.raises(ConnectionClosed):
                old.answer()
            new.energy(minutes_ago(5), 500, transactionId=number)  # amid the transaction
            told = {"chargePointVendor": "v", "chargePointModel": "m", "firmwareVersion": 1}
            new.call("BootNotification", told)
            shown = [
                each
                for each in admin.get("/v1/inputs").json()["chargePoints"]
                if each["chargePoint"] == f"{uid}cp"
            ]
            assert [(each["vendor"], each["version"]) for each in shown] == [("v", "ocpp1.6")]
    eventually(
        lambda: (
            not any(
                each["chargePoint"] == f"{uid}cp"
                for each in admin.get("/v1/inputs").json()["chargePoints"]
            )
        )
    )


# -- Who may connect ------------------------------------------------------------------------------


def test_a_key_reaches_no_further_than_it_says(
    base_url: str, admin: httpx.Client, db: Db, uid: str
) -> None:
    asked = {"name": f"{uid}key", "scopes": ["ingest"], "devices": [f"{uid}cp-1"]}
    key = admin.post("/v1/keys", json=asked).raise_for_status().json()
    with charger(base_url, f"{uid}cp", key=key["key"]) as cp:
        cp.energy(minutes_ago(5), 100, 1)
        cp.energy(minutes_ago(5), 100, 2)
        assert registers(db, f"{uid}cp-1")
        assert not registers(db, f"{uid}cp-2")
        begin = {
            "connectorId": 1,
            "idTag": "A",
            "meterStart": 10,
            "timestamp": text(minutes_ago(3)),
        }
        assert cp.call("StartTransaction", begin)["transactionId"]
        with pytest.raises(CallError, match="SecurityError"):
            cp.call("StartTransaction", begin | {"connectorId": 2})
        for other in (f"x{uid}cp", f"{uid}c"):
            with pytest.raises(InvalidStatus) as refused, charger(base_url, other, key=key["key"]):
                pass
            assert refused.value.response.status_code == 403
        admin.delete(f"/v1/keys/{key['id']}").raise_for_status()
        with pytest.raises(ConnectionClosed):
            cp.answer(timeout_s=6)


def test_who_has_no_key_or_another_name_cannot_connect(base_url: str, uid: str) -> None:
    for key, user, status in (
        (None, None, 401),
        ("fm_admin00001_" + "b" * 48, None, 401),
        (ADMIN, "somebody", 401),
    ):
        with (
            pytest.raises(InvalidStatus) as refused,
            charger(base_url, f"{uid}cp", key=key, user=user),
        ):
            pass
        answer = refused.value.response
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("identity", ["Säule/1 ö", "a" * 62])
def test_identities_are_percent_encoded(base_url: str, db: Db, identity: str) -> None:
    with charger(base_url, identity, key=ADMIN) as cp:
        cp.energy(minutes_ago(5), 100)
    assert registers(db, f"{identity.replace('ä', '%C3%A4').replace('ö', '%C3%B6')}-1")


@pytest.mark.parametrize("identity", ["a" * 63, "ä" * 12])
def test_an_identity_that_makes_no_id_of_a_meter_is_refused(base_url: str, identity: str) -> None:
    """So that the charger does not lose what it is told was stored."""
    with pytest.raises(InvalidStatus) as refused, charger(base_url, identity, key=ADMIN):
        pass
    assert refused.value.response.status_code == 400
    assert b"meterId" in refused.value.response.body


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("cp", {}, 426),
        ("cp", {"Upgrade": "websocket", "Connection": "Upgrade"}, 400),
        ("a" * 65, {}, 400),
        ("a%00b", {}, 400),
        ("", {}, 404),
        ("a/b", {}, 404),
    ],
)
def test_requests_that_are_no_handshake_are_refused(
    admin: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert admin.get(f"/ocpp/{path}", headers=headers).status_code == status


def test_a_version_that_is_not_known_is_refused_as_the_standard_says(
    base_url: str, uid: str
) -> None:
    url = f"ws{base_url.removeprefix('http')}/ocpp/{uid}cp"
    headers = {"Authorization": f"Bearer {ADMIN}"}
    for offered in (["ocpp1.5"], ["ocpp1.2", "soap"], []):
        subprotocols = [Subprotocol(each) for each in offered]
        with connect(url, subprotocols=subprotocols or None, additional_headers=headers) as socket:
            assert socket.subprotocol is None
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, "ocpp1.6" in closed.value.rcvd.reason) == (1002, True)
    both = [Subprotocol("ocpp1.5"), Subprotocol("OCPP2.0.1"), Subprotocol("ocpp1.6")]
    with connect(
        f"{url.replace('/ocpp/', '/ocpp//')}/?x=1", subprotocols=both, additional_headers=headers
    ) as socket:
        assert socket.subprotocol == "OCPP2.0.1"
        get_validator(MessageType.Call, "Heartbeat", "2.0.1").validate({})
        socket.send(json.dumps([2, "1", "Heartbeat", {}]))
        assert json.loads(socket.recv(timeout=10))[0] == 3
