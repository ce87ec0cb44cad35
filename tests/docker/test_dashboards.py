"""Every dashboard: well-formed, linked, and no query of theirs scans history."""

import asyncio
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tests.conftest import Db, Server, migrated_database
from tests.docker.grafana import expand, read_as_grafana
from tests.support.docker_files import DASHBOARDS, DATASOURCES, DOCKER, load_yaml
from tests.support.plans import scans
from tests.support.rollups import materialise

DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")

ALL: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(DASHBOARDS.glob("*.json"))
}
ON_SQL = [name for name in ALL if name != "ingest-health"]
SESSIONS = "Charging sessions"

CHOSEN = {
    "vehicle": ["V1"],
    "meter": ["M1"],
    "site": ["S1"],
    "tz": ["Europe/Berlin"],
    "kind": ["battery_hot", "voltage_out_of_range", "site_silent"],
    "site_or_none": ["S1", "–"],
    "status": ["open", "acknowledged"],
}
NOBODY = {name: ["nobody's"] for name in CHOSEN} | {"tz": ["UTC"]}

DROPPED = "(bucket < ($2 - '00:15:00'::interval))"
"""dropped_before() looks by index if there is any rollup of history that was dropped."""

UNKNOWN = {
    *("Label", "Cause", "Acknowledged by", "Until", "Who", "Note"),
    *("Odometer", "Battery temperature", "L2", "L3"),
}
"""Columns that the devices and anomalies here have nothing for."""

DEVICES = """
insert into devices (device, kind, id, site, time_zone) overriding system value
select n, 'vehicle', 'V' || n, 'S1', 'Europe/Berlin' from generate_series(1, 3) as n
union all
select 10 + n, 'meter', 'M' || n, 'S1', null from generate_series(1, 3) as n;
insert into meter_vehicles select 10 + n, n from generate_series(1, 3) as n;
insert into assignments (vehicle, since, meter) select n, '2026-01-01Z', 10 + n
from generate_series(1, 3) as n;
insert into live_state (device, meter, time, energy_mwh, soc_bp, power_w, voltage_mv, last_seen)
select device, case when device < 10 then 10 + device end, now(), 0, 5000, 11000, 230000,
    now() - interval '20 minutes' * (device % 2)
from devices;
"""
# each vehicle charges in the first hour of every sixth
VEHICLES = """
insert into readings
    (device, time, span_ms, meter, energy_mwh, soc_bp, battery_temp_cdeg, power_w)
select n, t, 900000, 10 + n, case when extract(hour from t at time zone 'UTC')::int % 6 = 0
    then 1500000 else 0 end, 5000, 2000, 9000
from generate_series($1::timestamptz, $2::timestamptz, interval '15 minutes') as t
cross join generate_series(1, 3) as n
"""
METERS = """
insert into readings (device, time, span_ms, energy_mwh, voltage_mv, voltage_l1_mv, power_w)
select 10 + n, t, 900000, case when extract(hour from t at time zone 'UTC')::int % 6 = 0
    then 1800000 else 0 end, 230000, 229000, 11000
from generate_series($1::timestamptz, $2::timestamptz, interval '15 minutes') as t
cross join generate_series(1, 3) as n
"""
ANOMALIES = """
insert into anomalies
    (kind, device_kind, device_id, site, status, summary, evidence, started_at, detected_at,
    opened_at, ended_at)
select k, d, i, 'S1', s, i || ' is not well', '{}', $1, $1, $1, e
from (
    values ('battery_hot', 'vehicle', 'V1', 'open', null),
        ('voltage_out_of_range', 'meter', 'M1', 'acknowledged', null),
        ('site_silent', 'site', 'S1', 'resolved', $1::timestamptz + interval '1 hour')
) as a (k, d, i, s, e)
"""
EVENTS = """
insert into anomaly_events (anomaly_id, event, at, anomaly)
select a.id, e.event, a.started_at + interval '1 hour', '{}'
from anomalies as a
cross join (values ('opened'), ('resolved')) as e (event)
"""


class History(NamedTuple):
    """A database with six days of history, all but the last hours rolled up; a time range."""

    url: str
    engine: str
    start: datetime
    end: datetime


