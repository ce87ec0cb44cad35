"""No request that the OpenAPI document allows, nor one that it forbids, is a 5xx."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import EXAMPLES, Db, Service
from tests.support.repository import ROOT

pytestmark = pytest.mark.either


@pytest.mark.postgresql  # it takes long; each query has tests of its own on both engines
@pytest.mark.parametrize(
    ("phases", "twins", "media_type"),
    [
        ("examples", "meters", "application/json"),
        # every parameter and every limit of it, by itself
        pytest.param("coverage", "meters", "application/json", marks=pytest.mark.slow),
        pytest.param("examples,coverage", "vehicles", "", marks=pytest.mark.slow),
        pytest.param("fuzzing", "none", "", marks=pytest.mark.slow),  # and at random, together
    ],
)
def test_schemathesis_finds_no_server_error(
    service: Service, db: Db, tmp_path: Path, phases: str, twins: str, media_type: str
) -> None:
    """Both kinds of device share their handlers, so those of one kind (`twins`) are left out.

    A body is the same in each format that carries it: without a `media_type` it is sent in all.
    """
    kind = twins.removesuffix("s")
    same = rf"^/v1/{twins}(/\{{{kind}_id\}}(/readings|/energy)?)?$"
    run = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"{service.base_url}/openapi.json",
            *("--checks", "not_a_server_error"),
            *(
                "--exclude-path",
                "/v1/stream",
                "--exclude-path-regex",
                same,
            ),  # the stream has no end
            *("--mode", "all", "--phases", phases),
            *("--max-examples", str(3 * EXAMPLES), "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks",
            "MEDIA_TYPE": media_type,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=600 * EXAMPLES,
    )
    db.fetch("delete from rule_overrides")  # it finds out how to switch rules off
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def test_every_error_is_documented_as_the_problem_document_that_it_is(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for operation in item.values():
            errors = {s: r for s, r in operation["responses"].items() if s >= "400"}
            assert not path.startswith("/v1/") or "503" in errors
            for response in errors.values():
                assert list(response["content"]) == ["application/problem+json"]
    assert set(document["paths"]["/v1/ingest"]["post"]["responses"]) == {
        *("200", "207", "400", "401", "403", "408", "413", "415", "422", "429", "503")
    }


def test_operations_that_two_people_may_contend_for_document_a_conflict(
    client: httpx.Client,
) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    conflicts = {
        (method, path): operation["responses"]["409"]["description"]
        for path, item in paths.items()
        for method, operation in item.items()
        if "409" in operation["responses"]
    }
    assert len(set(conflicts.values())) == len(conflicts)
    assert {
        ("post", "/v1/corrections"),
        ("post", "/v1/anomalies/{anomaly_id}/acknowledge"),
        ("put", "/v1/rules/{kind}"),
    } <= set(conflicts)
    for path in ("/v1/anomalies", "/v1/rules/{kind}/overrides", "/v1/rules/{kind}/changes"):
        assert set(paths[path]["get"]["responses"]) == {*("200", "400", "401", "403", "429", "503")}
    assert set(paths["/v1/anomalies/{anomaly_id}"]["get"]["responses"]) == {
        *("200", "400", "401", "403", "404", "429", "503")
    }
