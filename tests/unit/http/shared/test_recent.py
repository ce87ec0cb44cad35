"""Answers given moments ago: who gets them, and how many are kept."""

import asyncio
from typing import Any

import pytest

from fleetmeter.access.principal import Principal
from fleetmeter.access.reach import Reach
from fleetmeter.http.shared import recent
from fleetmeter.http.shared.recent import RecentAnswers

HEADER = (b"cache-control", b"max-age=30")


class Route:
    """A route that numbers its answers."""

    def __init__(self, body: bytes = b"", status: int = 200) -> None:
        self.answers = 0
        self.wait = asyncio.Event()
        self.wait.set()
        self._body = body
        self._status = status
        self.recent = RecentAnswers(self._answer)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.answers += 1
        body = b"%d%b" % (self.answers, self._body)
        await self.wait.wait()
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def ask(
        self, query: bytes = b"", *, reach: Reach | None = None, headers: Any = (HEADER,)
    ) -> bytes:
        """Return the body of an answer."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.recent(scope_of(query, reach, headers), None, send)  # type: ignore[arg-type]
        body: bytes = sent[1]["body"]
        return body


def scope_of(query: bytes, reach: Reach | None = None, headers: Any = (HEADER,)) -> Any:
    """A request."""
    principal = Principal("key:test", frozenset({"read"}), reach or Reach())
    return {
        "raw_path": b"/v1/analytics/fleet",
        "query_string": query,
        "headers": list(headers),
        "state": {"principal": principal},
    }


def asked(route: Route, *queries: bytes) -> list[bytes]:
    """Ask one after the other; the numbers of the answers."""

    async def ask() -> list[bytes]:
        return [(await route.ask(query)).rstrip(b".") for query in queries]

    return asyncio.run(ask())


def test_a_recent_answer_is_for_the_same_question_and_reach_alone() -> None:
    async def ask(route: Route) -> list[bytes]:
        return [
            await route.ask(),
            await route.ask(),
            await route.ask(b"limit=1"),
            await route.ask(reach=Reach(sites=("north",))),
            await route.ask(headers=()),
            await route.ask(),
        ]

    assert asyncio.run(ask(Route())) == [b"1", b"1", b"2", b"3", b"4", b"1"]


def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    async def ask(route: Route) -> list[bytes]:
        route.wait.clear()
        asking = [asyncio.create_task(route.ask()) for _ in range(5)]
        await asyncio.sleep(0)
        route.wait.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(ask(Route())) == [b"1"] * 5


def test_an_error_is_not_kept() -> None:
    assert asked(Route(status=503), b"", b"") == [b"1", b"2"]


def test_the_oldest_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MOST_BYTES_KEPT", 2500)
    found = asked(Route(b"." * 99), b"a", b"b", b"c", b"c", b"a")
    assert found == [b"1", b"2", b"3", b"3", b"4"]


def test_questions_count_as_well_as_answers() -> None:
    route = Route()

    async def ask() -> None:
        for number in range(2000):
            await route.ask(b"%d" % number + b"&" * 8000)

    asyncio.run(ask())
    assert sum(len(query) for _, query, _ in route.recent._kept) <= 4 * 1024 * 1024


def test_nobody_waits_for_one_who_does_not_read() -> None:
    route = Route()

    async def ask() -> bytes:
        scope = scope_of(b"")
        slow = asyncio.create_task(route.recent(scope, None, _never))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            body = await route.ask()
        slow.cancel()
        return body

    assert asyncio.run(ask()) == b"1"


async def _never(message: Any) -> None:
    await asyncio.Event().wait()
