"""Ids of any printable ASCII work wherever a device is named: paths, files, rules, commands."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from fleetmeter import cli
from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import connect
from fleetmeter.files.exports import encode
from fleetmeter.files.exports.encode import Export, Selection
from fleetmeter.settings import Settings
from tests.conftest import (
    Db,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=1)
OWN_MOMENT = timedelta(seconds=17, milliseconds=321)
"""Nothing that other tests send is exported with it."""

AWKWARD = {
    "evse": "NL*{}*E1*2",
    "pipe-and-spaces": "VIN {}|E 1",
    "slashes": "{}/../readings/",
    "query": "{}?a=1&b=2#c",
    "encoded": "{}%2F%25",
    "plus": "+{}+;,=@",
    "quotes": '{}"\'\\,"",x',
    "formula-and-options": "--{}=1+1",
    "json-and-sql": "{{}}[]'; --$1{}`",
    "parentheses": "({}).*^$",
    "tilde": "!{}~",
    "longest": "{:*<64}",
}


WORST = {"evse", "slashes", "quotes", "formula-and-options", "json-and-sql", "longest"}
"""Tried by `make test`; the others by `make slow`."""


@pytest.fixture(
    params=[
        pytest.param(id_, id=name, marks=[] if name in WORST else [pytest.mark.slow])
        for name, id_ in AWKWARD.items()
    ]
)
def ids(request: pytest.FixtureRequest, uid: str) -> tuple[str, str]:
    """Ids of a vehicle and of a meter, alike but for one character."""
    pattern: str = request.param
    return pattern.format(f"{uid}V"), pattern.format(f"{uid}M")


def encoded(id_: str) -> str:
    return quote(id_, safe="")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run `fleetmeter` on a database, in a folder of its own; return its output."""
    monkeypatch.chdir(tmp_path)

    def run(url: str, *args: str) -> str:
        done = CliRunner(env={"FLEETMETER_DATABASE_URL": url}).invoke(cli.main, args)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_device_can_be_addressed_in_every_path(
    client: httpx.Client, ids: tuple[str, str]
) -> None:
    vehicle, meter = ids
    at = hours_ago(3).replace(minute=5)
    post(
        client,
        *(vehicle_reading(vehicle, at + n * MINUTE, 0.4) for n in range(3)),
        *(meter_reading(meter, at + n * MINUTE, 0.5) for n in range(3)),
    )
    of_vehicle, of_meter = f"/v1/vehicles/{encoded(vehicle)}", f"/v1/meters/{encoded(meter)}"
    window = {"from": rfc3339(at - timedelta(hours=1)), "to": rfc3339(at + timedelta(hours=1))}

    assert ok(client.get(of_vehicle))["vehicleId"] == vehicle
    assert ok(client.get(of_meter))["meterId"] == meter
    assert ok(client.patch(of_vehicle, json={"label": "Van 7"}))["label"] == "Van 7"
    assert ok(client.patch(of_meter, json={"ratedPowerKw": 22}))["ratedPowerKw"] == 22
    assigned = {"meterId": meter, "since": rfc3339(at - MINUTE)}
    assert ok(client.put(f"{of_vehicle}/meter", json=assigned))["restamped"] == 3
    assert ok(client.get(f"{of_vehicle}/assignments"))["items"][0]["meterId"] == meter

    for path, key, id_ in ((of_vehicle, "vehicleId", vehicle), (of_meter, "meterId", meter)):
        first = ok(client.get(f"{path}/readings", params={**window, "limit": 2}))
        rest = client.get(
            f"{path}/readings", params={**window, "limit": 2, "cursor": first["nextCursor"]}
        )
        items = first["items"] + ok(rest)["items"]
        assert [item[key] for item in items] == [id_] * 3
    energy = ok(client.get(f"{of_vehicle}/energy", params=window))["items"]
    assert [(item["energyDeliveredDc"], item["meterIds"]) for item in energy] == [(1.2, [meter])]
    energy = ok(client.get(f"{of_meter}/energy", params=window))["items"]
    assert [item["energyConsumedAc"] for item in energy] == [1.5]
    sessions = ok(client.get(f"{of_vehicle}/sessions", params=window))["items"]
    assert [item["meterId"] for item in sessions] == [meter]
    performance = ok(client.get(f"/v1/analytics/performance/{encoded(vehicle)}", params=window))
    assert (performance["vehicleId"], performance["meterIds"]) == (vehicle, [meter])
    assert performance["efficiencyRatio"] == 0.8
    metered = ok(client.get(f"/v1/analytics/meters/{encoded(meter)}", params=window))
    assert metered["meterId"] == meter
    assert [share["vehicleId"] for share in metered["vehicles"]["items"]] == [vehicle]

    correction = {"timestamp": rfc3339(at), "who": "anna", "reason": "misread"}
    corrected = {"meterId": meter, "voltage": 231, **correction}
    assert ok(client.post("/v1/corrections", json=corrected))["reading"]["meterId"] == meter
    corrected = {"vehicleId": vehicle, "soc": 71, **correction}
    assert ok(client.post("/v1/corrections", json=corrected))["reading"]["vehicleId"] == vehicle
    all_versions = {**window, "versions": "all"}
    versions = ok(client.get(f"{of_meter}/readings", params=all_versions))["items"][0]["versions"]
    assert versions[0]["meterId"] == meter

    rule = {"scope": "vehicle", "target": vehicle, "parameters": {"enabled": False}, "who": "anna"}
    ok(client.put("/v1/rules/battery_hot", json=rule))
    at_vehicle = {"scope": "vehicle", "target": vehicle}
    in_force = ok(client.get("/v1/rules/battery_hot", params=at_vehicle))
    assert in_force["parameters"]["enabled"] is False
    overrides = ok(client.get("/v1/rules/battery_hot/overrides", params={"limit": 1000}))["items"]
    assert vehicle in [item["target"] for item in overrides]
    ok(client.put("/v1/rules/battery_hot", json=rule | {"parameters": {}}))
    assert ok(client.get("/v1/anomalies", params={"deviceId": vehicle}))["items"] == []

    for path in (of_vehicle, of_meter):
        assert client.delete(path).status_code == 204
        gone = client.get(path)
        assert gone.status_code == 404
        assert "removed" in gone.json()["detail"]


