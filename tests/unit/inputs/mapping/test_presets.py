"""Presets make the right readings of messages as the programs and devices send them."""

import json
from typing import Any

import pytest

from fleetmeter.inputs.mapping.load import preset
from fleetmeter.inputs.mapping.presets import PRESETS
from fleetmeter.inputs.mapping.topics import Arriving, TopicRules
from fleetmeter.readings.telemetry import FIELDS, Telemetry, attribute

TASMOTA = {
    "TotalStartTime": "2020-10-21T22:15:00",
    "Total": 3.705,
    "Yesterday": 0.028,
    "Today": 0.026,
    "Period": 1,
    "Power": 5,
    "ApparentPower": 5,
    "Factor": 1.00,
    "Voltage": 233,
    "Current": 0.021,
}
OF_TASMOTA = {"meterId": "plug-7", "kwhConsumedAcTotal": 3.705, "powerKw": 0.005, "voltage": 233}
SWITCH = {
    "id": 0,
    "source": "init",
    "output": True,
    "apower": 812.4,
    "voltage": 230.1,
    "current": 3.55,
    "aenergy": {
        "total": 123456.789,
        "by_minute": [13540.1, 13533.2, 0.0],
        "minute_ts": 1790000000,
    },
    "ret_aenergy": {"total": 0.0, "by_minute": [0.0], "minute_ts": 1790000000},
    "temperature": {"tC": 41.2, "tF": 106.2},
}
EM: dict[str, Any] = {
    "id": 0,
    "a_current": 4.0,
    "a_voltage": 236.1,
    "a_act_power": 951.2,
    "b_voltage": 235.7,
    "c_voltage": 234.9,
    "n_current": None,
    "total_current": 11.1,
    "total_act_power": 2484.8,
    "user_calibrated_phase": [],
}
EM_DATA = {
    "id": 0,
    "a_total_act_energy": 100.5,
    "b_total_act_energy": 200.5,
    "c_total_act_energy": 300.5,
    "total_act": 601.5,
    "total_act_ret": 12.25,
}
EM1 = {"id": 1, "current": 4.0, "voltage": 230.4, "act_power": -920.5, "pf": -0.98, "flags": []}
EM1_DATA = {"id": 1, "total_act_energy": 5011.0, "total_act_ret_energy": 77.5}
OF_SWITCH = {
    "kwhConsumedAcTotal": 123.456789,
    "kwhExportedAcTotal": 0,
    "powerKw": 0.8124,
    "voltage": 230.1,
}
OF_EM = {"powerKw": 2.4848, "voltageL1": 236.1, "voltageL2": 235.7, "voltageL3": 234.9}
OF_EM_DATA = {"kwhConsumedAcTotal": 0.6015, "kwhExportedAcTotal": 0.01225}
OF_EM1 = {"powerKw": -0.9205, "voltage": 230.4}
OF_EM1_DATA = {"kwhConsumedAcTotal": 5.011, "kwhExportedAcTotal": 0.0775}
SHELLY = "shellypro3em-f008d1d8b8b8"
TS = {"timestamp": "2026-09-21T14:13:20.250000+00:00"}


def notify(**status: Any) -> dict[str, Any]:
    """As of a Shelly over RPC."""
    return {
        "src": SHELLY,
        "dst": f"{SHELLY}/events",
        "method": "NotifyStatus",
        "params": {"ts": 1790000000.25} | status,
    }


def shelly(number: int, *readings: dict[str, Any]) -> dict[str, Any]:
    reading: dict[str, Any] = {"meterId": f"{SHELLY}/{number}"}
    for each in readings:
        reading |= each
    return reading


