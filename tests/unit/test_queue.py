"""The commit queue: shared transactions, limits, and that no request pays for another."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Sequence

import pytest

from fleetmeter.errors import CommitTimeoutError, DatabaseUnavailableError, QueueFullError
from fleetmeter.ingest.queue import CommitQueue, Part
from fleetmeter.readings.model import Batch
from fleetmeter.settings import Settings


class Recorder:
    """A writer that takes its time, and fails for the meters that are named so."""

    def __init__(self, pause_s: float = 0) -> None:
        self.commits: list[list[str]] = []
        self.pause_s = pause_s

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        meters = [row[0] for part in parts for row in part.meters]
        self.commits.append(meters)
        await asyncio.sleep(self.pause_s)
        if "poison" in meters:
            raise ValueError("poison")
        if "outage" in meters:
            raise DatabaseUnavailableError("away")
        return [len(part) for part in parts]


def batch(*meters: str) -> Batch:
    return Batch([], [(meter, 0, 1, 1) for meter in meters], [])


def with_queue(
    writers: Sequence[Recorder],
    scenario: Callable[[CommitQueue], Awaitable[None]],
    **settings: object,
) -> None:
    async def run() -> None:
        queue = CommitQueue(writers, Settings(**({"max_batch": 1} | settings)))  # type: ignore[arg-type]
        async with queue.running():
            await scenario(queue)

    asyncio.run(run())


def test_a_lone_request_is_committed_at_once() -> None:
    writer = Recorder()

    async def scenario(queue: CommitQueue) -> None:
        assert await queue.store(batch("A")) == 1

    with_queue([writer], scenario)
    assert writer.commits == [["A"]]


def test_what_comes_in_during_a_commit_shares_the_next_transaction() -> None:
    writer = Recorder(pause_s=0.05)

    async def scenario(queue: CommitQueue) -> None:
        first = asyncio.create_task(queue.store(batch("A")))
        await asyncio.sleep(0.01)
        assert await asyncio.gather(*(queue.store(batch(f"B{n}")) for n in range(20))) == [1] * 20
        await first

    with_queue([writer], scenario)
    assert [len(commit) for commit in writer.commits] == [1, 20]


def test_a_transaction_has_a_maximum_but_a_large_request_goes_whole() -> None:
    writer = Recorder(pause_s=0.02)

    async def scenario(queue: CommitQueue) -> None:
        await asyncio.gather(
            queue.store(batch("A")),
            *(queue.store(batch("B", "C")) for _ in range(4)),
            queue.store(batch(*"DEFGHIJ")),
        )

    with_queue([writer], scenario, commit_readings=5)
    assert [len(commit) for commit in writer.commits] == [5, 4, 7]


def test_a_device_always_goes_to_the_same_writer() -> None:
    writers = [Recorder(), Recorder(), Recorder()]

    async def scenario(queue: CommitQueue) -> None:
        for _ in range(5):
            await queue.store(batch(*(f"M-{n}" for n in range(30))))

    with_queue(writers, scenario)
    homes = [{meter for commit in writer.commits for meter in commit} for writer in writers]
    assert sum(len(home) for home in homes) == len(set.union(*homes)) == 30
    assert all(homes)


def test_a_request_that_cannot_be_stored_never_fails_the_others() -> None:
    writer = Recorder(pause_s=0.01)

    async def scenario(queue: CommitQueue) -> None:
        results = await asyncio.gather(
            *(queue.store(batch(name)) for name in ("A", "B", "poison", "C")),
            return_exceptions=True,
        )
        assert [result for result in results if isinstance(result, int)] == [1, 1, 1]
        assert isinstance(results[2], ValueError)

    with_queue([writer], scenario)


def test_an_outage_is_told_to_every_request_of_the_transaction_and_passes() -> None:
    writer = Recorder(pause_s=0.01)

    async def scenario(queue: CommitQueue) -> None:
        results = await asyncio.gather(
            queue.store(batch("outage")), queue.store(batch("A")), return_exceptions=True
        )
        assert any(isinstance(result, DatabaseUnavailableError) for result in results)
        assert await queue.store(batch("A")) == 1

    with_queue([writer], scenario)


def test_a_full_queue_refuses_at_once_and_takes_again_when_there_is_room() -> None:
    writer = Recorder(pause_s=0.05)

    async def scenario(queue: CommitQueue) -> None:
        waiting = [asyncio.create_task(queue.store(batch("A", "B"))) for _ in range(5)]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await queue.store(batch("C"))
        with pytest.raises(QueueFullError), queue.admitted():
            pass
        assert await asyncio.gather(*waiting) == [2] * 5
        with queue.admitted():
            assert await queue.store(batch("C")) == 1

    with_queue([writer], scenario, queue_readings=10)


def test_bytes_are_counted_while_a_request_is_worked_on() -> None:
    async def scenario(queue: CommitQueue) -> None:
        with queue.admitted() as one, queue.admitted() as other:
            one(1500)
            with pytest.raises(QueueFullError):
                other(600)
        with queue.admitted() as one:
            one(2000)

    with_queue([Recorder()], scenario, max_body_bytes=2000, queue_bytes=2000)


@pytest.mark.parametrize(("busy", "maybe_stored"), [(False, True), (True, False)])
def test_a_request_that_waits_too_long_is_told_whether_it_may_be_stored(
    busy: bool, maybe_stored: bool
) -> None:
    writer = Recorder(pause_s=0.2)

    async def scenario(queue: CommitQueue) -> None:
        first = asyncio.create_task(queue.store(batch("first"))) if busy else None
        await asyncio.sleep(0.01)
        with pytest.raises(CommitTimeoutError) as caught:
            await queue.store(batch("A"))
        assert caught.value.maybe_stored is maybe_stored
        held = [len(part) for lane in queue._lanes for part in lane._waiting]
        assert sum(held) == 0
        if first is not None:
            first.cancel()

    with_queue([writer], scenario, commit_wait_s=0.1)
    assert writer.commits == ([["first"]] if busy else [["A"]])


def test_what_waits_when_it_closes_is_still_committed() -> None:
    writer = Recorder(pause_s=0.02)
    stored: list[int] = []

    async def scenario(queue: CommitQueue) -> None:
        for name in "ABC":
            task = asyncio.create_task(queue.store(batch(name)))
            task.add_done_callback(lambda done: stored.append(done.result()))
        await asyncio.sleep(0.005)

    with_queue([writer], scenario)
    assert sorted(meter for commit in writer.commits for meter in commit) == ["A", "B", "C"]


def test_what_failed_is_forgotten_without_the_collector() -> None:
    kept: list[weakref.ref[Batch]] = []

    async def scenario(queue: CommitQueue) -> None:
        async def fails(meter: str) -> None:
            body = batch(meter)
            kept.append(weakref.ref(body))
            with pytest.raises((DatabaseUnavailableError, CommitTimeoutError)):
                await queue.store(body)

        await fails("outage")
        waiting = asyncio.create_task(queue.store(batch("slow")))
        await asyncio.sleep(0.01)
        await fails("too late")  # its part still waits in the lane
        await asyncio.sleep(0)  # the loop lets go of what it has just run
        assert [ref() for ref in kept] == [None, None]
        await asyncio.gather(waiting, return_exceptions=True)

    gc.disable()
    try:
        with_queue([Recorder(pause_s=0.3)], scenario, commit_wait_s=0.4)
    finally:
        gc.enable()
