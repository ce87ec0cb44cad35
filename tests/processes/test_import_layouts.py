"""Files in real layouts, imported as they are, and their totals by hour and by day.

Beside sums of the same intervals, made here without the database: each interval lies within one
hour, and so within one local day.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.cli import main
from tests.conftest import Db, eventually, rfc3339
from tests.support import exports
from tests.support.exports import Interval

pytestmark = pytest.mark.either

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
BERLIN = ZoneInfo("Europe/Berlin")
ADELAIDE = ZoneInfo("Australia/Adelaide")
HOURS = 60


def night_with_two_hours() -> datetime:
    """Noon of the day before the last end of daylight saving in Europe that is over for long."""
    today = datetime.now(UTC) - timedelta(days=4)
    for year in (today.year, today.year - 1):
        last = datetime(year, 10, 31, 12, tzinfo=UTC)
        sunday = last - timedelta(days=(last.weekday() + 1) % 7)
        if sunday < today:
            break
    return sunday - timedelta(days=1)


def intervals(minutes: int) -> list[Interval]:
    """Return intervals whose energy, Wh, differs from one to the next."""
    begin, step = night_with_two_hours(), timedelta(minutes=minutes)
    return [
        Interval(begin + n * step, begin + (n + 1) * step, 4 * (100 + n * 37 % 91))
        for n in range(HOURS * 60 // minutes)
    ]


def text(rows: Sequence[Sequence[object]], separator: str = ",") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    return file.getvalue()


def half_hours_with_offsets(metered: Sequence[Interval]) -> str:
    """Write half hours like British suppliers: a space after each comma, and UTC offsets."""
    local = ZoneInfo("Europe/London")
    costs = ("Estimated Cost Inc. Tax (p)", "Standing Charge Inc. Tax (p)")
    rows = [
        (
            f"{each.wh / 1000:.6f}",
            "4.2",
            "0.9",
            *(at.astimezone(local).isoformat() for at in each[:2]),
        )
        for each in metered
    ]
    return text([("Consumption (kwh)", *costs, "Start", "End"), *rows]).replace(",", ", ")


def quarter_hours_in_local_time(metered: Sequence[Interval]) -> str:
    """Write quarter hours like German network operators: mean power, by the begin."""
    rows = []
    for each in metered:
        at = each.start.astimezone(BERLIN)
        kw = f"{each.wh * 4 / 1000:.3f}".replace(".", ",")
        rows.append((f"{at:%d.%m.%Y}", f"{at:%H:%M}", kw, "W"))
    return text([("Lastgang", "", "", ""), ("Datum", "Zeit", "kW", "Status"), *rows], ";")


def a_column_for_each_charger(metered: Sequence[Interval]) -> str:
    """Write registers in Wh, by Unix seconds."""
    totals = exports.totals(metered)
    rows = [(int(at.timestamp()), wh, 7_000_000) for at, wh in totals]
    return text([("unix", "Charger ID [Wh]", "Charger other [Wh]"), *rows])


def wide_of_a_portal(metered: Sequence[Interval]) -> str:
    """Quarter hours by their local begin and end, decimal commas, a column for each charger."""
    lines = ["Lastgang 4711", "", "von;bis;Lader 1 [kWh];Lader 2 [kWh]"]
    for each in metered:
        start, end = (
            f"{time.astimezone(AMSTERDAM):%d.%m.%Y %H:%M}" for time in (each.start, each.end)
        )
        lines.append(f"{start};{end};{f'{each.wh / 1000:.3f}'.replace('.', ',')};0,000")
    return "\n".join([*lines, "Summe;;1,0;0,0"]) + "\n"


def hourly_by_local_begin(metered: Sequence[Interval]) -> str:
    """Hours by their begin, month first, newest first, in Wh."""
    lines = [
        f'"{each.start.astimezone(AMSTERDAM):%m/%d/%Y %I:%M:%S %p}",{each.wh}'
        for each in metered[::-1]
    ]
    return "\n".join(["Usage Date,Usage (Wh)", *lines]) + "\n"


class Layout(NamedTuple):
    """A file and the options that import it."""

    write: Callable[[Sequence[Interval]], str]
    minutes: int
    ending: str = "csv"
    preset: str = ""
    mapping: str = ""
    device: str = ""
    """Value of `--device`; without it, the file contains the ids."""

    meter: str = "ID"


LAYOUTS = [
    Layout(exports.shelly_gen1, 10, preset="shelly", device="ID"),
    Layout(exports.shelly_gen2, 1, preset="shelly", device="ID"),
    Layout(exports.homewizard, 15, preset="dsmr", device="ID"),
    Layout(exports.p1_telegrams, 60, "log", preset="dsmr", device="ID"),
    Layout(exports.green_button, 15, "xml", preset="green-button", device="ID"),
    Layout(exports.home_assistant_history, 30, preset="home-assistant", device="ID"),
    Layout(exports.home_assistant_energy, 60, preset="home-assistant", device="ID"),
    Layout(exports.emoncms, 10, preset="emoncms", device="ID"),
    Layout(exports.acn_data, 60, "json", preset="acn-data", device="ID"),
    Layout(exports.ocpp, 15, "log", preset="ocpp", device="ID", meter="ID-1"),
    Layout(exports.teslamate, 15, preset="teslamate", device="ID"),
    Layout(
        half_hours_with_offsets,
        30,
        mapping='time = "End"\nstart = "Start"\n[fields]\nmeterId = { constant = "ID" }\n'
        'kwhConsumedAc = "Consumption (kwh)"\n',
    ),
    Layout(
        quarter_hours_in_local_time,
        15,
        mapping='time = { columns = ["Datum", "Zeit"], format = "day-first",'
        ' zone = "Europe/Berlin", stamp = "start", interval = "15min" }\ndecimal = ","\n[fields]\n'
        'meterId = { constant = "ID" }\nkwhConsumedAc = { column = "kW", factor = 0.25 }\n',
    ),
    Layout(
        a_column_for_each_charger,
        10,
        mapping='kind = "meter"\ntime = { column = "unix", format = "epoch" }\n[fields]\n'
        'meterId = { each = "Charger * [Wh]" }\n'
        'kwhConsumedAcTotal = { each = "Charger * [Wh]", unit = "Wh" }\n',
    ),
    Layout(
        wide_of_a_portal,
        15,
        mapping='time = { column = "bis", format = "day-first", zone = "Europe/Amsterdam" }\n'
        'start = "von"\ndecimal = ","\nignore = ["Summe"]\n[fields]\nmeterId = { prefix = "ID" }\n'
        'kwhConsumedAc = { each = "Lader * [kWh]" }\n',
        meter="ID1",
    ),
    Layout(
        hourly_by_local_begin,
        60,
        mapping='time = { column = "Usage Date", format = "month-first", zone = "Europe/Amsterdam",'
        ' stamp = "start", interval = "1h" }\n[fields]\nmeterId = { constant = "ID" }\n'
        'kwhConsumedAc = { column = "Usage (Wh)", unit = "Wh" }\n',
    ),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=[each.write.__name__ for each in LAYOUTS])
def test_a_file_comes_to_the_same_in_all_by_the_hour_and_by_the_local_day(
    client: httpx.Client, db: Db, uid: str, tmp_path: Path, layout: Layout
) -> None:
    metered = intervals(layout.minutes)
    path, mapping = tmp_path / f"export.{layout.ending}", tmp_path / "map.toml"
    path.write_text(layout.write(metered).replace("Charger ID", f"Charger {uid}"))
    mapping.write_text(layout.mapping.replace("ID", uid))
    assert len(layout.mapping.splitlines()) <= 10
    words = [*(["--map", str(mapping)] if layout.mapping else ["--preset", layout.preset])]
    words += ["--device", uid] if layout.device else []
    environ = {"FLEETMETER_DATABASE_URL": db.url}
    done = CliRunner().invoke(main, ["import", *words, str(path)], env=environ)
    assert done.exit_code == 0, done.output

    of_vehicle = layout.preset == "teslamate"
    kind, field = (
        ("vehicles", "energyDeliveredDc") if of_vehicle else ("meters", "energyConsumedAc")
    )
    url = f"/v1/{kind}/{layout.meter.replace('ID', uid)}/energy"
    begin, end = metered[0].start - timedelta(hours=2), metered[-1].end + timedelta(hours=2)

    def shown(**bucket: str) -> dict[datetime, int]:
        params = {"from": rfc3339(begin), "to": rfc3339(end), "limit": "1000", **bucket}
        items = client.get(url, params=params).raise_for_status().json()["items"]
        return {
            datetime.fromisoformat(item["to"]): round(item[field] * 1000)
            for item in items
            if item[field]
        }

    hours: Counter[datetime] = Counter()
    for each in metered:
        hours[each.start.replace(minute=0) + timedelta(hours=1)] += each.wh
    eventually(lambda: shown() == hours)
    assert sum(shown(bucket="15min").values()) == sum(each.wh for each in metered)
    for zone in (BERLIN, ADELAIDE):
        # an hour of UTC lies on two days of Adelaide: there by the quarter hour, spread evenly
        days: Counter[object] = Counter()
        parts = [(each, at) for each in metered for at in halves(each)]
        for each, at in parts:
            days[at.astimezone(zone).date()] += each.wh // len(halves(each))
        by_day = shown(bucket="day", tz=zone.key)
        ends = [(to - timedelta(microseconds=1)).astimezone(zone).date() for to in by_day]
        assert dict(zip(ends, by_day.values(), strict=True)) == days


def halves(each: Interval) -> list[datetime]:
    """Return the begins of the parts of an interval that lie within one half hour each."""
    half = timedelta(minutes=30)
    return [each.start, each.start + half] if each.end - each.start > half else [each.start]
