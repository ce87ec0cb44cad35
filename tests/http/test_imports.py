"""Imported files give the totals, hours and local days that their intervals have."""

import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from fleetmeter.files.imports.mapping.options import MappingOptions
from fleetmeter.files.imports.run import Stop, prepared, run
from fleetmeter.settings import Settings
from tests.conftest import rfc3339
from tests.support import exports
from tests.support.exports import Interval

pytestmark = pytest.mark.either

ZONE = "Europe/Amsterdam"


def summer_ended() -> datetime:
    """Return when clocks last went back in Europe: 1:00 UTC of October's last Sunday."""
    now = datetime.now(UTC)
    last = [datetime(year, 10, 31, 1, tzinfo=UTC) for year in (now.year, now.year - 1)]
    changes = [day - timedelta(days=(day.weekday() + 1) % 7) for day in last]
    return next(change for change in changes if change < now - timedelta(days=3))


BEGIN = summer_ended() - timedelta(hours=13)
END = BEGIN + timedelta(hours=48)


def intervals(minutes: int) -> list[Interval]:
    """Return two days of intervals around the night with 25 hours, each with its own energy."""
    step = timedelta(minutes=minutes)
    count = 48 * 60 // minutes
    return [
        Interval(BEGIN + n * step, BEGIN + (n + 1) * step, 4 * (100 + n * 37 % 91))
        for n in range(count)
    ]


def wide_of_a_portal(metered: Sequence[Interval]) -> str:
    """Quarter hours by their local begin and end, decimal commas, a column for each charger."""
    zone = ZoneInfo(ZONE)
    lines = ["Lastgang 4711", "", "von;bis;Lader 1 [kWh];Lader 2 [kWh]"]
    for each in metered:
        start, end = (f"{time.astimezone(zone):%d.%m.%Y %H:%M}" for time in (each.start, each.end))
        lines.append(f"{start};{end};{f'{each.wh / 1000:.3f}'.replace('.', ',')};0,000")
    return "\n".join([*lines, "Summe;;1,0;0,0"]) + "\n"


def hourly_by_local_begin(metered: Sequence[Interval]) -> str:
    """Hours by their begin, month first, newest first, in Wh."""
    zone = ZoneInfo(ZONE)
    lines = [
        f'"{each.start.astimezone(zone):%m/%d/%Y %I:%M:%S %p}",{each.wh}' for each in metered[::-1]
    ]
    return "\n".join(["Usage Date,Usage (Wh)", *lines]) + "\n"


WIDE = """
time = { column = "bis", format = "day-first", zone = "Europe/Amsterdam" }
start = "von"
decimal = ","
ignore = ["Summe"]
[fields]
meterId = { prefix = "PREFIX" }
kwhConsumedAc = { each = "Lader * [kWh]" }
"""
HOURLY = """
[time]
column = "Usage Date"
format = "month-first"
zone = "Europe/Amsterdam"
stamp = "start"
interval = "1h"
[fields]
meterId = { constant = "PREFIX1" }
kwhConsumedAc = { column = "Usage (Wh)", unit = "Wh" }
"""
CASES: list[tuple[Callable[[Sequence[Interval]], str], int, str, str]] = [
    (exports.shelly_gen1, 10, "shelly", ".csv"),
    (exports.shelly_gen2, 1, "shelly", ".csv"),
    (exports.homewizard, 15, "dsmr", ".csv"),
    (exports.p1_telegrams, 60, "dsmr", ".txt"),
    (exports.green_button, 15, "green-button", ".xml"),
    (exports.home_assistant_history, 30, "home-assistant", ".csv"),
    (exports.home_assistant_energy, 60, "home-assistant", ".csv"),
    (exports.emoncms, 10, "emoncms", ".csv"),
    (exports.acn_data, 60, "acn-data", ".json"),
    (exports.ocpp, 15, "ocpp", ".log"),
    (exports.teslamate, 15, "teslamate", ".csv"),
    (wide_of_a_portal, 15, WIDE, ".csv"),
    (hourly_by_local_begin, 60, HOURLY, ".csv"),
]


def by(metered: Sequence[Interval], bucket: Callable[[datetime], datetime]) -> dict[datetime, int]:
    """Return the Wh of each bucket, by the begin of the intervals."""
    found: Counter[datetime] = Counter()
    for each in metered:
        found[bucket(each.start)] += each.wh
    return dict(found)


def local_day(time: datetime) -> datetime:
    """Return the local midnight before a time."""
    day = time.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0, fold=0)
    return max(day.astimezone(UTC), BEGIN)


@pytest.mark.parametrize(
    ("export", "minutes", "understood", "ending"), CASES, ids=[each[0].__name__ for each in CASES]
)
def test_totals_hours_and_local_days_are_those_of_the_intervals(
    export: Callable[[Sequence[Interval]], str],
    minutes: int,
    understood: str,
    ending: str,
    client: httpx.Client,
    database_url: str,
    uid: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metered = intervals(minutes)
    path = tmp_path / f"export{ending}"
    path.write_text(export(metered))
    if "=" in understood:
        assert len(understood.strip().splitlines()) <= 10
        asked = MappingOptions(tomllib.loads(understood.replace("PREFIX", f"{uid}-")))
        path_of = f"/v1/meters/{uid}-1"
    else:
        asked = MappingOptions(preset=understood, device=uid)
        kind = "vehicles" if understood == "teslamate" else "meters"
        path_of = f"/v1/{kind}/{uid}{'-1' * (understood == 'ocpp')}"
    for _ in range(2):  # a second time finds duplicates
        imports = prepared([path], None, None, asked)
        status = run(imports, database_url, Settings(database_url=database_url), Stop())
        assert status == 0, capsys.readouterr().err

    def series(**more: Any) -> dict[datetime, int]:
        window = {"from": rfc3339(BEGIN), "to": rfc3339(END), "limit": "1000"}
        answer = client.get(f"{path_of}/energy", params=window | more)
        items = answer.json()["items"]
        field = "energyDeliveredDc" if "vehicles" in path_of else "energyConsumedAc"
        return {
            datetime.fromisoformat(item["from"]): round(item[field] * 1000)
            for item in items
            if item[field]
        }

    assert series() == by(metered, lambda time: time.replace(minute=0))
    assert series(bucket="day", tz=ZONE) == by(metered, local_day)
    assert sum(series(bucket="15min").values()) == sum(each.wh for each in metered)
