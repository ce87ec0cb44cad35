"""The dashboard "Fleet today": well-formed, and right about the energy that it shows."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from tests.conftest import Db, eventually, meter_reading, post, rfc3339, vehicle_reading
from tests.docker.grafana import expand, read_as_grafana
from tests.support.docker_files import (
    DASHBOARD,
    PROVIDER,
    dashboard,
    load_yaml,
    services,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_KWH = 1_000_000

# Energy stands in the quarter hour of its reading, or in pieces; chargers' AC is shared out by
# quarter hours.
_HISTORY_PER_HOUR = """
with slices as (
    select
        device,
        meter,
        date_bin('15 minutes', time - interval '1 microsecond', '2000-01-01 00:00:00+00')
            as quarter,
        case when spread then 0 else energy_mwh end as mwh,
        case when spread then 0 else coalesce(span_ms, 0) end as ms,
        battery_temp_cdeg as cdeg
    from readings
    union all
    select
        device,
        meter,
        date_bin('15 minutes', bucket, '2000-01-01 00:00:00+00'),
        energy_mwh,
        covered_ms,
        null
    from spread_energy
),
devices_of_quarters as (
    select
        s.quarter,
        d.kind,
        s.device,
        case when d.kind = 'meter' then s.device when m.role is null then s.meter end as meter,
        sum(s.mwh) as mwh,
        sum(sum(s.ms)) over (partition by s.quarter, s.device) as covered_ms,
        sum(s.cdeg) as cdeg,
        max(s.cdeg) as cdeg_max,
        count(s.cdeg) as cdeg_count
    from slices as s
    join devices as d using (device)
    left join devices as m
        on m.device = s.meter
    where s.quarter >= $1
        and s.quarter < $2
        and d.role is null
    group by 1, 2, 3, 4
),
dc as (
    select
        quarter,
        meter,
        sum(mwh) as mwh,
        sum(cdeg) as cdeg,
        max(cdeg_max) as cdeg_max,
        sum(cdeg_count) as cdeg_count,
        min(covered_ms) as least_ms,
        max(covered_ms) as most_ms
    from devices_of_quarters
    where kind = 'vehicle'
    group by 1, 2
),
ac as (
    select quarter, meter, mwh, covered_ms
    from devices_of_quarters
    where kind = 'meter'
),
both_sides as (
    select
        quarter,
        ac.mwh as ac,
        dc.mwh as dc,
        dc.cdeg,
        dc.cdeg_max,
        dc.cdeg_count,
        least(least_ms, covered_ms) >= 0.9 * greatest(most_ms, covered_ms)
            and least(least_ms, covered_ms) > 0
            and ac.mwh is not null and dc.mwh is not null as comparable
    from dc
    full join ac using (quarter, meter)
)
select
    date_bin('1 hour', quarter, '2000-01-01 00:00:00+00') as hour,
    sum(ac)::float8 as ac,
    sum(dc)::float8 as dc,
    sum(ac) filter (where dc > 0)::float8 as attributed_ac,
    sum(dc) filter (where comparable)::float8 as compared_dc,
    sum(ac) filter (where comparable and dc > 0)::float8 as compared_ac,
    sum(cdeg)::float8 / nullif(sum(cdeg_count), 0)::float8 as cdeg_mean,
    max(cdeg_max)::float8 as cdeg_max
from both_sides
group by 1
order by 1
"""


class Shown(NamedTuple):
    """What the panels answered, by title and refId, and what history says, in one snapshot."""

    answers: dict[tuple[str, str], list[asyncpg.Record]]
    hours: list[asyncpg.Record]
    days: list[asyncpg.Record]
    reporting: tuple[int, int]


class Fleet(NamedTuple):
    """Devices of the test's own, and the time range under which they are looked at."""

    uid: str
    start: datetime
    end: datetime


def floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - datetime(2000, 1, 1, tzinfo=UTC)) % width


