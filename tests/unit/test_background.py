"""Background work: how often, how patiently, and that it stops."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from fleetmeter.background import repeat, running
from fleetmeter.errors import DatabaseUnavailableError


class EnoughError(BaseException):
    """The rounds that a test wants are over."""


def pauses_of(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[int], None], rounds: int, pause_s: float
) -> list[float]:
    """Return how long the pauses after each round are."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > rounds:
            raise EnoughError

    async def run() -> None:
        work(len(pauses))

    monkeypatch.setattr("fleetmeter.background.asyncio.sleep", sleep)
    with pytest.raises(EnoughError):
        asyncio.run(repeat("a test", run, pause_s, first_pause_s=0.25))
    assert pauses[0] == 0.25
    return pauses[1:]


def test_work_that_fails_is_logged_and_tried_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(number: int) -> None:
        if number < 9:
            raise ValueError("out of coffee")

    with capture_logs() as logs:
        pauses = pauses_of(monkeypatch, fail, 10, 1.0)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 1, 1]
    assert [log["again_in_s"] for log in logs] == pauses[:8]
    assert {(log["work"], log["event"]) for log in logs} == {("a test", "background work failed")}


def test_work_that_fails_is_never_tried_more_often_than_work_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: int) -> None:
        raise ValueError

    assert pauses_of(monkeypatch, fail, 3, 600.0) == [600, 600, 600]


def test_work_goes_on_at_its_pace_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: int) -> None:
        raise DatabaseUnavailableError("restarting")

    with capture_logs() as logs:
        pauses = pauses_of(monkeypatch, fail, 65, 2.0)
    assert set(pauses) == {2.0}
    assert [(log["rounds"], log["error"]) for log in logs] == [
        (30, "restarting"),
        (60, "restarting"),
    ]


def test_work_ends_with_its_block_and_is_waited_for() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def scenario() -> None:
        async with running(repeat("a test", work, 1.0), repeat("another", work, 1.0)):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert ended == [True, True]
