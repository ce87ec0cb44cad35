"""Each preset reads a file of the real layout, to the watt-hour."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.presets import green_button, presets
from fleetmeter.readings.telemetry import Telemetry
from tests.support import exports
from tests.support.exports import Interval
from tests.support.imports import Imported

BEGIN = datetime(2026, 10, 24, 12, tzinfo=UTC)
"""The night to the 25th has an hour twice in Europe."""


def intervals(minutes: int, hours: int = 36) -> list[Interval]:
    """Energy of intervals, of a different size each."""
    step = timedelta(minutes=minutes)
    count = hours * 60 // minutes
    return [
        Interval(BEGIN + n * step, BEGIN + (n + 1) * step, 4 * (100 + n * 37 % 91))
        for n in range(count)
    ]


CASES: list[tuple[str, exports.Export, int, str, str | None]] = [
    ("shelly", exports.shelly_gen1, 10, "csv", "M"),
    ("shelly", exports.shelly_gen2, 1, "csv", "M"),
    ("dsmr", exports.homewizard, 15, "csv", "M"),
    ("dsmr", exports.p1_telegrams, 60, "csv", None),
    ("green-button", exports.green_button, 15, "csv", None),
    ("home-assistant", exports.home_assistant_history, 30, "csv", None),
    ("home-assistant", exports.home_assistant_energy, 60, "csv", None),
    ("emoncms", exports.emoncms, 10, "csv", "M"),
    ("emoncms", exports.emoncms_json, 10, "json", "M"),
    ("acn-data", exports.acn_data, 60, "json", None),
    ("ocpp", exports.ocpp, 15, "csv", "CP001"),
    ("teslamate", exports.teslamate, 15, "csv", "EV"),
]


def energies(read: Imported) -> list[tuple[datetime, int]]:
    """The Wh that ended at each time, of registers as differences."""
    found: list[tuple[datetime, int]] = []
    before: float | None = None
    for each in read.readings:
        kwh = each.kwh_delivered_dc if each.vehicle_id else each.kwh_consumed_ac
        if each.kwh_consumed_ac_total is not None:
            kwh = None if before is None else each.kwh_consumed_ac_total - before
            before = each.kwh_consumed_ac_total
        if kwh:
            assert each.timestamp is not None
            found.append((each.timestamp, round(kwh * 1000)))
    return found


@pytest.mark.parametrize(
    ("preset", "export", "minutes", "reader", "device"),
    CASES,
    ids=[case[1].__name__ for case in CASES],
)
def test_an_export_is_read_to_the_watt_hour(
    preset: str, export: exports.Export, minutes: int, reader: str, device: str | None
) -> None:
    metered = intervals(minutes)
    read = Imported(export(metered), reader=reader, preset=preset, device=device)
    assert energies(read) == [(each.end, each.wh) for each in metered]
    of_intervals = [each for each in read.readings if each.interval_start is not None]
    if of_intervals and preset != "teslamate":
        assert [each.interval_start for each in of_intervals] == [each.start for each in metered]


@pytest.mark.parametrize(
    ("preset", "text", "kwh", "exported"),
    [
        (
            "shelly",
            "timestamp,total_act_energy,fund_act_energy,total_act_ret_energy,avg_voltage\n"
            "1770631500,12.5,12,0.5,230.1\n",
            0.0125,
            0.0005,
        ),
        (
            "shelly",
            "Date/time UTC,Active energy Wh,Returned energy Wh\n2026-02-09 10:00,1000,0\n",
            1,
            0,
        ),
        (
            "dsmr",
            "time,Import kWh,Export kWh,L1 max W,L2 max W,L3 max W\n"
            "2026-02-09 11:00,4161.5,0.25,1,2,3\n",
            4161.5,
            0.25,
        ),
        (
            "dsmr",
            "id,read_at,delivered_1,returned_1,delivered_2,returned_2,currently_delivered,"
            "currently_returned\n1,2026-02-09 11:00:00+01,1000.5,1,2000.25,2,0.5,0\n",
            3000.75,
            3,
        ),
    ],
)
def test_the_other_layouts_of_a_preset_are_read_too(
    preset: str, text: str, kwh: float, exported: float
) -> None:
    [reading] = Imported(text, preset=preset, device="M").readings
    assert (reading.kwh_consumed_ac or reading.kwh_consumed_ac_total) == kwh
    assert (reading.kwh_exported_ac or reading.kwh_exported_ac_total or 0) == exported


def test_every_preset_is_tried_with_a_file() -> None:
    assert {case[0] for case in CASES} == {*presets()}


def test_every_layout_says_what_it_is_for() -> None:
    for layouts in presets().values():
        for layout in layouts.values():
            assert layout["description"]


@pytest.mark.parametrize("preset", [*presets()])
@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "[1]", "{}", "\0\1\2" * 100, "<a/>"])
def test_a_file_of_something_else_is_told_by_every_preset(preset: str, content: str) -> None:
    for reader in ("csv", "json"):
        try:
            read = Imported(content, reader=reader, preset=preset, device="M")
        except SourceError:
            continue
        assert len(read.errors) == len(read.items)


def test_a_preset_may_be_changed_by_a_mapping() -> None:
    mapping = """
        [fields]
        meterId = { constant = "MTR-1" }
        powerKw = { column = 2, unit = "W" }
    """
    read = Imported("1770631500,7400\n", mapping, preset="emoncms")
    assert read.column("power_kw") == [7.4]
    assert read.column("kwh_consumed_ac_total") == [None]


def test_emoncms_writes_times_in_three_ways() -> None:
    text = "1770631500,1\n2026-02-09T11:15:00+01:00,2\n09/02/2026 11:25:00,3\n"
    read = Imported(text, preset="emoncms", device="M", zone="Europe/Berlin")
    assert read.times == ["02-09 10:05", "02-09 10:15", "02-09 10:25"]


# -- P1 -------------------------------------------------------------------------------------------


def test_a_telegram_has_all_that_a_meter_measures() -> None:
    read = Imported(exports.p1_telegrams(intervals(60)[:1], "\n"), preset="dsmr")
    first = read.readings[0]
    assert first.meter_id == "K8EG004046395507"
    assert first.kwh_consumed_ac_total == 5000
    assert first.kwh_exported_ac_total == 12.75
    assert (first.power_kw, first.voltage_l1, first.voltage_l3) == (1.193, 230.1, 230.3)


def test_a_garbled_or_cut_telegram_costs_no_other() -> None:
    whole = exports.p1_telegrams(intervals(60)[:3])
    garbled = whole.replace("230.1*V", "280.1*V", 1) + whole[:200]
    read = Imported(garbled, preset="dsmr")
    assert len(read.items) == 5
    assert [error.split(":")[0] for error in read.errors.values()] == [
        "the telegram's checksum is not " + read.texts[0][-4:] + "",
        "the telegram is cut off",
    ]


# -- Green Button ---------------------------------------------------------------------------------


def test_the_finest_intervals_of_a_feed_count_and_the_rest_is_named() -> None:
    read = Imported(exports.green_button(intervals(15, 48)), preset="green-button")
    assert "coarser intervals" in read.source.notes[0]
    assert {*read.column("meter_id")} == {"4711"}


def test_energy_in_both_directions_stands_in_two_fields() -> None:
    feed = exports.green_button(intervals(15, 2))
    feed = feed.replace("<intervalLength>86400", "<intervalLength>900")
    end = feed.rindex("<flowDirection>1")
    feed = feed[:end] + feed[end:].replace("<flowDirection>1", "<flowDirection>19")
    read = Imported(feed, preset="green-button")
    assert sum(each.kwh_exported_ac or 0 for each in read.readings) == pytest.approx(
        sum(each.kwh_consumed_ac or 0 for each in read.readings)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("<uom>72", "<uom>169"), r"in Wh \(uom 72\); there is uom 169"),
        (("<accumulationBehaviour>4", "<accumulationBehaviour>3"), "there is a register"),
        (("<feed", '<!DOCTYPE feed [<!ENTITY a "b">]><feed'), "declares entities or a DTD"),
        (("</feed>", ""), "not Green Button XML"),
        (("<entry>", "<item>"), "not Green Button XML"),
    ],
)
def test_a_feed_without_electricity_is_told(change: tuple[str, str], said: str) -> None:
    feed = exports.green_button(intervals(15, 2)).replace(*change)
    with pytest.raises(SourceError, match=said):
        Imported(
            feed.replace("</entry>", "</item>") if "item" in change[1] else feed,
            preset="green-button",
        )


def test_a_feed_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(green_button, "_MOST_ELEMENTS", 1000)
    assert Imported(exports.green_button(intervals(15, 24)), preset="green-button").readings
    with pytest.raises(SourceError, match="more than 1,000 elements"):
        Imported("<a>" * 5000, preset="green-button")


# -- OCPP -----------------------------------------------------------------------------------------


def ocpp(*lines: str, device: str | None = None) -> Imported:
    return Imported("\n".join(lines) + "\n", preset="ocpp", device=device)


def test_ocpp_values_have_units_phases_and_places() -> None:
    [reading] = ocpp(
        'x [2,"1","MeterValues",{"connectorId":2,"meterValue":[{"timestamp":"2026-02-09T10:00:00Z",'
        '"sampledValue":[{"value":"999","location":"Inlet"},{"value":"35.8","unit":"kWh",'
        '"measurand":"Energy.Active.Import.Register","location":"Outlet"},{"value":"7.2","unit":"kW",'
        '"measurand":"Power.Active.Import"},{"value":"231","measurand":"Voltage"},'
        '{"value":"44","measurand":"SoC","unit":"Percent","location":"EV"}]}]}] trailing',
        device="CP1",
    ).readings
    assert reading.meter_id == "CP1-2"
    assert (reading.kwh_consumed_ac_total, reading.power_kw, reading.voltage) == (35.8, 7.2, 231)


def test_ocpp_2_names_the_unit_in_a_record_of_its_own() -> None:
    [reading] = ocpp(
        '{"chargePointId":"CP7","message":[2,"1","TransactionEvent",{"eventType":"Updated",'
        '"timestamp":"2026-02-09T10:00:00Z","evse":{"id":1,"connectorId":1},"transactionInfo":'
        '{"transactionId":"a"},"meterValue":[{"timestamp":"2026-02-09T10:00:01Z","sampledValue":'
        '[{"value":12.5,"unitOfMeasure":{"unit":"Wh","multiplier":3}}]}]}]}'
    ).readings
    assert (reading.meter_id, reading.kwh_consumed_ac_total) == ("CP7-1", 12.5)


def test_a_pattern_tells_the_charge_point_of_a_line() -> None:
    values = (
        '[2,"1","MeterValues",{"connectorId":1,"meterValue":'
        '[{"timestamp":"2026-02-09T10:00:00Z","sampledValue":[{"value":"5"}]}]}]'
    )
    text = f"cp001 -> csms  {values}\ncp002 -> csms  {values}\n"
    read = Imported(text, "pattern = '(?P<chargePoint>\\w+) ->'", preset="ocpp")
    assert read.column("meter_id") == ["cp001-1", "cp002-1"]
    assert "add --device ID, or a pattern" in Imported(text, preset="ocpp").errors[1]


@pytest.mark.parametrize(
    "line",
    [
        '[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":5,"sampledValue":[{"value":"x"}]}]}]',
        '[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"sampledValue":[{"value":"5"}]}]}]',
        '[2,"1","MeterValues",{"connectorId":{},"meterValue":[{"sampledValue":[{"value":[]}]}]}]',
        '[2,"1","StopTransaction",{"transactionId":1,"meterStop":5}]',
    ],
)
def test_a_message_that_is_wrong_costs_no_other(line: str) -> None:
    good = (
        '[2,"1","MeterValues",{"connectorId":1,"meterValue":'
        '[{"timestamp":"2026-02-09T10:00:00Z","sampledValue":[{"value":"5"}]}]}]'
    )
    read = ocpp(line, '[2,"x"', "[2,[],{},5]", good, device="CP")
    assert list(read.errors) == [1]
    assert len(read.items) == 2


# -- TeslaMate ------------------------------------------------------------------------------------


def test_a_backup_of_teslamate_knows_the_cars() -> None:
    dump = (
        "--\n-- PostgreSQL database dump\n--\nCOPY public.charges (id, date, battery_level,"
        " charge_energy_added, charger_power, charging_process_id) FROM stdin;\n"
        "1\t2026-01-02 01:00:00.25\t60\t0.00\t11\t1\n2\t2026-01-02 01:05:00\t\\N\t0.92\t11\t1\n"
        "3\t2026-01-02 01:05:01\t50\t0.00\t7\t2\n4\tbroken\n\\.\n"
        "COPY public.charging_processes (id, start_date, car_id) FROM stdin;\n"
        "1\t2026-01-02 01:00:00\t1\n2\t2026-01-02 01:05:00\t2\n\\.\n"
    )
    read = Imported(dump, preset="teslamate")
    known = [each.vehicle_id for each in read.items if isinstance(each, Telemetry)]
    assert known == ["EV-1", "EV-1", "EV-2"]
    assert read.errors == {8: "the line has too few fields"}
    assert [getattr(each, "kwh_delivered_dc", None) for each in read.items][:3] == [0, 0.92, 0]
