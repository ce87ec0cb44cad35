"""An answer's head goes out with its body, in order, and nothing is lost or held for long."""

import asyncio
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import pytest

from fleetmeter.connections.together import TogetherTransport


class Wire(asyncio.Transport):
    """Notes what is done with a connection."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def write_eof(self) -> None:
        self.done.append("eof")

    def get_write_buffer_size(self) -> int:
        return 7


def played(*steps: Callable[[TogetherTransport], Any] | None) -> list[Any]:
    """Return what reaches the connection; None is the next turn of the loop, as is the end."""

    async def play() -> list[Any]:
        wire = Wire()
        transport = TogetherTransport(wire, asyncio.get_running_loop())
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
                wire.done.append("turn")
            else:
                step(transport)
        await asyncio.sleep(0)
        return wire.done

    return asyncio.run(play())


def writing(piece: bytes) -> Callable[[TogetherTransport], None]:
    return lambda transport: transport.write(piece)


def test_a_head_and_its_body_are_one_write() -> None:
    assert played(writing(b"head "), writing(b"body"), None) == [b"head body", "turn"]


def test_a_head_whose_body_comes_later_waits_for_no_more_than_a_turn() -> None:
    assert played(writing(b"head "), None, writing(b"body")) == [b"head ", "turn", b"body"]


def test_no_more_than_a_short_piece_is_held_back() -> None:
    long = b"x" * 10_000
    pieces = map(writing, (long, b"1", b"2", b"3"))
    assert played(*pieces, None) == [long, b"12", b"3", "turn"]


def test_what_is_held_back_counts_as_unsent() -> None:
    sizes: list[int] = []
    played(writing(b"head"), lambda transport: sizes.append(transport.get_write_buffer_size()))
    assert sizes == [7 + 4]


@pytest.mark.parametrize(
    ("end", "done"),
    [("close", [b"head", "close"]), ("write_eof", [b"head", "eof"]), ("abort", ["abort"])],
)
def test_only_what_is_aborted_is_not_sent(end: str, done: list[Any]) -> None:
    assert played(writing(b"head"), methodcaller(end)) == done