@pytest.fixture(scope="module")
def history(server: Server) -> Iterator[History]:
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        begin = now.replace(hour=0) - 6 * DAY
        start, end = begin + 1.43 * DAY, begin + 5.21 * DAY
        db.run(DEVICES)
        db.fetch(VEHICLES, begin, now)
        db.fetch(METERS, begin, now)
        db.fetch(ANOMALIES, start + DAY)
        db.fetch(EVENTS)
        materialise(db, server)
        if server.engine == "timescaledb":
            asyncio.run(account(url))
        yield History(url, server.engine, start, end)


async def account(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("call account_hours(35, 1000)")
    await connection.close()


def panels(name: str) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something."""
    return [panel for panel in ALL[name]["panels"] if panel["type"] != "row"]


def asked(name: str) -> dict[str, str]:
    """Every SQL query of a dashboard, also those of its variables and annotations, by title."""
    found = {
        f"{panel['title']} {target['refId']}": target["rawSql"]
        for panel in panels(name)
        for target in panel["targets"]
    }
    for each in ALL[name]["annotations"]["list"]:
        found[each["name"] + ", marked"] = each["target"]["rawSql"]
    for each in ALL[name]["templating"]["list"]:
        if each["type"] == "query":
            found[each["label"] + ", to choose"] = each["query"]
    return found


async def answers(
    connection: asyncpg.Connection,
    history: History,
    queries: dict[str, str],
    chosen: dict[str, list[str]],
) -> dict[str, list[asyncpg.Record]]:
    """What Grafana gets."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await read_as_grafana(connection)
        return {
            title: await connection.fetch(expand(sql, history.start, history.end, chosen))
            for title, sql in queries.items()
        }
    finally:
        await transaction.rollback()


async def answers_of(
    history: History, name: str, chosen: dict[str, list[str]]
) -> dict[str, list[asyncpg.Record]]:
    connection = await asyncpg.connect(history.url, server_settings={"timezone": "UTC"})
    try:
        return await answers(connection, history, asked(name), chosen)
    finally:
        await connection.close()


class ChunkScan(NamedTuple):
    """A chunk that was read: of which hypertable or rollup, its time, and by which condition."""

    hypertable: str
    begins: datetime
    ends: datetime
    condition: str


def scans_of(history: History, queries: dict[str, str]) -> list[ChunkScan]:
    """What TimescaleDB reads for some queries, of everything that grows with time."""
    chunks = {
        row["chunk_name"]: (row["hypertable_name"], row["range_start"], row["range_end"])
        for row in Db(history.url).fetch(
            "select chunk_name, hypertable_name, range_start, range_end"
            " from timescaledb_information.chunks"
        )
    }

    async def ask(connection: asyncpg.Connection) -> None:
        await answers(connection, history, queries, CHOSEN)

    return [
        ChunkScan(*chunks[scan.relation], scan.condition)
        for scan in asyncio.run(scans(history.url, ask))
        if scan.relation in chunks and scan.condition.strip() != DROPPED
    ]


def test_they_are_what_their_sources_make() -> None:
    done = subprocess.run(
        [sys.executable, DOCKER / "grafana" / "write_dashboards.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sources = {path.stem for path in (DOCKER / "grafana" / "source").glob("*.yaml")}
    assert sources - {"variables"} == ALL.keys()
    assert {name: each["uid"] for name, each in ALL.items()} == {name: name for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_every_panel_has_an_id_and_a_place_of_its_own_and_says_what_it_shows(name: str) -> None:
    every = ALL[name]["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    assert all(panel["description"] for panel in panels(name))
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)


@pytest.mark.parametrize("name", ALL)
def test_every_query_goes_to_a_provisioned_data_source(name: str) -> None:
    provisioned = {
        source["uid"]: {"type": source["type"], "uid": source["uid"]}
        for path in DATASOURCES.glob("*.yaml")
        for source in load_yaml(path)["datasources"]
    }
    expected = provisioned["fleetmeter" if name in ON_SQL else "prometheus"]
    for panel in panels(name):
        for target in panel["targets"]:
            assert panel["datasource"] == target["datasource"] == expected
    for each in (*ALL[name]["annotations"]["list"], *ALL[name]["templating"]["list"]):
        assert each["type"] == "custom" if "datasource" not in each else True
        assert each.get("datasource", expected) == expected


@pytest.mark.parametrize("name", ON_SQL)
def test_every_query_is_bounded_and_takes_variables_as_quoted_strings(name: str) -> None:
    offered = {each["name"] for each in ALL[name]["templating"]["list"]}
    for title, sql in asked(name).items():
        assert set(re.findall(r"\$\{(\w+):sqlstring\}", sql)) <= offered, title
        rest = re.sub(r"\$\{\w+:sqlstring\}|\$__time(From|To)\(\)|'\$__searchFilter'", "", sql)
        assert "$" not in rest, title
        # a list ends somewhere, and what grows with time is asked for by time
        if title.endswith("to choose"):
            assert re.search(r"\nlimit \d+$", sql), title
        history = re.search(r"_hourly|_daily|slices\(|_energy\(|_sums\(|_shares\(|_events", sql)
        assert not history or "$__timeFrom()" in sql or "s.begins" in sql, title
    for panel in panels(name):
        if panel["type"] == "table":
            (target,) = panel["targets"]
            assert re.search(r"\nlimit (100|500)$", target["rawSql"]), panel["title"]


@pytest.mark.parametrize("name", ON_SQL)
def test_every_field_that_has_a_style_is_a_column_of_the_query(name: str) -> None:
    for panel in panels(name):
        sql = "".join(target["rawSql"] for target in panel["targets"])
        for override in panel["fieldConfig"]["overrides"]:
            assert f'as "{override["matcher"]["options"]}"' in sql, panel["title"]
        for amount in re.findall(r'1e6::float8 as "([^"]+)"', sql):
            styles = [
                {each["id"]: each["value"] for each in override["properties"]}
                for override in panel["fieldConfig"]["overrides"]
                if override["matcher"]["options"] == amount
            ]
            units = [each["unit"] for each in styles if "unit" in each]
            (unit,) = units or [panel["fieldConfig"]["defaults"]["unit"]]
            assert unit in ("kwatth", "kwatt"), (panel["title"], amount)


def test_links_lead_to_dashboards_and_their_variables() -> None:
    variables = {
        each["uid"]: {variable["name"] for variable in each["templating"]["list"]}
        for each in ALL.values()
    }
    led_to = set()
    for each in ALL.values():
        (link,) = each["links"]
        assert link["type"] == "dashboards"
        assert link["tags"] == each["tags"] == ["fleetmeter"]
    for url in re.findall(r'"url": "(/d/[^"]+)"', json.dumps([*ALL.values()])):
        found = urlsplit(url)
        uid = found.path.removeprefix("/d/")
        led_to.add(uid)
        for parameter in parse_qs(found.query):
            assert parameter.removeprefix("var-") in variables[uid]
    assert led_to == {"vehicle", "meter-and-site"}


@pytest.mark.parametrize("name", ON_SQL)
def test_every_query_answers_the_reader(history: History, name: str) -> None:
    found = asyncio.run(answers_of(history, name, CHOSEN))
    for title, rows in found.items():
        assert rows, title
        for column in {*rows[0].keys()} - UNKNOWN:
            assert any(row[column] is not None for row in rows), (title, column)


@pytest.mark.either
@pytest.mark.parametrize("name", ON_SQL)
def test_no_query_fails_when_nothing_is_chosen(history: History, name: str) -> None:
    asyncio.run(answers_of(history, name, NOBODY))


@pytest.mark.timescaledb
@pytest.mark.parametrize("name", ON_SQL)
def test_rollups_answer_and_history_only_where_the_time_range_cuts_them(
    history: History, name: str
) -> None:
    queries = {title: sql for title, sql in asked(name).items() if SESSIONS not in title}
    first = history.start.astimezone(BERLIN).replace(hour=0, minute=0, second=0)
    last = history.end.astimezone(BERLIN).replace(hour=0, minute=0, second=0) + DAY
    rolled_up = Db(history.url).value("select least(watermark('hourly'), watermark('daily'))")
    for scan in scans_of(history, queries):
        if scan.hypertable == "readings":
            if scan.ends > rolled_up:
                assert "time" in scan.condition, "what is fresh, after what is rolled up"
                continue
            assert any(scan.begins <= at < scan.ends for at in (history.start, history.end)), scan
            assert "device" in scan.condition, scan
            assert "time" in scan.condition, scan
        assert scan.begins < last, scan
        assert scan.ends > first, scan
        if name in ("vehicle", "meter-and-site"):
            assert re.search("device|vehicle", scan.condition), scan


@pytest.mark.timescaledb
def test_sessions_are_read_by_device_and_within_the_time_range(history: History) -> None:
    title, sql = next(each for each in asked("vehicle").items() if SESSIONS in each[0])
    found = scans_of(history, {title: sql})
    assert any(scan.hypertable == "readings" for scan in found)
    for scan in found:
        assert re.search("device|vehicle", scan.condition), scan
        assert scan.begins < history.end, scan
        assert scan.ends > history.start, scan


def test_what_a_vehicle_and_its_meter_show_is_what_they_sent(history: History) -> None:
    charging = [
        at
        for n in range(int((history.end - history.start) / timedelta(minutes=15)) + 2)
        if (at := history.start.replace(minute=0, second=0) + n * timedelta(minutes=15)).hour % 6
        == 0
    ]
    # the readings of hours 0, 6, 12 and 18 that lie in the time range, and none at its edges
    within = [at for at in charging if history.start < at <= history.end]
    vehicle = asyncio.run(answers_of(history, "vehicle", CHOSEN))
    (row,) = vehicle["Energy of the time range A"]
    near = pytest.approx
    assert row["DC delivered"] == near(1.5 * len(within))
    assert row["AC consumed"] == near(1.8 * len(within))
    assert row["Efficiency"] == near(1.5 / 1.8)
    assert row["Lost"] == near(0.3 * len(within))
    assert row["Coverage"] == near(1)
    by_time = vehicle["Energy A"]
    assert all(row["time"].astimezone(BERLIN).hour == 0 for row in by_time)
    assert sum(row["DC delivered"] for row in by_time) >= row["DC delivered"]
    (newest, *_) = vehicle["Power A"]
    assert newest["Highest reported"] == 9
    meter = asyncio.run(answers_of(history, "meter-and-site", CHOSEN))
    assert meter["Energy of the meter A"][0]["AC metered"] == near(1.8 * len(within))
    assert meter["Energy of the site A"][0]["AC metered"] == near(3 * 1.8 * len(within))
    assert [row["Vehicle"] for row in meter["Who charged here A"]] == ["V1"]
    assert max(row["Mean from energy"] for row in vehicle["Power A"]) == near(6)
    fleet = asyncio.run(answers_of(history, "fleet", CHOSEN))
    assert fleet["Energy of the time range A"][0]["DC delivered"] == near(3 * 1.5 * len(within))
    assert fleet["Sites A"][0]["AC metered"] == near(3 * 1.8 * len(within))
    assert fleet["Now A"][0]["Vehicles"] == 3


@pytest.mark.either
def test_buckets_are_hours_of_a_short_range_and_local_days_of_a_long_one(history: History) -> None:
    def buckets(start: datetime, end: datetime, time_zone: str) -> list[datetime]:
        return list(
            Db(history.url).value("select buckets_between($1, $2, $3)", start, end, time_zone)
        )

    at = datetime(2026, 10, 23, 9, 30, tzinfo=UTC)
    hours = buckets(at, at + timedelta(hours=2), "Europe/Berlin")
    assert hours == [at.replace(hour=hour, minute=0) for hour in (9, 10, 11, 12)]
    days = buckets(at, at + 4 * DAY, "Europe/Berlin")
    assert days == [datetime(2026, 10, day, tzinfo=BERLIN) for day in range(23, 29)]
    assert days[3] - days[2] == timedelta(hours=25), "the clocks went back"