CASES: dict[str, list[tuple[str, Any, list[dict[str, Any]]]]] = {
    "evcc": [
        (
            "evcc/loadpoints/1/chargeTotalImport",
            "4711.123",
            [{"meterId": "evcc/loadpoint/1", "kwhConsumedAcTotal": 4711.123}],
        ),
        (
            "evcc/loadpoints/2/chargePower",
            "10987.5",
            [{"meterId": "evcc/loadpoint/2", "powerKw": 10.9875}],
        ),
        ("evcc/site/grid/power", "-1203", [{"meterId": "evcc/grid", "powerKw": -1.203}]),
        (
            "evcc/site/grid/energy",
            "9876.5",
            [{"meterId": "evcc/grid", "kwhConsumedAcTotal": 9876.5}],
        ),
        (
            "evcc/site/grid/returnEnergy",
            "12.345",
            [{"meterId": "evcc/grid", "kwhExportedAcTotal": 12.345}],
        ),
        ("evcc/loadpoints/1/chargedEnergy", "5230", []),  # begins at 0 with each session
        ("evcc/loadpoints/1/chargeTotalImport", "", []),  # deleted
    ],
    "openwb1": [
        (
            "openWB/lp/1/kWhCounter",
            "3318.91",
            [{"meterId": "openWB/lp/1", "kwhConsumedAcTotal": 3318.91}],
        ),
        ("openWB/lp/1/W", "11040", [{"meterId": "openWB/lp/1", "powerKw": 11.04}]),
        ("openWB/lp/1/VPhase1", "229.7", [{"meterId": "openWB/lp/1", "voltageL1": 229.7}]),
        ("openWB/lp/1/VPhase2", "230.2", [{"meterId": "openWB/lp/1", "voltageL2": 230.2}]),
        ("openWB/lp/1/VPhase3", "231", [{"meterId": "openWB/lp/1", "voltageL3": 231}]),
        (
            "openWB/evu/WhImported",
            "1234567",
            [{"meterId": "openWB/evu", "kwhConsumedAcTotal": 1234.567}],
        ),
        (
            "openWB/evu/WhExported",
            "7654321.5",
            [{"meterId": "openWB/evu", "kwhExportedAcTotal": 7654.3215}],
        ),
        ("openWB/evu/W", "-2500", [{"meterId": "openWB/evu", "powerKw": -2.5}]),
    ],
    "openwb2": [
        (
            f"openWB/{kind}/3/{topic}",
            payload,
            [{"meterId": f"openWB/{kind}/3"} | reading],
        )
        for kind in ("chargepoint", "counter")
        for topic, payload, reading in (
            ("get/imported", "100250.5", {"kwhConsumedAcTotal": 100.2505}),
            ("get/exported", "0", {"kwhExportedAcTotal": 0}),
            ("get/power", "3680.0", {"powerKw": 3.68}),
            (
                "get/voltages",
                "[230.1, 231.2, 229.9]",
                {"voltageL1": 230.1, "voltageL2": 231.2, "voltageL3": 229.9},
            ),
        )
    ]
    + [
        ("openWB/vehicle/0/get/soc", "81", [{"vehicleId": "openWB/vehicle/0", "soc": 81}]),
        ("openWB/vehicle/0/get/soc", "null", []),
    ],
    "shelly": [
        (
            "shellies/shellyem3-AABBCC/emeter/0/total",
            "234567.8",
            [{"meterId": "shellyem3-AABBCC/0", "kwhConsumedAcTotal": 234.5678}],
        ),
        (
            "shellies/shellyem3-AABBCC/emeter/2/total_returned",
            "11.5",
            [{"meterId": "shellyem3-AABBCC/2", "kwhExportedAcTotal": 0.0115}],
        ),
        (
            "shellies/shellyem3-AABBCC/emeter/0/power",
            "812.45",
            [{"meterId": "shellyem3-AABBCC/0", "powerKw": 0.81245}],
        ),
        (
            "shellies/shellyem3-AABBCC/emeter/0/voltage",
            "231.55",
            [{"meterId": "shellyem3-AABBCC/0", "voltage": 231.55}],
        ),
        (
            "shellies/shellyplug-s-DDEEFF/relay/0/energy",
            "1800000",  # watt-minutes
            [{"meterId": "shellyplug-s-DDEEFF/0", "kwhConsumedAcTotal": 30}],
        ),
        (
            "shellies/shellyplug-s-DDEEFF/relay/0/power",
            "60.5",
            [{"meterId": "shellyplug-s-DDEEFF/0", "powerKw": 0.0605}],
        ),
        (f"{SHELLY}/status/switch:0", SWITCH, [shelly(0, OF_SWITCH)]),
        (f"{SHELLY}/status/em:0", EM, [shelly(0, OF_EM)]),
        (f"{SHELLY}/status/emdata:0", EM_DATA, [shelly(0, OF_EM_DATA)]),
        (f"{SHELLY}/status/em1:1", EM1, [shelly(1, OF_EM1)]),
        (f"{SHELLY}/status/em1data:1", EM1_DATA, [shelly(1, OF_EM1_DATA)]),
        (f"{SHELLY}/status/wifi", {"sta_ip": "10.0.0.7", "rssi": -47}, []),
        (f"{SHELLY}/events/rpc", notify(**{"switch:0": SWITCH}), [shelly(0, OF_SWITCH, TS)]),
        (
            f"{SHELLY}/events/rpc",
            notify(**{"em:0": EM, "emdata:0": EM_DATA}),
            [shelly(0, OF_EM, TS), shelly(0, OF_EM_DATA, TS)],
        ),
        (
            f"{SHELLY}/events/rpc",
            notify(**{"em1:1": EM1, "em1data:1": EM1_DATA}),
            [shelly(1, OF_EM1, TS), shelly(1, OF_EM1_DATA, TS)],
        ),
        (f"{SHELLY}/events/rpc", notify() | {"method": "NotifyEvent"}, []),
        (
            f"{SHELLY}/events/rpc",
            notify(**{"switch:1": {"apower": 812.4}, "sys": {"cfg_rev": 3}}),  # no id
            [shelly(1, {"powerKw": 0.8124}, TS)],
        ),
        (
            "garage/events/rpc",  # another prefix, as in garage/status/switch:0
            notify(**{"switch:0": {"id": 0, "apower": 5}}),
            [{"meterId": "garage/0", "powerKw": 0.005} | TS],
        ),
        (
            f"{SHELLY}/status/pm1:0",  # `aenergy` is of both directions
            {"id": 0, "aenergy": {"total": 10000.0}, "ret_aenergy": {"total": 4000.0}},
            [shelly(0, {"kwhConsumedAcTotal": 6, "kwhExportedAcTotal": 4})],
        ),
        (
            f"{SHELLY}/status/pm1:0",
            {"id": 0, "aenergy": {"total": 4000.0}, "ret_aenergy": {"total": 4000.001}},
            [shelly(0, {"kwhConsumedAcTotal": 0, "kwhExportedAcTotal": 4.000001})],
        ),
    ],
    "tasmota": [
        ("tele/plug-7/SENSOR", {"Time": "2022-01-11T21:57:38", "ENERGY": TASMOTA}, [OF_TASMOTA]),
        ("plug-7/tele/SENSOR", {"Time": "2022-01-11T21:57:38", "ENERGY": TASMOTA}, [OF_TASMOTA]),
        ("stat/plug-7/STATUS8", {"StatusSNS": {"ENERGY": TASMOTA}}, [OF_TASMOTA]),
        ("stat/plug-7/STATUS10", {"StatusSNS": {"ENERGY": TASMOTA}}, [OF_TASMOTA]),
        (
            "tele/meter/SENSOR",
            {"ENERGY": {"Total": 12.5, "ExportActive": 0.25}},
            [{"meterId": "meter", "kwhConsumedAcTotal": 12.5, "kwhExportedAcTotal": 0.25}],
        ),
        (
            "tele/meter/SENSOR",
            {
                "ENERGY": {
                    "Total": 1234.567,
                    "ExportActive": [0, 0.5, 0.25],
                    "Power": [1520, 1490, -10],
                    "Voltage": [230.1, 231.2, 229.9],
                }
            },
            [
                {
                    "meterId": "meter",
                    "kwhConsumedAcTotal": 1234.567,
                    "kwhExportedAcTotal": 0.75,
                    "powerKw": 3,
                    "voltageL1": 230.1,
                    "voltageL2": 231.2,
                    "voltageL3": 229.9,
                }
            ],
        ),
        ("tele/climate/SENSOR", {"AM2301": {"Temperature": 21.5}}, []),
    ],
    "tesla": [
        (
            "telemetry/5YJ3E1EA7KF000001/v/DCChargingEnergyIn",
            "12.341",
            [{"vehicleId": "5YJ3E1EA7KF000001", "kwhDeliveredDcTotal": 12.341}],
        ),
        (
            "telemetry/5YJ3E1EA7KF000001/v/Soc",
            '"72.5"',  # texts, from some versions of cars
            [{"vehicleId": "5YJ3E1EA7KF000001", "soc": 72.5}],
        ),
        (
            "telemetry/5YJ3E1EA7KF000001/v/Odometer",
            "10000",
            [{"vehicleId": "5YJ3E1EA7KF000001", "odometerKm": 16093.44}],
        ),
        (
            "telemetry/5YJ3E1EA7KF000001/v/ModuleTempMax",
            "31.5",
            [{"vehicleId": "5YJ3E1EA7KF000001", "batteryTemp": 31.5}],
        ),
        ("telemetry/5YJ3E1EA7KF000001/v/Soc", "null", []),
    ],
    "teslamate": [
        (
            "teslamate/cars/1/charge_energy_added",
            "5.06",
            [{"vehicleId": "teslamate/1", "kwhDeliveredDcTotal": 5.06}],
        ),
        ("teslamate/cars/1/battery_level", "88", [{"vehicleId": "teslamate/1", "soc": 88}]),
        ("teslamate/cars/1/odometer", "1653", [{"vehicleId": "teslamate/1", "odometerKm": 1653}]),
    ],
    "thingsboard": [
        (
            "v1/gateway/telemetry",
            {
                "Meter A": [
                    {"ts": 1790000000250, "values": {"kwhConsumedAcTotal": "42.5", "powerKw": 7}},
                    {"ts": 1790000060250, "values": {"kwhConsumedAcTotal": 42.6}},
                ],
                "Van B": [{"ts": 1790000000250, "values": {"kwhDeliveredDcTotal": 9, "soc": 50}}],
            },
            [
                {"meterId": "Meter A", "kwhConsumedAcTotal": 42.5, "powerKw": 7} | TS,
                {
                    "meterId": "Meter A",
                    "kwhConsumedAcTotal": 42.6,
                    "timestamp": "2026-09-21T14:14:20.250000+00:00",
                },
                {"vehicleId": "Van B", "kwhDeliveredDcTotal": 9, "soc": 50} | TS,
            ],
        ),
        (
            "v1/devices/me/telemetry",
            [{"ts": 1790000000250, "values": {"meterId": "A", "kwhConsumedAcTotal": 1}}],
            [{"meterId": "A", "kwhConsumedAcTotal": 1} | TS],
        ),
        (
            "v1/devices/me/telemetry",
            {"ts": 1790000000250, "values": {"vehicleId": "B", "soc": 50}},
            [{"vehicleId": "B", "soc": 50} | TS],
        ),
        (
            "v1/devices/me/telemetry",
            {"meterId": "A", "voltage": 230},
            [{"meterId": "A", "voltage": 230}],
        ),
        (
            "v1/devices/me/telemetry",
            {"vehicleId": "B", "kwhDeliveredDcTotal": 3},
            [{"vehicleId": "B", "kwhDeliveredDcTotal": 3}],
        ),
    ],
    "zigbee2mqtt": [
        (
            "zigbee2mqtt/Plug in the hall",
            {"energy": 12.34, "power": 23, "voltage": 231, "state": "ON", "linkquality": 120},
            [
                {
                    "meterId": "Plug in the hall",
                    "kwhConsumedAcTotal": 12.34,
                    "powerKw": 0.023,
                    "voltage": 231,
                }
            ],
        ),
        (
            "zigbee2mqtt/garage/plug",
            {"energy": 12.34, "produced_energy": 0.5},
            [{"meterId": "garage/plug", "kwhConsumedAcTotal": 12.34, "kwhExportedAcTotal": 0.5}],
        ),
        *(
            (
                f"zigbee2mqtt/{name}",
                {
                    "energy_l1": 2.056,
                    "energy_l2": 0.006,
                    "power_l1": 8,
                    "power_l2": 0,
                    "produced_energy_l1": 0,
                    "produced_energy_l2": 0,
                    "voltage_l1": 228.08,
                    "voltage_l2": 228.5,
                },
                [
                    {
                        "meterId": f"{name}/l1",
                        "kwhConsumedAcTotal": 2.056,
                        "kwhExportedAcTotal": 0,
                        "powerKw": 0.008,
                        "voltage": 228.08,
                    },
                    {
                        "meterId": f"{name}/l2",
                        "kwhConsumedAcTotal": 0.006,
                        "kwhExportedAcTotal": 0,
                        "powerKw": 0,
                        "voltage": 228.5,
                    },
                ],
            )
            for name in ("two channels", "garage/two channels")
        ),
        ("zigbee2mqtt/Door", {"battery": 97, "voltage": 3100, "contact": True}, []),
    ],
}


