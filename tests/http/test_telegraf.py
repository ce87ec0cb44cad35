"""Telegraf's outputs are stored, and what is not stored is sent again; see support/telegraf.py."""

import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from tests.conftest import hours_ago, on_migrated, running_service
from tests.support.keys import make_key
from tests.support.raw_http import RawAnswer, asked
from tests.support.repository import ROOT
from tests.support.telegraf import (
    JSON_TRANSFORMATION,
    LINES,
    TRANSFORMED,
    Fate,
    basic,
    fate_v1,
    fate_v2,
    pause_s,
    written,
)

pytestmark = pytest.mark.either

ADMIN = "fm_admin00001_" + "a" * 48
V2, V1 = "/api/v2/write?bucket=any&org=any", "/write?db=telegraf"
PAGE = (ROOT / "docs/inputs/influxdb.md").read_text()
OUTPUTS = {
    name: config
    for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for name, (config,) in tomllib.loads(text).get("outputs", {}).items()
}


@pytest.fixture(scope="module")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with the page's mapping, little room in a body, and keys that may send little."""
    folder: Path = tmp_path_factory.mktemp("telegraf")
    (folder / "depot.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    environ = {
        "FLEETMETER_MAPPING": "depot.toml",
        "FLEETMETER_ADMIN_KEY": ADMIN,
        "FLEETMETER_MAX_BATCH": "100",
        "FLEETMETER_KEY_READINGS_PER_S": "10",
    }
    with (
        running_service(folder, on_migrated(database_url) | environ) as running,
        httpx.Client(
            base_url=running.base_url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=30
        ) as client,
    ):
        yield client


def sent(service: httpx.Client, path: str, authorization: str, lines: str) -> RawAnswer:
    url = str(service.base_url)
    request = written(path, urlsplit(url).netloc, authorization, lines)
    answer = asked(
        url, request.replace(b"Accept-Encoding", b"Connection: close\r\nAccept-Encoding")
    )
    assert answer is not None
    return answer


def batch(site: str, at: datetime | None = None) -> str:
    ns = int((at or hours_ago(1)).timestamp()) * 10**9
    return LINES.format(site=site, ns=ns)


def register(service: httpx.Client, meter: str) -> float:
    found = service.get(f"/v1/meters/{meter.replace('/', '%2F')}").raise_for_status().json()
    return float(found["kwhConsumedAcTotal"])


def ingest_key(service: httpx.Client, name: str) -> str:
    key: str = make_key(service, name, "ingest")["key"]
    return key


@pytest.mark.parametrize(("path", "fate"), [(V2, fate_v2), (V1, fate_v1)])
def test_a_batch_is_delivered(
    service: httpx.Client, uid: str, path: str, fate: Callable[[int], Fate]
) -> None:
    key = ingest_key(service, f"{uid}{path[1:4]}")
    authorization = f"Token {key}" if path == V2 else basic(key)
    for _ in range(2):  # it sends a batch again if the answer was lost
        answer = sent(service, path, authorization, batch(uid))
        assert answer.status == 204, answer
        assert fate(answer.status) == "delivered"
    assert register(service, f"{uid} 1/3") == 1.5
    assert register(service, f"{uid} 1/4") == 98


def test_version_1_creates_its_database_first(service: httpx.Client) -> None:
    answer = service.post(
        "/query",
        content=urlencode({"q": 'CREATE DATABASE "telegraf"'}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    assert not any(result.get("error") for result in answer.json()["results"])


def test_of_a_batch_with_a_line_that_cannot_be_stored_nothing_is_lost_and_nothing_sent_for_ever(
    service: httpx.Client, uid: str
) -> None:
    lines = f"wallbox,charger=0,site={uid} energy=1i 1000\n" + batch(uid)
    key = ingest_key(service, f"{uid}400")
    for path, authorization in ((V2, f"Token {key}"), (V1, basic(key))):
        answer = sent(service, path, authorization, lines)
        assert answer.status == 400
        assert fate_v2(400) == fate_v1(400) == "dropped"
        said = answer.json()  # the log has `code: message` of version 2, or `error` of version 1
        assert said["code"] == "invalid"
        assert said["message"] == said["error"]
        assert "line 1: timestamp is older than what is kept" in said["message"]
    assert register(service, f"{uid} 1/3") == 1.5


@pytest.mark.parametrize("path", [V2, V1])
def test_who_sends_too_much_waits_and_loses_nothing(
    service: httpx.Client, uid: str, path: str
) -> None:
    key = ingest_key(service, f"{uid}{path[1:4]}429")
    authorization = f"Token {key}" if path == V2 else basic(key)
    lines = "".join(f"wallbox,charger={n},site={uid} energy=1i\n" for n in range(100))
    statuses = [sent(service, path, authorization, lines).status for _ in range(2)]
    answer = sent(service, path, authorization, lines)
    assert (fate_v2 if path == V2 else fate_v1)(answer.status) == "kept", (statuses, answer)
    assert pause_s(answer.headers) >= 1
    assert "nothing was done" in answer.json()["message"]


def test_a_batch_that_is_too_large_is_sent_in_halves(service: httpx.Client, uid: str) -> None:
    key = ingest_key(service, f"{uid}413")
    lines = [f"wallbox,charger={n},site={uid} energy={n}i" for n in range(101)]
    answer = sent(service, V2, f"Token {key}", "\n".join(lines))
    assert fate_v2(answer.status) == "split"
    assert answer.json()["code"] == "request too large"
    assert sent(service, V2, f"Token {key}", "\n".join(lines[:50])).status == 204


def test_a_batch_with_a_wrong_key_is_kept(service: httpx.Client, uid: str) -> None:
    answer = sent(service, V2, "Token fm_wrong00001_" + "b" * 48, batch(uid))
    assert fate_v2(answer.status) == "kept"
    assert answer.json()["code"] == "unauthorized"
    read_only = make_key(service, f"{uid}read", "read")["key"]
    answer = sent(service, V2, f"Token {read_only}", batch(uid))
    assert fate_v2(answer.status) == "kept"
    assert answer.json()["code"] == "forbidden"


def test_json_by_the_transformation_of_the_page_is_stored(service: httpx.Client, uid: str) -> None:
    config = OUTPUTS["http"]
    assert config["json_transformation"].strip() == JSON_TRANSFORMATION.strip()
    time = hours_ago(1).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = TRANSFORMED.replace("SITE", uid).replace("TIME", time)
    one = body.partition(",{")[0].removeprefix("[")
    headers = {name: value for name, value in config["headers"].items() if name != "Authorization"}
    path = urlsplit(config["url"]).path
    for content in (body, one):
        answer = service.post(path, content=content, headers=headers)
        assert answer.status_code == 200, answer.text  # any 2xx is taken as delivered
    assert register(service, f"{uid}/3") == 1.5
    assert register(service, f"{uid}/4") == 98
    old = body.replace(time, "2001-01-01T00:00:00Z")
    never = {
        service.post(path, content=content, headers=headers).status_code
        for content in (old, "[", body.replace("kwh", "Kwh").replace("powerKw", "x"))
    }
    assert never <= set(config["non_retryable_statuscodes"]), "it would be sent for ever"
