"""Connections are bounded for each address and in all, and silence shuts nobody out."""

import asyncio
from collections.abc import Iterator

import pytest

from fleetmeter.connections.limits import MIN_PROGRESS, Connections
from fleetmeter.settings import Settings


class FakeConnection:
    """A connection that is what a test says."""

    def __init__(self, address: str, since: float = 0.0, *, is_idle: bool = True) -> None:
        self.address = address
        self.is_proxy = False
        self.since = since
        self.is_idle = is_idle
        self.unsent_bytes = 0
        self.is_cut = False

    def enforce(self, now: float) -> None:
        """Nothing lasts too long."""

    def cut(self) -> None:
        """Note it."""
        self.is_cut = True


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def _admitted(connections: Connections, *new: FakeConnection) -> list[str | None]:
    return [connections.admit(each) for each in new]


def test_an_address_cannot_take_the_share_of_others(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(connections=10, connections_per_address=5))
    greedy = [FakeConnection("10.0.0.1", is_idle=False) for _ in range(9)]
    other = FakeConnection("10.0.0.2")
    whys = loop.run(_admitted(connections, *greedy, other))
    assert whys == [None] * 5 + ["this address has too many connections"] * 4 + [None]
    assert not any(each.is_cut for each in (*greedy, other))


def test_a_proxy_may_have_the_connections_of_many_clients(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(connections=10, connections_per_address=5))
    of_proxy = [FakeConnection("10.0.0.1") for _ in range(9)]
    for each in of_proxy:
        each.is_proxy = True
    idle, new = FakeConnection("10.0.0.2", since=99), FakeConnection("10.0.0.3")
    whys = loop.run(_admitted(connections, *of_proxy, idle, new))
    assert whys == [None] * 11
    assert not any(each.is_cut for each in of_proxy)
    assert idle.is_cut


def test_the_longest_idle_connection_of_an_address_makes_room_for_its_next(
    loop: asyncio.Runner,
) -> None:
    connections = Connections(Settings(connections=10, connections_per_address=3))
    busy = FakeConnection("10.0.0.1", since=0.0, is_idle=False)
    old, young, new = (FakeConnection("10.0.0.1", since=at) for at in (1.0, 2.0, 3.0))
    assert loop.run(_admitted(connections, busy, young, old, new)) == [None] * 4
    assert [each.is_cut for each in (busy, old, young, new)] == [False, True, False, False]


def test_where_there_is_no_room_at_all_the_address_with_most_connections_makes_it(
    loop: asyncio.Runner,
) -> None:
    connections = Connections(Settings(connections=4, connections_per_address=3))
    lone = FakeConnection("10.0.0.1", since=0.0)
    many = [FakeConnection("10.0.0.2", since=at) for at in (1.0, 2.0, 3.0)]
    new = FakeConnection("10.0.0.3", since=4.0)
    assert loop.run(_admitted(connections, lone, *many, new)) == [None] * 5
    assert [each.is_cut for each in (lone, *many)] == [False, True, False, False]
    assert len(connections) == 4


def test_closed_connections_leave_nothing_behind(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(connections=2, connections_per_address=1))
    for number in range(100):
        new = FakeConnection(f"10.0.0.{number}", is_idle=False)
        assert loop.run(_admitted(connections, new)) == [None]
        connections.release(new)
    assert len(connections) == 0


def test_those_that_are_turned_away_are_few_at_a_time(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(connections=1))
    holder = FakeConnection("10.0.0.1", is_idle=False)
    turned_away = [FakeConnection("10.0.0.2") for _ in range(300)]
    loop.run(_admitted(connections, holder, *turned_away))
    assert sum(not each.is_cut for each in turned_away) == 200
    assert not holder.is_cut


def test_a_client_that_takes_its_answer_too_slowly_is_cut(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(answer_timeout_s=30))
    slow, steady = FakeConnection("10.0.0.1"), FakeConnection("10.0.0.2")

    async def read() -> None:
        await _admitted(connections, slow, steady)
        now = asyncio.get_running_loop().time()
        for each in (slow, steady):
            each.unsent_bytes = 10 * MIN_PROGRESS
            connections.unsent(each)
        connections.enforce(now + 29)
        assert not slow.is_cut
        slow.unsent_bytes -= 1000
        steady.unsent_bytes -= MIN_PROGRESS
        connections.enforce(now + 31)
        assert slow.is_cut
        assert not steady.is_cut
        connections.enforce(now + 60)
        assert not steady.is_cut
        connections.enforce(now + 62)
        assert steady.is_cut

    loop.run(read())


def test_answers_that_nobody_reads_are_bounded_together(loop: asyncio.Runner) -> None:
    connections = Connections(Settings(answer_bytes=1_000_000))
    clients = [FakeConnection("10.0.0.1") for _ in range(20)]

    async def read() -> None:
        await _admitted(connections, *clients)
        for each in clients:
            each.unsent_bytes = 300_000
            connections.unsent(each)

    loop.run(read())
    assert [each.is_cut for each in clients] == [True] * 17 + [False] * 3