def targets() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every query of the dashboard with its panel."""
    return [(panel, target) for panel in dashboard()["panels"] for target in panel["targets"]]


@pytest.fixture
def fleet(client: httpx.Client, db: Db, uid: str) -> Fleet:
    """Vehicles at one meter, one without, one at a silent one; a meter alone, and the site's."""
    now = datetime.now(UTC)
    start = now - DAY
    first = floor(start, HOUR)
    late, later = floor(now, HOUR) - 3 * HOUR, floor(now, HOUR) - 2 * HOUR
    minute = timedelta(minutes=1)
    m1, m2, m3, site = f"{uid}M1", f"{uid}M2", f"{uid}M3", f"{uid}SITE"
    client.patch(f"/v1/meters/{site}", json={"role": "site"}).raise_for_status()
    post(
        client,
        meter_reading(m1, late + minute, 600, voltage=228),
        meter_reading(m1, late + 8 * minute, 400, voltage=233),
        vehicle_reading(f"{uid}V1", late + minute, 500, meterId=m1, batteryTemp=41.5),
        vehicle_reading(f"{uid}V1", late + 8 * minute, 100, meterId=m1),
        vehicle_reading(f"{uid}V2", late + minute, 200, meterId=m1),
        vehicle_reading(f"{uid}V2", late + 8 * minute, 0, meterId=m1),
        vehicle_reading(f"{uid}V3", late + minute, 300),
        vehicle_reading(f"{uid}V4", late + minute, 100, meterId=m2),
        meter_reading(m3, late + minute, 900, voltage=231),
        meter_reading(site, late + minute, 5000),
        # nobody charges
        meter_reading(m1, later + minute, 100, voltage=229),
        # the hour that the time range cuts counts in full, what was used before it not at all
        meter_reading(m1, first + minute, 50, voltage=230),
        vehicle_reading(f"{uid}V1", first + minute, 40, meterId=m1),
        meter_reading(m1, first, 70, voltage=230),
        vehicle_reading(f"{uid}V1", first, 60, meterId=m1),
    )

    def adds_up(sql: str, kwh: int) -> bool:
        return bool(db.value(sql, uid) == kwh * _KWH)

    for relation, device, kwh in [
        ("vehicle_hourly", "vehicle_id", 1300),
        ("vehicle_daily", "vehicle_id", 1300),
        ("meter_hourly", "meter_id", 7120),
        ("meter_daily", "meter_id", 7120),
    ]:
        rolled_up = f"select sum(energy_mwh) from {relation} where starts_with({device}, $1)"
        eventually(adds_up, rolled_up, kwh, timeout_s=30)
    return Fleet(uid, start, now)


def look(url: str, fleet: Fleet) -> Shown:
    """Run every query of the dashboard as Grafana does."""
    return asyncio.run(_look(url, fleet))


async def _look(url: str, fleet: Fleet) -> Shown:
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    transaction = connection.transaction(isolation="repeatable_read")
    try:
        await transaction.start()
        await connection.execute(
            "update live_state set last_seen = now() - interval '1 day'"
            " where device = device_of('vehicle', $1)",
            f"{fleet.uid}V2",
        )
        hours = await connection.fetch(
            _HISTORY_PER_HOUR, floor(fleet.start, HOUR), floor(fleet.end, HOUR) + HOUR
        )
        month = fleet.end - 30 * DAY
        days = await connection.fetch(
            _HISTORY_PER_HOUR.replace("'1 hour'", "'1 day'"),
            *(floor(month, DAY), floor(fleet.end, DAY) + DAY),
        )
        silent = await connection.fetchrow(
            "select (select count(*) from vehicle_state"
            " where now() - last_seen < '15 minutes' and removed_at is null),"
            " (select count(*) from meter_state"
            " where now() - last_seen < '15 minutes' and removed_at is null)"
        )
        await read_as_grafana(connection)
        answers = {}
        for panel, target in targets():
            start = month if panel.get("timeFrom") == "30d" else fleet.start
            sql = expand(target["rawSql"], start, fleet.end)
            answers[panel["title"], target["refId"]] = await connection.fetch(sql)
        assert silent is not None
        return Shown(answers, hours, days, tuple(silent))
    finally:
        await transaction.rollback()  # the role and the silence with it
        await connection.close()