def test_no_path_of_the_api_splits_at_an_id(client: httpx.Client, uid: str) -> None:
    unknown = f"{uid}/readings%2F?#+ \"\\'.."
    asked = 0
    for path, item in client.get("/openapi.json").json()["paths"].items():
        if "get" in item and re.search(r"\{(vehicle|meter)_id\}", path):
            answer = client.get(re.sub(r"\{\w+\}", lambda _: encoded(unknown), path))
            assert answer.status_code == 404, path
            assert unknown in answer.json()["detail"], path
            asked += 1
    assert asked >= 10


@pytest.mark.parametrize("text", ["%", "%zz", "a%2", "%FF", "%C3%A4", "%2E", "%20a", "a" * 65])
def test_an_invalid_id_in_a_path_is_400(client: httpx.Client, text: str) -> None:
    base = str(client.base_url)
    for path in ("/v1/vehicles/{}/readings", "/v1/meters/{}/energy", "/v1/analytics/meters/{}"):
        answer = client.get(httpx.URL(base, raw_path=path.format(text).encode()))
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["path"] in ("vehicle_id", "meter_id")


def test_lists_continue_after_any_id(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    mine = sorted(pattern.format(uid) for pattern in AWKWARD.values())
    post(client, *(meter_reading(id_, at) for id_ in mine))
    found: list[str] = []
    more: dict[str, str] | None = {}
    while more is not None:
        page = ok(client.get("/v1/meters", params={"limit": 7, **more}))
        found += [item["meterId"] for item in page["items"]]
        more = {"cursor": page["nextCursor"]} if page["nextCursor"] else None
    assert [id_ for id_ in found if uid in id_] == mine


def test_a_download_is_of_one_device_under_a_plain_name(
    client: httpx.Client, ids: tuple[str, str]
) -> None:
    vehicle, meter = ids
    at = hours_ago(2)
    post(client, vehicle_reading(vehicle, at, meterId=meter), meter_reading(meter, at))
    window = {"from": rfc3339(at), "to": rfc3339(at + MINUTE)}
    for key, id_ in (("vehicleId", vehicle), ("meterId", meter)):
        answer = client.get("/v1/export", params={**window, key: id_})
        assert answer.status_code == 200, answer.text
        assert [line[key] for line in csv.DictReader(io.StringIO(answer.text))] == [id_]
        name = r'attachment; filename="fleetmeter_[\w.-]+\.csv"'
        assert re.fullmatch(name, answer.headers["content-disposition"], re.ASCII)
        binary = client.get("/v1/export", params={**window, key: id_, "format": "parquet"})
        rows = pyarrow.parquet.read_table(io.BytesIO(binary.content)).to_pylist()
        assert [(row["vehicleId"], row["meterId"]) for row in rows] == [
            (vehicle, meter) if key == "vehicleId" else (None, meter)
        ]


def test_files_carry_any_id_there_and_back(
    client: httpx.Client,
    quiet_database_url: str,
    database_url: str,
    uid: str,
    tmp_path: Path,
    command: Callable[..., str],
) -> None:
    at = hours_ago(2) + OWN_MOMENT
    mine = [pattern.format(uid) for pattern in AWKWARD.values()]
    readings = [
        reading
        for id_ in mine
        for n in range(3)
        for reading in (
            vehicle_reading(id_, at + n * MOMENT, meterId=id_),
            meter_reading(id_, at + n * MOMENT),
        )
    ]
    post(client, *readings)
    options = ("--from", rfc3339(at), "--to", rfc3339(at + 3 * MOMENT))

    command(database_url, "export", *options, "--output", "a.csv")
    command(database_url, "export", *options, "--output", "a.parquet", "--format", "parquet")
    command(quiet_database_url, "import", "a.csv")
    there = Db(quiet_database_url)
    count = "select count(*) from {0}_readings where strpos({0}_id, $1) > 0"
    assert [there.value(count.format(kind), uid) for kind in ("vehicle", "meter")] == [36, 36]

    command(quiet_database_url, "export", *options, "--output", "b.csv")

    def lines(name: str) -> list[list[str]]:
        with (tmp_path / name).open(newline="") as file:
            return [line for line in csv.reader(file) if uid in line[0] + line[1]]

    assert lines("b.csv") == lines("a.csv")
    assert {line[0] for line in lines("a.csv") if line[0]} == set(mine)

    (tmp_path / "c.ndjson").write_text("".join(json.dumps(each) + "\n" for each in readings))
    columns = [*vehicle_reading("", at), *meter_reading("", at)]
    with (tmp_path / "d.csv").open("w", newline="") as file:  # as other programs write it
        writer = csv.DictWriter(file, dict.fromkeys(columns), delimiter=";", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(readings)
    for name in ("a.parquet", "c.ndjson", "d.csv"):
        said = command(quiet_database_url, "import", name)
        assert re.search(r" 0 accepted, \d+ duplicates, 0 rejected", said), said


def test_an_export_continues_after_any_id(
    client: httpx.Client, database_url: str, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = hours_ago(2) + OWN_MOMENT
    mine = sorted(pattern.format(uid) for pattern in AWKWARD.values())
    for id_ in mine:
        post(client, vehicle_reading(id_, at, meterId=id_), meter_reading(id_, at))
    monkeypatch.setattr(encode, "PAGE", 1)
    selection = Selection(start=at, end=at + MOMENT, reach=EVERYTHING)

    async def whole() -> str:
        database = await connect(database_url, Settings(database_url=database_url))
        try:
            return b"".join([b async for b in Export(database, selection, "csv").blocks()]).decode()
        finally:
            await database.close()

    keys = [line[:2] for line in csv.reader(asyncio.run(whole()).splitlines()[1:])]
    assert sorted(key for key in keys if uid in "".join(key)) == [
        *(["", id_] for id_ in mine),
        *([id_, id_] for id_ in mine),
    ]


@pytest.mark.postgresql  # what a purge and an export do is tested on both engines
def test_the_command_line_takes_any_id(
    client: httpx.Client,
    database_url: str,
    ids: tuple[str, str],
    tmp_path: Path,
    command: Callable[..., str],
) -> None:
    vehicle, meter = ids
    at = hours_ago(4)
    post(client, vehicle_reading(vehicle, at, meterId=meter), meter_reading(meter, at))
    window = ("--from", rfc3339(at), "--to", rfc3339(at + MINUTE), "--output", "out.csv")
    for option, id_, key in (
        ("--vehicle", vehicle, [vehicle, meter]),
        ("--meter", meter, ["", meter]),
    ):
        command(database_url, "export", *window, option, id_)
        lines = csv.reader((tmp_path / "out.csv").read_text().splitlines()[1:])
        assert [line[:2] for line in lines] == [key]
    command(database_url, "purge", "--device", meter, "--yes")
    assert client.get(f"/v1/meters/{encoded(meter)}").status_code == 404
    assert ok(client.get(f"/v1/vehicles/{encoded(vehicle)}"))["meterId"] is None
    command(database_url, "purge", "--device", vehicle, "--yes")
    assert client.get(f"/v1/vehicles/{encoded(vehicle)}").status_code == 404


def test_a_sentence_names_a_device_by_its_whole_id(db: Db, ids: tuple[str, str]) -> None:
    _, meter = ids

    def names(sentence: str) -> bool:
        said = sentence.replace("{}", meter)
        found: bool = db.value("select names_device($1::text, $2)", said, meter)
        return found

    for sentence in (
        "EV-1 took 4.0 kWh at {}, which metered 1.0 kWh since then: nothing explains it",
        "{} took 12 W in the mean of 6 hours without charging",
        "the curve of {} fits, so it probably charges there",
        "it fits {}.",
        "is it {}: or not?",
        "{}",
    ):
        assert names(sentence), sentence
    for sentence in ("it fits {}2", "it fits 2{}.", "it fits {}.5", "it fits {}/2", "it fits"):
        assert not names(sentence), sentence


def test_json_names_a_device_by_its_values_not_its_keys(db: Db, ids: tuple[str, str]) -> None:
    _, meter = ids

    def names(said: Any) -> bool:
        found: bool = db.value("select names_device($1::jsonb, $2)", json.dumps(said), meter)
        return found

    for said in ({"meterId": meter}, {"a": [{"b": ["x", meter]}]}, [[meter, 1]]):
        assert names(said), said
    for other in ({"meterId": f"{meter}2"}, {meter: 1}, {"a": [f"x{meter}", f"{meter} "]}):
        assert not names(other), other
