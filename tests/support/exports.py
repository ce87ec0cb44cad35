"""Exports of other programs in their real layouts, with values of our own.

Each takes what was metered, as (start, end, kWh) in UTC, and writes it as that program does.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import accumulate, groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fleetmeter.files.imports.presets.dsmr import _crc16

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class Interval(NamedTuple):
    """Energy of an interval, in Wh so that every layout can write it."""

    start: datetime
    end: datetime
    wh: int


def totals(intervals: Sequence[Interval], begin_wh: int = 5_000_000) -> list[tuple[datetime, int]]:
    """A register at the begin of the first interval and at the end of each."""
    shown = accumulate((each.wh for each in intervals), initial=begin_wh)
    times = [intervals[0].start, *(each.end for each in intervals)]
    return list(zip(times, shown, strict=True))


def shelly_gen1(intervals: Sequence[Interval]) -> str:
    """em_data.csv of a Shelly 3EM; its log has a row each ten minutes."""
    lines = ["Date/time UTC,Active energy Wh (1),Returned energy Wh (1),Min V,Max V"]
    for each in intervals:
        lines.append(f"{each.start:%Y-%m-%d %H:%M},{each.wh:.2f},0.00,229.0,233.5")
    return "\n".join(lines) + "\n"


_EM_COLUMNS = [
    "total_act_energy",
    "fund_act_energy",
    "total_act_ret_energy",
    "fund_act_ret_energy",
    "lag_react_energy",
    "lead_react_energy",
    "max_act_power",
    "min_act_power",
    "max_aprt_power",
    "min_aprt_power",
    "max_voltage",
    "min_voltage",
    "avg_voltage",
    "max_current",
    "min_current",
    "avg_current",
]


def shelly_gen2(intervals: Sequence[Interval]) -> str:
    """data.csv of a Shelly Pro 3EM, with keys: a row a minute, energy by phase."""
    phases = [f"{phase}_{name}" for phase in "abc" for name in _EM_COLUMNS]
    lines = [",".join(["timestamp", *phases, "n_max_current", "n_min_current", "n_avg_current"])]
    for each in intervals:
        parts = (each.wh // 2, each.wh // 4, each.wh - each.wh // 2 - each.wh // 4)
        cells = [
            f"{part:.4f},{part:.4f},0.0000,0.0000,0.0386,0.0006,10.7,9.8,30.7,18.2,"
            "231.2,228.9,230.1,0.2,0.1,0.15"
            for part in parts
        ]
        lines.append(",".join([f"{each.start.timestamp():.0f}", *cells, "0.1,0.1,0.1"]))
    return "\n".join(lines) + "\n"


def homewizard(intervals: Sequence[Interval]) -> str:
    """The export of a HomeWizard P1 meter: registers of two tariffs, local times."""
    lines = [
        "time,Import T1 kWh,Import T2 kWh,Export T1 kWh,Export T2 kWh,L1 max W,L2 max W,L3 max W"
    ]
    for time, wh in totals(intervals):
        local = time.astimezone(AMSTERDAM)
        low = wh // 3
        lines.append(
            f"{local:%Y-%m-%d %H:%M},{low / 1000:.3f},{(wh - low) / 1000:.3f},12.500,0.250,9,8,7"
        )
    return "\n".join(lines) + "\n"


def p1_telegrams(intervals: Sequence[Interval], end: str = "\r\n") -> str:
    """A log of the telegrams of a P1 port, as DSMR 5 has them."""
    found = []
    for time, wh in totals(intervals):
        local = time.astimezone(AMSTERDAM)
        season = "S" if local.dst() else "W"
        low = wh // 3
        body = end.join(
            [
                "/ISk5\\2MT382-1000",
                "",
                "1-3:0.2.8(50)",
                f"0-0:1.0.0({local:%y%m%d%H%M%S}{season})",
                "0-0:96.1.1(4B384547303034303436333935353037)",
                f"1-0:1.8.1({low / 1000:010.3f}*kWh)",
                f"1-0:1.8.2({(wh - low) / 1000:010.3f}*kWh)",
                "1-0:2.8.1(000012.500*kWh)",
                "1-0:2.8.2(000000.250*kWh)",
                "0-0:96.14.0(0002)",
                "1-0:1.7.0(01.193*kW)",
                "1-0:2.7.0(00.000*kW)",
                "1-0:99.97.0(1)(0-0:96.7.19)(101208152415W)(0000000240*s)",
                "1-0:32.7.0(230.1*V)",
                "1-0:52.7.0(230.2*V)",
                "1-0:72.7.0(230.3*V)",
                "1-0:31.7.0(002*A)",
                f"0-1:24.2.1({local:%y%m%d%H%M%S}{season})(12785.123*m3)",
                "!",
            ]
        )
        found.append(f"{body}{_crc16(body.encode()):04X}{end}")
    return "".join(found)


def green_button(intervals: Sequence[Interval]) -> str:
    """A feed of a utility: a usage point, its type, a block a day, and daily sums beside."""
    base = "https://example.org/DataCustodian/espi/1_1/resource/Subscription/9/UsagePoint/4711"
    day = lambda each: each.start.date()  # noqa: E731
    entries = [
        _entry(base, "<ServiceCategory><kind>0</kind></ServiceCategory>", "UsagePoint"),
        *(
            _block(f"{base}/MeterReading/1", number, list(each))
            for number, (_, each) in enumerate(groupby(intervals, day), 1)
        ),
        _block(
            f"{base}/MeterReading/2",
            99,
            [_summed(list(each)) for _, each in groupby(intervals, day)],
        ),
        _entry(f"{base}/MeterReading/1", "", "MeterReading", f"{base}/../ReadingType/1"),
        _entry(f"{base}/MeterReading/2", "", "MeterReading", f"{base}/../ReadingType/2"),
        _entry(f"{base}/../ReadingType/1", _type(900), "ReadingType"),
        _entry(f"{base}/../ReadingType/2", _type(86_400), "ReadingType"),
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<title>Green Button</title>{''.join(entries)}</feed>\n"
    )


def _summed(intervals: Sequence[Interval]) -> Interval:
    return Interval(intervals[0].start, intervals[-1].end, sum(each.wh for each in intervals))


def _type(seconds: int) -> str:
    return (
        "<accumulationBehaviour>4</accumulationBehaviour><commodity>1</commodity>"
        f"<flowDirection>1</flowDirection><intervalLength>{seconds}</intervalLength>"
        "<kind>12</kind><powerOfTenMultiplier>-3</powerOfTenMultiplier><uom>72</uom>"
    )


def _block(series: str, number: int, intervals: Sequence[Interval]) -> str:
    readings = "".join(
        "<IntervalReading><cost>120</cost><timePeriod>"
        f"<duration>{(each.end - each.start).total_seconds():.0f}</duration>"
        f"<start>{each.start.timestamp():.0f}</start></timePeriod>"
        f"<value>{each.wh * 1000}</value></IntervalReading>"
        for each in intervals
    )
    return _entry(f"{series}/IntervalBlock/{number}", readings, "IntervalBlock")


def _entry(href: str, content: str, kind: str, *related: str) -> str:
    up = href.rsplit("/", 1)[0]
    links = "".join(f'<link rel="related" href="{each}"/>' for each in related)
    return (
        f'<entry><id>urn:uuid:{abs(hash(href))}</id><link rel="self" href="{href}"/>'
        f'<link rel="up" href="{up}"/>{links}<content>'
        f'<{kind} xmlns="http://naesb.org/espi">{content}</{kind}></content></entry>'
    )


def home_assistant_history(intervals: Sequence[Interval]) -> str:
    """The CSV of the history page: a register in kWh, and what else was asked for."""
    lines = ["entity_id,state,last_changed"]
    for time, wh in totals(intervals):
        at = f"{time:%Y-%m-%dT%H:%M:%S}.000Z"
        lines.append(f"sensor.wallbox_energy_total,{wh / 1000},{at}")
        lines.append(f"sensor.wallbox_status,charging,{at}")
    restarted = f"{intervals[0].start:%Y-%m-%dT%H:%M}:30Z"
    lines.insert(5, f"sensor.wallbox_energy_total,unavailable,{restarted}")
    return "\n".join(lines) + "\n"


def home_assistant_energy(intervals: Sequence[Interval]) -> str:
    """The CSV of the energy dashboard: a column for each hour."""
    head = [f"{each.start:%Y-%m-%dT%H:%M:%S}.000Z" for each in intervals]
    return (
        "\n".join(
            [
                ",".join(["entity_id", "type", "unit", *head]),
                ",".join(
                    [
                        "sensor.wallbox",
                        "device_consumption",
                        "kWh",
                        *(str(each.wh / 1000) for each in intervals),
                    ]
                ),
                ",".join(
                    [
                        "sensor.wallbox_cost",
                        "grid_consumption_cost",
                        "EUR",
                        *("0.1" for _ in intervals),
                    ]
                ),
                ",".join(["", "calculated_total_consumption", "kWh", *("1" for _ in intervals)]),
            ]
        )
        + "\n"
    )


def emoncms(intervals: Sequence[Interval]) -> str:
    """The CSV export of a feed in kWh, with Unix times."""
    rows = [f"{time.timestamp():.0f},{wh / 1000:.3f}" for time, wh in totals(intervals)]
    rows.insert(2, f"{intervals[0].start.timestamp() + 30:.0f},null")
    return "\n".join(rows) + "\n"


def emoncms_json(intervals: Sequence[Interval]) -> str:
    """The answer of feed/data.json: pairs of milliseconds and values."""
    return json.dumps([[int(time.timestamp()) * 1000, wh / 1000] for time, wh in totals(intervals)])


def acn_data(intervals: Sequence[Interval]) -> str:
    """Sessions of ACN-Data; the cable stays in when the charge is done."""
    items = [
        {
            "_id": f"5bc90cb9f9af8b0d7fe7{number:04}",
            "clusterID": "0039",
            "connectionTime": format_datetime(each.start.astimezone(UTC), usegmt=True),
            "disconnectTime": format_datetime(each.end.astimezone(UTC), usegmt=True),
            "doneChargingTime": None
            if number % 2
            else format_datetime(each.end.astimezone(UTC), usegmt=True),
            "kWhDelivered": each.wh / 1000,
            "sessionID": f"2_39_78_362_{number}",
            "siteID": "0002",
            "spaceID": "CA-496",
            "stationID": "2-39-78-362",
            "timezone": "America/Los_Angeles",
            "userID": None,
            "userInputs": None if number % 3 else [{"WhPerMile": 250, "kWhRequested": 25.0}],
        }
        for number, each in enumerate(intervals)
    ]
    return json.dumps({"_meta": {"min_kWh": None}, "_items": items}, indent=4)


def ocpp(intervals: Sequence[Interval]) -> str:
    """A log of messages as a central system writes it: one transaction of connector 1."""
    lines = []
    for number, (time, wh) in enumerate(totals(intervals)):
        at = f"{time:%Y-%m-%dT%H:%M:%SZ}"
        before = f"{time:%Y-%m-%d %H:%M:%S},120 INFO ocpp: CP001: receive message "
        if number == 0:
            call = {"connectorId": 1, "idTag": "04AA31BB", "meterStart": wh, "timestamp": at}
            lines.append(before + json.dumps([2, "s1", "StartTransaction", call]))
            lines.append(
                before + '[3,"s1",{"idTagInfo":{"status":"Accepted"},"transactionId":7781}]'
            )
        elif number == len(intervals):
            call = {"transactionId": 7781, "meterStop": wh, "timestamp": at, "idTag": "04AA31BB"}
            lines.append(before + json.dumps([2, "s2", "StopTransaction", call]))
        else:
            sampled = [
                {
                    "value": str(wh),
                    "context": "Sample.Periodic",
                    "format": "Raw",
                    "measurand": "Energy.Active.Import.Register",
                    "unit": "Wh",
                },
                *(
                    {
                        "value": "1487",
                        "measurand": "Power.Active.Import",
                        "phase": phase,
                        "unit": "W",
                    }
                    for phase in ("L1", "L2", "L3")
                ),
                {"value": "231.4", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
            ]
            values = [{"timestamp": at, "sampledValue": sampled}]
            call = {"connectorId": 1, "transactionId": 7781, "meterValue": values}
            lines.append(before + json.dumps([2, f"m{number}", "MeterValues", call]))
            lines.append(f'{before}[3,"m{number}",{{}}]')
    return "\n".join(lines) + "\n"


def teslamate(intervals: Sequence[Interval], per_process: int = 8) -> str:
    """The table charges as CSV; what was added begins again with each charging process."""
    lines = [
        "id,date,battery_heater_on,battery_level,charge_energy_added,charger_actual_current,"
        "charger_phases,charger_pilot_current,charger_power,charger_voltage,"
        "fast_charger_present,ideal_battery_range_km,outside_temp,charging_process_id"
    ]
    added = 0
    for number, each in enumerate(intervals):
        process = number // per_process
        if number % per_process == 0:
            added = 0
            lines.append(_charge(2 * number, each.start, added, process))
        added += each.wh
        lines.append(_charge(2 * number + 1, each.end, added, process))
    return "\n".join(lines) + "\n"


def _charge(number: int, time: datetime, wh: int, process: int) -> str:
    at = f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    # a charge begins where the one before ended: a moment later
    at += ".500" if wh == 0 else ".000"
    return f"{number},{at},f,55,{wh / 1000},16,3,16,11,231,f,301.5,12.5,{process}"


Export = Callable[[Sequence[Interval]], str]