def test_it_is_about_the_last_day_in_the_viewers_time_and_follows_along() -> None:
    found = dashboard()
    assert (found["title"], found["uid"]) == ("Fleet today", "fleet-today")
    assert found["time"] == {"from": "now-24h", "to": "now"}
    assert found["timezone"] == "browser"
    assert found["refresh"] == "1m"


def test_grafana_finds_the_dashboard_where_compose_mounts_it() -> None:
    (provider,) = load_yaml(PROVIDER)["providers"]
    folder = provider["options"]["path"]
    grafana = services()["grafana"]
    assert f"./grafana/{DASHBOARD.parent.name}:{folder}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/{DASHBOARD.name}"


def test_every_query_is_bounded_by_time_or_reads_live_state_and_every_list_by_a_limit() -> None:
    for panel, target in targets():
        sql = target["rawSql"]
        bounds = sql.count("$__timeFrom()"), sql.count("$__timeTo()")
        asked = sum(sql.count(name) for name in ("_hourly", "_daily", "from fleet_"))
        assert bounds[0] == bounds[1] == asked, panel["title"]
        assert bounds[0] or "_state" in sql
        assert panel["type"] != "table" or sql.endswith("limit 500")


def test_energy_is_in_kwh_and_ratios_are_per_cent() -> None:
    units = {
        panel["title"]: panel["fieldConfig"]["defaults"].get("unit")
        for panel in dashboard()["panels"]
    }
    assert units == {
        "AC metered": "kwatth",
        "DC delivered": "kwatth",
        "Fleet efficiency": "percentunit",
        "Lost": "kwatth",
        "Unattributed": "kwatth",
        "Reporting": "short",
        "Energy per hour": "kwatth",
        "Efficiency per hour": "percentunit",
        "Lost and unattributed per hour": "kwatth",
        "Battery temperature": "celsius",
        "Vehicles by loss": None,
        "Meters": None,
        "Silent vehicles": None,
        "Energy per day": "kwatth",
    }


def test_vehicles_and_meters_show_what_they_took_and_lost(database_url: str, fleet: Fleet) -> None:
    answers = look(database_url, fleet).answers
    vehicles = {
        row["Vehicle"].removeprefix(fleet.uid): tuple(row)[1:]
        for row in answers["Vehicles by loss", "A"]
        if row["Vehicle"].startswith(fleet.uid)
    }
    m1, m2, m3, site = (f"{fleet.uid}{name}" for name in ("M1", "M2", "M3", "SITE"))
    near = pytest.approx
    assert vehicles == {
        # its share of 1000 kWh by 600 of 800 kWh, and the hour that the time range cuts
        "V1": (m1, near(640), near(750 + 50), near(0.8), near(160), near(41.5)),
        "V2": (m1, near(200), near(250), near(0.8), near(50), near(36)),
        "V3": (None, near(300), None, None, None, near(36)),
        "V4": (m2, near(100), None, None, None, near(36)),
    }
    meters = {
        row["Meter"]: tuple(row)[1:]
        for row in answers["Meters", "A"]
        if row["Meter"].startswith(fleet.uid)
    }
    assert meters == {
        m1: ("charger", near(1150), near(100), near(228), near(230), near(233)),
        m3: ("charger", near(900), near(900), near(231), near(231), near(231)),
        site: ("site", near(5000), None, near(230), near(230), near(230)),
    }


def test_a_vehicle_that_was_not_heard_is_silent(database_url: str, fleet: Fleet) -> None:
    answers = look(database_url, fleet).answers
    silent = [
        row for row in answers["Silent vehicles", "A"] if row["Vehicle"].startswith(fleet.uid)
    ]
    assert [tuple(row)[2:] for row in silent] == [(72, 36, f"{fleet.uid}M1")]