def shown(item: Any) -> dict[str, Any]:
    reading = item.reading if isinstance(item, Arriving) else item
    assert isinstance(reading, Telemetry), item
    given = {field: getattr(reading, attribute(field)) for field in FIELDS}
    return {
        field: value.isoformat() if field == "timestamp" else value
        for field, value in given.items()
        if value is not None
    }


def rounded(reading: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted(
        (field, value if isinstance(value, str) else f"{value:.9f}")
        for field, value in reading.items()
    )


@pytest.mark.parametrize(
    ("name", "topic", "payload", "expected"),
    [(name, *case) for name, cases in CASES.items() for case in cases],
)
def test_a_preset_makes_the_right_readings(
    name: str, topic: str, payload: Any, expected: list[dict[str, Any]]
) -> None:
    sent = payload if isinstance(payload, str) else json.dumps(payload)
    items, _ = TopicRules(preset(name)).decode(topic, sent.encode())
    assert sorted(map(rounded, map(shown, items))) == sorted(map(rounded, expected))


@pytest.mark.parametrize("name", PRESETS)
def test_every_rule_of_a_preset_is_tried(name: str) -> None:
    for rule in preset(name):
        rules = TopicRules([rule])
        assert any(
            rules.decode(
                topic, (payload if isinstance(payload, str) else json.dumps(payload)).encode()
            ).items
            for topic, payload, _ in CASES[name]
        ), rule
