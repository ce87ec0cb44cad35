"""Long work is interrupted, fairly, and ends as if it had not been."""

import asyncio
from collections.abc import Generator

import pytest

from fleetmeter.slices import Slices, at_once


def work(name: str, slices: int, done: list[str]) -> Generator[None, None, str]:
    for number in range(slices):
        if number:
            yield
        done.append(name)
    return name


def test_work_at_once_is_the_same() -> None:
    done: list[str] = []
    assert at_once(work("a", 3, done)) == "a"
    assert done == ["a"] * 3


def test_pieces_of_work_take_turns_and_the_loop_has_its_own_in_between() -> None:
    async def run() -> list[str]:
        slices, done = Slices(), list[str]()

        async def turns() -> None:
            while True:
                done.append("turn")
                await asyncio.sleep(0)

        others = asyncio.create_task(turns())
        names = await asyncio.gather(*(slices.run(work(each, 5, done)) for each in "abc"))
        others.cancel()
        assert names == ["a", "b", "c"]
        return done

    done = asyncio.run(run())
    assert [each for each in done if each != "turn"] == list("abc" * 5)
    assert "".join(each[0] for each in done[4:]).replace("t", " ").split() == list("abc" * 4)


def test_short_work_does_not_wait_for_long_work() -> None:
    async def run() -> list[str]:
        slices, done = Slices(), list[str]()
        long = asyncio.create_task(slices.run(work("long", 100, done)))
        await asyncio.sleep(0)
        await slices.run(work("short", 1, done))
        long.cancel()
        return done

    assert asyncio.run(run())[:2] == ["long", "short"]


def test_errors_come_out_and_let_others_go_on() -> None:
    def failing() -> Generator[None, None, None]:
        yield
        raise ValueError("no")

    async def run() -> None:
        slices = Slices()
        with pytest.raises(ValueError, match="no"):
            await slices.run(failing())
        assert await slices.run(work("next", 3, [])) == "next"

    asyncio.run(run())