def test_what_the_fleet_shows_is_what_history_adds_up_to(database_url: str, fleet: Fleet) -> None:
    def shown_and_true() -> tuple[dict[str, Any], dict[str, Any]]:
        found = look(database_url, fleet)
        shown = {
            f"{title} {ref}": [tuple(row) for row in rows]
            for (title, ref), rows in found.answers.items()
            if title not in ("Vehicles by loss", "Meters", "Silent vehicles")
        }
        return shown, _from_history(found)

    shown, true = shown_and_true()
    deadline = time.monotonic() + 20  # a late reading of another test may still be on its way
    while not _same(shown, true) and time.monotonic() < deadline:
        time.sleep(0.5)
        shown, true = shown_and_true()
    assert shown.keys() == true.keys()
    for panel, rows in true.items():
        assert _same(shown[panel], rows), panel


def _same(shown: Any, true: Any) -> bool:
    """Equal, but for the last digits of floats."""
    if isinstance(true, dict):
        return shown.keys() == true.keys() and all(_same(shown[key], true[key]) for key in true)
    if isinstance(true, list | tuple):
        return len(shown) == len(true) and all(map(_same, shown, true))
    return bool(shown == (pytest.approx(true) if isinstance(true, float) else true))


def _from_history(found: Shown) -> dict[str, Any]:
    """What each panel about the whole fleet must show."""

    def total(column: str) -> float:
        return sum(hour[column] or 0.0 for hour in found.hours)

    def kwh(rows: list[asyncpg.Record], start: str, column: str) -> list[tuple[datetime, float]]:
        return [(row[start], row[column] / _KWH) for row in rows if row[column] is not None]

    driven = [hour for hour in found.hours if hour["dc"] is not None]
    metered = [hour for hour in found.hours if hour["ac"] is not None]
    return {
        "AC metered A": [(total("ac") / _KWH,)],
        "DC delivered A": [(total("dc") / _KWH,)],
        "Fleet efficiency A": [(total("compared_dc") / total("compared_ac"),)],
        "Lost A": [((total("compared_ac") - total("compared_dc")) / _KWH,)],
        "Unattributed A": [((total("ac") - total("attributed_ac")) / _KWH,)],
        "Reporting A": [found.reporting],
        "Energy per hour A": kwh(found.hours, "hour", "ac"),
        "Energy per hour B": kwh(found.hours, "hour", "dc"),
        "Efficiency per hour A": [
            (
                hour["hour"],
                hour["compared_dc"] / hour["compared_ac"] if hour["compared_ac"] else None,
            )
            for hour in driven
        ],
        "Lost and unattributed per hour A": [
            (
                hour["hour"],
                ((hour["compared_ac"] or 0.0) - (hour["compared_dc"] or 0.0)) / _KWH,
                (hour["ac"] - (hour["attributed_ac"] or 0.0)) / _KWH,
            )
            for hour in metered
        ],
        "Battery temperature A": [
            (hour["hour"], *(t and t / 100 for t in (hour["cdeg_mean"], hour["cdeg_max"])))
            for hour in driven
        ],
        "Energy per day A": kwh(found.days, "hour", "ac"),
        "Energy per day B": kwh(found.days, "hour", "dc"),
    }


def test_macros_become_what_grafana_makes_of_them() -> None:
    start = datetime(2026, 2, 9, 10, tzinfo=UTC)
    expanded = expand(
        "select $__timeFrom()::timestamptz, $__timeFilter(bucket)", start, start + DAY
    )
    assert expanded == (
        f"select '{rfc3339(start)}'::timestamptz, "
        f"bucket BETWEEN '{rfc3339(start)}' AND '{rfc3339(start + DAY)}'"
    )
    with pytest.raises(KeyError):
        expand("select $__timeGroup(bucket, '1h')", start, start)
