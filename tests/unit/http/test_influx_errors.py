"""Whatever is not stored, and could be later, is sent again by every client of InfluxDB."""

import json
from collections.abc import Callable

import httpx
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from fleetmeter.access.rates import RateExceededError
from fleetmeter.errors import (
    BatchTooLargeError,
    BusyError,
    CommitTimeoutError,
    DatabaseUnavailableError,
    MalformedBodyError,
    NotMigratedError,
    QueueFullError,
)
from fleetmeter.http.influx_errors import AS_INFLUXDB
from fleetmeter.http.shared.problems import problem, problem_details
from tests.support.telegraf import Fate, fate_v1, fate_v2, pause_s

LATER = [
    QueueFullError("full"),
    BusyError("busy"),
    DatabaseUnavailableError("away"),
    NotMigratedError("0001"),
    CommitTimeoutError("late", maybe_stored=True),
    problem(408, "the body did not arrive"),
    RateExceededError("readings", 1, 10, 0, 1.5),
    RuntimeError("a defect"),
]
NEVER = [MalformedBodyError("no text"), problem(415, "no such encoding")]


@pytest.mark.parametrize("error", LATER, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("path", "fate"), [("/write", fate_v1), ("/api/v2/write", fate_v2)])
def test_what_can_be_stored_later_is_kept(
    error: Exception, path: str, fate: Callable[[int], Fate]
) -> None:
    answer = answered(path, error)
    assert fate(answer.status_code) == "kept"
    if answer.status_code in (429, 503):
        assert pause_s(answer.headers) >= 1
    said = answer.json()
    assert said["message"] == said["error"]
    assert said["code"]
    assert said["type"].startswith("urn:fleetmeter:problem:")
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("error", NEVER, ids=lambda error: type(error).__name__)
def test_what_can_never_be_stored_is_dropped(error: Exception) -> None:
    assert fate_v1(answered("/write", error).status_code) == "dropped"
    assert fate_v2(answered("/api/v2/write", error).status_code) == "dropped"


def test_what_is_too_large_is_split() -> None:
    answer = answered("/api/v2/write", BatchTooLargeError("101 readings"))
    assert fate_v2(answer.status_code) == "split"
    assert json.loads(answer.text)["message"] == "101 readings"


def answered(path: str, error: Exception) -> httpx.Response:
    @get(path, exception_handlers=AS_INFLUXDB)
    async def fails() -> None:
        raise error

    with TestClient(Litestar([fails], plugins=[problem_details])) as client:
        return client.get(path)
