"""A budget bounds what runs at a time and what waits."""

import asyncio

import pytest

from fleetmeter.database.budget import Budget
from fleetmeter.errors import BusyError


def test_so_many_run_so_many_wait_and_the_next_is_refused() -> None:
    async def run() -> None:
        budget = Budget(2, 3, 60)
        end = asyncio.Event()
        running = 0
        most = 0

        async def work() -> None:
            nonlocal running, most
            async with budget.taken():
                running += 1
                most = max(most, running)
                await end.wait()
                running -= 1

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await work()
        end.set()
        await asyncio.gather(*tasks)
        assert most == 2
        await work()

    asyncio.run(run())


def test_waiting_ends_and_leaves_nothing_behind() -> None:
    async def run() -> None:
        budget = Budget(1, 1, 0.01)
        async with budget.taken():
            for _ in range(3):
                with pytest.raises(BusyError):
                    async with budget.taken():
                        pass
        async with budget.taken():
            pass

    asyncio.run(run())
