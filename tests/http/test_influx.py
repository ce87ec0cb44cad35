"""InfluxDB's clients write readings by a mapping."""

import gzip
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from tests.conftest import Db, hours_ago, on_migrated, running_service
from tests.support.processes import fleetmeter

pytestmark = pytest.mark.either

ADMIN = "fm_admin00001_" + "a" * 48
RULES = """
[[rules]]
measurement = "wallbox"
meterId = "{site}/{charger}"
[rules.fields]
kwhConsumedAcTotal = { field = "energy", unit = "Wh" }
powerKw = { field = "power", unit = "W" }
"""


@pytest.fixture(scope="module")
def influx(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with a mapping and an admin key."""
    folder = tmp_path_factory.mktemp("influx")
    (folder / "depot.toml").write_text(RULES)
    environ = {"FLEETMETER_MAPPING": "depot.toml", "FLEETMETER_ADMIN_KEY": ADMIN}
    with (
        running_service(folder, on_migrated(database_url) | environ) as service,
        httpx.Client(
            base_url=service.base_url, headers={"Authorization": f"Token {ADMIN}"}, timeout=30
        ) as client,
    ):
        yield client


def ns(minutes: float = 0) -> int:
    return int(hours_ago(1).timestamp() + minutes * 60) * 1_000_000_000


def stored(client: httpx.Client, meter: str) -> dict[str, Any]:
    answer = client.get(f"/v1/meters/{meter.replace('/', '%2F')}")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_a_client_of_influxdb_writes_and_is_told_what_cannot_be_stored(
    influx: httpx.Client, uid: str
) -> None:
    url = str(influx.base_url).rstrip("/")
    with InfluxDBClient(url=url, token=ADMIN, org="depot", enable_gzip=True) as client:
        assert client.ping()
        write = client.write_api(write_options=SYNCHRONOUS).write
        tags = {"site": uid, "charger": "Säule, 1=ö"}
        fields = {"energy": 1500, "power": 7250, "other": "x"}
        point = {"measurement": "wallbox", "tags": tags, "fields": fields, "time": ns()}
        write("any", record=point)
        found = stored(influx, f"{uid}/S%25C3%25A4ule, 1=%25C3%25B6")
        assert (found["kwhConsumedAcTotal"], found["powerKw"]) == (1.5, 7.25)

        old = f"wallbox,site={uid},charger=2 energy=1 1000"
        good = f"wallbox,site={uid},charger=2 energy=2000i {ns()}"
        with pytest.raises(ApiException) as error:
            write("any", record="\n".join([old, good, "no line"]))
        assert error.value.status == 400
        assert "line 1: timestamp is older" in error.value.message
        assert "line 3: a field is not name=value" in error.value.message
        assert stored(influx, f"{uid}/2")["kwhConsumedAcTotal"] == 2


def test_lines_of_one_moment_are_one_reading(influx: httpx.Client, db: Db, uid: str) -> None:
    lines = [
        f"wallbox,charger=1,site={uid} energy=1000 {ns() // 10**9}",
        f"wallbox,site={uid},charger=1 power=3600 {ns() // 10**9}",
    ]
    for _ in range(2):  # a second time changes nothing
        answer = influx.post("/api/v2/write?precision=s", content="\n".join(lines))
        assert (answer.status_code, answer.content) == (204, b"")
    rows = db.fetch("select * from meter_readings where meter_id = $1", f"{uid}/1")
    assert [(row["register_mwh"], row["power_w"]) for row in rows] == [(1_000_000, 3600)]


@pytest.mark.parametrize("path", ["/api/v2/write", "/write", "/api/v3/write_lp"])
def test_every_version_of_the_api_is_answered(influx: httpx.Client, uid: str, path: str) -> None:
    body = gzip.compress(f"wallbox,site={uid},charger=v energy=1000\n".encode())
    answer = influx.post(path, content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 204, answer.text
    assert stored(influx, f"{uid}/v")["kwhConsumedAcTotal"] == 1


def test_keys_come_as_clients_send_them_and_reach_no_further(
    influx: httpx.Client, uid: str
) -> None:
    asked = {"name": f"{uid}key", "scopes": ["ingest"], "devices": [f"{uid}*"]}
    made = influx.post("/v1/keys", json=asked)
    key = made.raise_for_status().json()["key"]
    basic = b64encode(f"user:{key}".encode()).decode()
    ways = [
        ({"Authorization": f"Token {key}"}, ""),
        ({"Authorization": f"Bearer {key}"}, ""),
        ({"Authorization": f"Basic {basic}"}, ""),
        ({}, f"?u=user&p={key}"),
    ]
    lines = f"wallbox,site={uid},charger=1 energy=1\nwallbox,site=x{uid},charger=1 energy=1"
    for headers, query in ways:
        with httpx.Client(base_url=influx.base_url, headers=headers) as client:
            answer = client.post(f"/write{query}", content=lines)
            assert answer.status_code == 400
            (refused,) = answer.json()["lines"]
            assert (refused["line"], refused["code"]) == (2, "forbidden_device")
            assert client.get(f"/v1/meters{query}").status_code in (401, 403)
    with httpx.Client(base_url=influx.base_url) as client:
        assert client.post("/write?p=wrong", content=lines).status_code == 401
        assert client.post("/write?p=%ff&%ff=\xff", content=lines).status_code == 401
        assert client.post("/write", content=lines).status_code == 401


def test_what_no_rule_takes_is_counted(influx: httpx.Client, uid: str) -> None:
    lines = f"{uid}cpu usage=1\nwallbox,site={uid},charger=1 {uid}phases=3,power=1\n"
    for _ in range(3):
        assert influx.post("/api/v2/write", content=lines).status_code == 204
    found = {
        (each["reason"], each["what"]): each["count"]
        for each in influx.get("/v1/inputs").json()["untaken"]
        if uid in each["what"]
    }
    assert found == {("no_rule", f"{uid}cpu"): 3, ("no_field", f"wallbox.{uid}phases"): 3}
    metrics = influx.get("/metrics").text
    assert 'fleetmeter_untaken_messages_total{protocol="influx",reason="no_rule"}' in metrics
    assert 'fleetmeter_readings_total{outcome="accepted",protocol="influx"}' in metrics


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 204, ""),
        (b"# a comment\n\n", 204, ""),
        (b"m v=1\n\xff v=1", 400, "line 2: the line is not UTF-8"),
        (b"wallbox,site=a,charger=b energy=1 1790000000", 400, "read with precision=ns"),
        (b"wallbox,site=a,charger=b energy=1 99999999999999999999", 400, "out of range"),
    ],
)
def test_bodies_that_are_empty_or_wrong(
    influx: httpx.Client, content: bytes, status: int, said: str
) -> None:
    answer = influx.post("/api/v2/write", content=content)
    assert answer.status_code == status
    assert said in answer.text


def test_an_unknown_precision_is_refused(influx: httpx.Client) -> None:
    answer = influx.post("/write?precision=days", content="m v=1")
    assert answer.status_code == 400
    assert "it can be ns, us, ms, s, m or h" in answer.json()["message"]


def test_clients_of_version_1_can_begin(influx: httpx.Client) -> None:
    asked = "CREATE DATABASE depot; SHOW DATABASES; SELECT * FROM x"
    by_form = influx.post("/query", data={"q": asked}).json()["results"]
    assert by_form == influx.get("/query", params={"q": asked}).json()["results"]
    created, shown, refused = by_form
    assert created == {"statement_id": 0}
    assert shown["series"][0]["values"] == [["fleetmeter"]]
    assert "own API" in refused["error"]
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{influx.base_url}/ping")
        assert (answer.status_code, answer.headers["X-Influxdb-Version"]) == (204, "v2.7.0")


def test_many_lines_are_stored_once(influx: httpx.Client, db: Db, uid: str) -> None:
    began = time.time_ns() - 3_600 * 10**9
    lines = "\n".join(
        f"wallbox,site={uid},charger={n % 7} energy={n}i {began + n * 10**9}" for n in range(3000)
    )
    for _ in range(2):
        assert influx.post("/api/v2/write", content=lines).status_code == 204
    count = db.value("select count(*) from meter_readings where meter_id like $1", f"{uid}/%")
    assert count == 3000


def test_of_many_known_lines_each_has_its_own_outcome(
    influx: httpx.Client, db: Db, uid: str
) -> None:
    second = ns() // 10**9

    def lines(minute: int) -> list[str]:
        first = second + 60 * minute
        return [
            f"wallbox,site={uid},charger={n % 3} energy={n},power={n} {first + n // 3}"
            for n in range(600)
        ]

    many = lines(0)
    assert influx.post("/write?precision=s", content="\n".join(many)).status_code == 204
    again = lines(30)
    again[100] = f"wallbox,site={uid},charger=0 energy=7,power=1 1000"
    again[200] = f"wallbox,site={uid},charger=0 energy=-7,power=1 {second + 2700}"
    again[300] = f"wallbox,site={uid},charger=9 energy=7,power=1 {second + 60}"
    again[400] = f"wallbox,site={uid},charger=1 energy=7,power=1e12 {second + 2701}"
    again[500] = many[500].replace("energy=500", "energy=501")
    answer = influx.post("/write?precision=s", content="\n".join(again))
    assert answer.status_code == 400
    refused = [(each["line"], each["code"]) for each in answer.json()["lines"]]
    assert refused == [(101, "too_old"), (201, "out_of_range"), (501, "conflict")]
    count = "select count(*) from meter_readings where meter_id like $1"
    assert db.value(count, f"{uid}/%") == 600 + 597
    assert stored(influx, f"{uid}/9")["kwhConsumedAcTotal"] == 0.007

    asked = {"name": f"{uid}reach", "scopes": ["ingest"], "devices": [f"{uid}/0"]}
    key = influx.post("/v1/keys", json=asked).raise_for_status().json()["key"]
    headers = {"Authorization": f"Token {key}"}
    answer = influx.post("/write?precision=s", content="\n".join(lines(50)), headers=headers)
    assert answer.status_code == 400
    assert "400 lines cannot be stored" in answer.json()["message"]
    assert answer.json()["lines"][0]["line"] == 2
    assert db.value(count, f"{uid}/%") == 600 + 597 + 200


def test_a_service_does_not_start_with_a_mapping_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "depot.toml").write_text(RULES.replace("powerKw", "power"))
    environ = {"FLEETMETER_MAPPING": "depot.toml", "FLEETMETER_PORT": "0"}
    done = fleetmeter(tmp_path, "serve", **environ)
    assert done.returncode == 1
    assert "depot.toml, line 7: there is no measurement power;" in done.stderr
