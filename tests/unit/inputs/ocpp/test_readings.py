"""Meter values become readings of the outlet's meter, and of the vehicle at it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fleetmeter.inputs.mapping.charge_points import ChargePointRule, Outlet
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.ocpp.payloads import MeterValue
from fleetmeter.inputs.ocpp.readings import (
    NO_CHARGING,
    Charging,
    counted_once,
    moments_of,
    readings_of,
)
from fleetmeter.readings.ocpp import ENERGY
from fleetmeter.readings.telemetry import Telemetry

NOW = datetime(2026, 2, 9, 12, tzinfo=UTC)
INTERVAL = "Energy.Active.Import.Interval"
OWN = Charging("T-1", "EV-1", 10.0)


def outlet(**rule: Any) -> Outlet:
    return Outlet(1, "CP-1", ChargePointRule(**rule))


def value(value: object, measurand: str | None = ENERGY, **more: Any) -> dict[str, Any]:
    return {"value": value, "measurand": measurand} | more


def taken(
    *moments: tuple[str | None, list[dict[str, Any]]],
    at: Outlet | None = None,
    charging: Charging = NO_CHARGING,
    by_arrival: bool = False,
    counted: dict[int, str] | None = None,
) -> tuple[list[dict[str, Any]], set[tuple[str, str]]]:
    """What is given of readings, and what is not taken."""
    sent = [{"timestamp": time, "sampledValue": sampled} for time, sampled in moments]
    values = msgspec.convert(sent, list[MeterValue])
    found, wrong = moments_of(values, NOW, by_arrival=by_arrival)
    counted_once(found, {} if counted is None else counted, 1)
    untaken: list[Untaken] = []
    items = [*readings_of(at or outlet(), charging, found, untaken.append), *wrong]
    shown = []
    for item in items:
        assert isinstance(item, Telemetry), item
        shown.append({k: v for k, v in msgspec.structs.asdict(item).items() if v is not None})
    return shown, {(each.reason, each.what) for each in untaken}


def test_a_meter_of_alternating_current_has_all_that_is_measured() -> None:
    values = [
        value("1234567", unit="Wh", context="Sample.Clock"),
        value("500", "Energy.Active.Export.Register"),
        *(value("2.4", "Power.Active.Import", unit="kW", phase=p) for p in ("L1", "L2", "L3")),
        *(value(f"23{n}", "Voltage", phase=f"L{n}-N", unit="V") for n in (1, 2, 3)),
        value("16", "Current.Import", phase="L1", unit="A"),
        value("31", "SoC", location="EV", unit="Percent"),
        value("28", "Temperature", location="EV", unit="Celcius"),
    ]
    found, untaken = taken(("2026-02-09T11:00:00Z", values), charging=OWN)
    assert found == [
        {
            "meter_id": "CP-1",
            "session_id": "T-1",
            "kwh_consumed_ac_total": 1234.567,
            "kwh_exported_ac_total": 0.5,
            "power_kw": pytest.approx(7.2),
            "voltage_l1": 231,
            "voltage_l2": 232,
            "voltage_l3": 233,
            "timestamp": datetime(2026, 2, 9, 11, tzinfo=UTC),
        },
        {
            "vehicle_id": "EV-1",
            "session_id": "T-1",
            "soc": 31,
            "battery_temp": 28,
            "timestamp": datetime(2026, 2, 9, 11, tzinfo=UTC),
        },
    ]
    assert untaken == {("no_field", "Current.Import")}


def test_direct_current_counts_from_the_register_at_the_start() -> None:
    values = [
        value("12500"),
        value("50", "Power.Active.Import", unit="kW"),
        value("800", "Voltage"),
        value("9000", location="Inlet"),
    ]
    at = outlet(measures="dc")
    time = "2026-02-09T11:00:00+01:00"
    meter, vehicle = taken((time, values), at=at, charging=OWN)[0]
    assert meter["kwh_consumed_ac_total"] == 9
    assert "voltage" not in meter
    assert (vehicle["kwh_delivered_dc_total"], vehicle["power_kw"]) == (2.5, 50)
    assert vehicle["meter_id"] == "CP-1"
    low = (time, [value("9999")])
    assert taken(low, at=at, charging=OWN)[1] == {
        ("no_register", "a register below what it was at the transaction's start")
    }
    unknown = taken(low, at=at, charging=OWN._replace(register_start_kwh=None))
    assert unknown == ([], {("no_register", "a transaction without a register at its start")})
    nobody = taken(low, at=at, charging=Charging("T-1", None, 1.0))
    assert nobody == ([], {("no_vehicle", "a token that stands for no vehicle")})
    assert taken(low, at=at)[0] == []


@pytest.mark.parametrize("rubbish", ["NaN", "inf", "", "n/a", None, [], {}])
def test_a_value_that_is_no_number_costs_no_other(rubbish: object) -> None:
    values = [value("1000"), value(rubbish, "Power.Active.Import"), value(rubbish, "SoC")]
    [found], untaken = taken(("2026-02-09T11:00:00Z", values))
    assert found["kwh_consumed_ac_total"] == 1
    assert "power_kw" not in found
    assert ("not_a_number", "Power.Active.Import") in untaken


def test_signed_and_foreign_values_are_left_out() -> None:
    values = [
        value("AB12", format="SignedData"),
        value("5", unit="varh"),
        value("5", "Frequency"),
        value("5", None, phase=7),
    ]
    assert taken(("2026-02-09T11:00:00Z", values))[0] == []


def test_what_is_not_stored_of_an_outlet_of_direct_current_is_counted() -> None:
    values = [
        value("11000"),
        value("5", "Energy.Active.Export.Register"),
        value("400", "Voltage", phase="L1"),
        value("399", "Voltage", location="Inlet"),
    ]
    at = outlet(measures="dc")
    _, untaken = taken(("2026-02-09T11:00:00Z", values), at=at, charging=OWN)
    assert untaken == {
        ("no_field", "Energy.Active.Export.Register of a DC outlet"),
        ("no_field", "Voltage of a DC outlet"),
    }


def test_a_value_of_another_place_is_counted() -> None:
    values = [
        value("40", "SoC", location="EV"),
        value("35", "Temperature", location="EV"),
        value("50", "Temperature", location="Body"),
        value("50", "Temperature"),
        value("9000", location="Upstream"),
    ]
    [found], untaken = taken(("2026-02-09T11:00:00Z", values), charging=OWN)
    assert (found["soc"], found["battery_temp"]) == (40, 35)
    assert untaken == {
        ("no_field", "Temperature at Body"),
        ("no_field", "Temperature at Outlet"),
        ("no_field", f"{ENERGY} at Upstream"),
    }


def test_a_unit_that_is_not_known_is_counted_and_spaces_around_one_are_not_of_it() -> None:
    values = [
        value("1000", unit=" kWh "),
        value("3", "Power.Active.Import", unit="kVA"),
        value("5", "Voltage", unitOfMeasure={"unit": "furlong"}),
        value("20", "Temperature", unit="Fahrenheit", location="EV"),
    ]
    [found, _], untaken = taken(("2026-02-09T11:00:00Z", values), charging=OWN)
    assert found["kwh_consumed_ac_total"] == 1000
    assert untaken == {
        ("no_field", "Power.Active.Import in kva"),
        ("no_field", "Voltage in furlong"),
    }


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-02-09T11:00:00.123456789Z", datetime(2026, 2, 9, 11, 0, 0, 123456, UTC)),
        ("2026-02-09T11:00:00", datetime(2026, 2, 9, 11, tzinfo=UTC)),
        (" 2026-02-09t11:00:00z", datetime(2026, 2, 9, 11, tzinfo=UTC)),
        ("2026-02-09 11:00:00+00:00", datetime(2026, 2, 9, 11, tzinfo=UTC)),
        (None, NOW),
    ],
)
def test_times_are_read_as_chargers_write_them(text: str | None, time: datetime) -> None:
    [found] = taken((text, [value(5)]))[0]
    assert found["timestamp"] == time


@pytest.mark.parametrize("text", ["yesterday", 5, "2026-13-01T00:00:00Z", "2026-02-09", ""])
def test_a_time_that_is_none_is_refused(text: Any) -> None:
    values = msgspec.convert(
        [{"timestamp": text, "sampledValue": [{"value": 1}]}], list[MeterValue]
    )
    moments, wrong = moments_of(values, NOW, by_arrival=False)
    assert (moments, wrong[0].code) == ([], "invalid_timestamp")
    assert moments_of(values, NOW, by_arrival=True)[0][0].time == NOW


def test_times_by_arrival_keep_what_lies_between_them() -> None:
    early, late = "2000-01-01T00:00:00Z", "2000-01-01T00:01:00Z"
    found, _ = taken((late, [value(2)]), (early, [value(1)]), by_arrival=True)
    assert [each["timestamp"] for each in found] == [NOW - timedelta(minutes=1), NOW]


def test_a_time_that_is_out_of_all_bounds_costs_no_other_by_arrival() -> None:
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
    sent = [{"timestamp": time, "sampledValue": [{"value": 1}]} for time in (last, first)]
    found, wrong = moments_of(msgspec.convert(sent, list[MeterValue]), NOW, by_arrival=True)
    assert [each.time for each in found] == [NOW]
    assert [each.code for each in wrong] == ["invalid_timestamp"]


def test_intervals_count_once() -> None:
    """Beside a register they do not count, nor those of the clock beside those of a transaction."""
    time = "2026-02-09T11:00:00Z"
    counted: dict[int, str] = {}
    [first], _ = taken((time, [value(100, INTERVAL)]), counted=counted)
    assert first["kwh_consumed_ac"] == 0.1
    assert taken((time, [value(100, INTERVAL, context="Sample.Clock")]), counted=counted)[0] == []
    end = [value(100, INTERVAL, context="Transaction.End")]
    assert taken((time, end), counted=counted)[0]
    [both], _ = taken((time, [value(5)]), (time, [value(100, INTERVAL)]), counted=counted)
    assert (both["kwh_consumed_ac_total"], "kwh_consumed_ac" in both) == (0.005, False)
    assert taken((time, [value(100, INTERVAL)]), counted=counted)[0] == []


def test_what_counts_energy_is_remembered_in_bounded_memory() -> None:
    counted: dict[int, str] = {}
    for connector in range(1000):
        sampled = [value("1", INTERVAL, context="x" * 100_000)]
        values = msgspec.convert([{"sampledValue": sampled}], list[MeterValue])
        counted_once(moments_of(values, NOW, by_arrival=False)[0], counted, connector)
    assert len(counted) <= 100
    assert max(map(len, counted.values())) <= 50
