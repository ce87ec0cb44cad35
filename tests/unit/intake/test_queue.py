"""The commit queue: shared transactions, limits, and that no request pays for another."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from fleetmeter.errors import CommitTimeoutError, DatabaseUnavailableError, QueueFullError
from fleetmeter.intake.batch_start import StaleNumbersError
from fleetmeter.intake.numbering import looked_up
from fleetmeter.intake.queue import CommitQueue
from fleetmeter.intake.rows import CONFLICT, DEVICE, NEW, Matrix, Statuses
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.settings import Settings
from tests.support.readings import AT, BOUNDS


class Numbers:
    """Numbers of meters, without a database."""

    def __init__(self) -> None:
        self.version = 0
        self.database_version = 1
        self.known: dict[str, int] = {}
        self.asked: list[list[str]] = []

    def of(self, kind: int, ids: Sequence[str | None]) -> Any:
        return looked_up(self.known, ids)

    async def learn(self, devices: Iterable[tuple[int, str]]) -> None:
        ids = [id_ for _, id_ in devices]
        self.asked.append(ids)
        if "nowhere" in ids:
            raise DatabaseUnavailableError("away")
        for id_ in ids:
            self.known.setdefault(id_, 100 * self.database_version + len(self.known) + 1)
        self.version = self.database_version

    def forget(self) -> None:
        self.known.clear()

    def names(self, rows: Matrix) -> list[str]:
        names = {number: id_ for id_, number in self.known.items()}
        return [names[number] for number in rows[DEVICE].tolist()]


class Recorder:
    """A writer that takes its time, and fails for the meters that are named so."""

    def __init__(self, pause_s: float = 0) -> None:
        self.commits: list[list[str]] = []
        self.pause_s = pause_s
        self.numbers: Numbers

    async def commit(self, rows: Matrix, devices_version: int) -> Statuses:
        if devices_version != self.numbers.database_version:
            raise StaleNumbersError("purged")
        meters = self.numbers.names(rows)
        self.commits.append(meters)
        await asyncio.sleep(self.pause_s)
        if "poison" in meters:
            raise ValueError("poison")
        if "outage" in meters:
            raise DatabaseUnavailableError("away")
        return np.array([CONFLICT if name == "other" else NEW for name in meters], np.int8)


class Readings(list[Telemetry]):
    """A batch that a weak reference can watch."""


def batch(*meters: str) -> Readings:
    return Readings(
        Telemetry(meter_id=meter, kwh_consumed_ac=1.0, voltage=230.0, timestamp=AT)
        for meter in meters
    )


async def store(queue: CommitQueue, *meters: str) -> int:
    return (await queue.store(batch(*meters))).new


async def until(probe: Callable[[], object]) -> None:
    """Let the queue go on until something has happened."""
    async with asyncio.timeout(20):
        while not probe():  # noqa: ASYNC110
            await asyncio.sleep(0)


def with_queue(
    writers: Sequence[Recorder],
    scenario: Callable[[CommitQueue], Awaitable[None]],
    **settings: object,
) -> Numbers:
    numbers = Numbers()
    for writer in writers:
        writer.numbers = numbers

    async def run() -> None:
        chosen = Settings(**({"max_batch": 1} | settings))  # type: ignore[arg-type]
        queue = CommitQueue(writers, numbers, lambda: BOUNDS, chosen)
        async with queue.running():
            await scenario(queue)

    asyncio.run(run())
    return numbers


def test_a_lone_request_is_committed_at_once() -> None:
    writer = Recorder()

    async def scenario(queue: CommitQueue) -> None:
        assert await store(queue, "A") == 1

    with_queue([writer], scenario)
    assert writer.commits == [["A"]]


def test_what_comes_in_during_a_commit_shares_the_next_transaction() -> None:
    writer = Recorder(pause_s=0.05)

    async def scenario(queue: CommitQueue) -> None:
        first = asyncio.create_task(store(queue, "A"))
        await until(lambda: writer.commits)
        assert await asyncio.gather(*(store(queue, f"B{n}") for n in range(20))) == [1] * 20
        await first

    with_queue([writer], scenario)
    assert [len(commit) for commit in writer.commits] == [1, 20]


def test_a_transaction_has_a_maximum_but_a_large_request_goes_whole() -> None:
    writer = Recorder(pause_s=0.02)

    async def scenario(queue: CommitQueue) -> None:
        await asyncio.gather(
            store(queue, "A"),
            *(store(queue, "B", "C") for _ in range(4)),
            store(queue, *"DEFGHIJ"),
        )

    with_queue([writer], scenario, commit_readings=5)
    assert [len(commit) for commit in writer.commits] == [5, 4, 7]


def test_many_readings_are_dealt_out_and_a_device_goes_to_the_same_writer() -> None:
    writers = [Recorder(), Recorder(), Recorder()]

    async def scenario(queue: CommitQueue) -> None:
        for _ in range(5):
            await store(queue, *(f"M-{n}" for n in range(1200)))

    with_queue(writers, scenario)
    homes = [{meter for commit in writer.commits for meter in commit} for writer in writers]
    assert sum(len(home) for home in homes) == len(set.union(*homes)) == 1200
    assert all(homes)


def test_few_readings_share_one_commit_while_the_other_writers_have_nothing_to_do() -> None:
    writers = [Recorder(pause_s=0.05), Recorder(pause_s=0.05)]

    async def scenario(queue: CommitQueue) -> None:
        first = asyncio.create_task(store(queue, "A"))
        await until(lambda: writers[0].commits)
        await asyncio.gather(first, *(store(queue, f"B{n}") for n in range(20)))

    with_queue(writers, scenario)
    assert [[len(commit) for commit in writer.commits] for writer in writers] == [[1, 20], []]


def test_few_readings_do_not_wait_behind_many() -> None:
    writers = [Recorder(), Recorder(pause_s=0.2)]

    async def scenario(queue: CommitQueue) -> None:
        many = asyncio.create_task(store(queue, *(f"M-{n}" for n in range(1200))))
        await until(lambda: all(writer.commits for writer in writers))
        few = [f"B{n}" for n in range(20)]
        stored = [asyncio.create_task(store(queue, meter)) for meter in few]
        await until(lambda: any(each.done() for each in stored))
        assert not all(each.done() for each in stored)  # the second writer is still at it
        await asyncio.gather(many, *stored)

    with_queue(writers, scenario)
    assert [len(writer.commits) for writer in writers] == [2, 2]


def test_a_request_that_cannot_be_stored_never_fails_the_others() -> None:
    writer = Recorder(pause_s=0.01)

    async def scenario(queue: CommitQueue) -> None:
        results = await asyncio.gather(
            *(store(queue, name) for name in ("A", "B", "poison", "C")),
            return_exceptions=True,
        )
        assert [result for result in results if isinstance(result, int)] == [1, 1, 1]
        assert isinstance(results[2], ValueError)

    with_queue([writer], scenario)


def test_an_outage_is_told_to_every_request_of_the_transaction_and_passes() -> None:
    writer = Recorder(pause_s=0.01)

    async def scenario(queue: CommitQueue) -> None:
        results = await asyncio.gather(
            store(queue, "outage"), store(queue, "A"), return_exceptions=True
        )
        assert any(isinstance(result, DatabaseUnavailableError) for result in results)
        assert await store(queue, "A") == 1

    with_queue([writer], scenario)


def test_a_full_queue_refuses_at_once_and_takes_again_when_there_is_room() -> None:
    writer = Recorder(pause_s=0.05)

    async def scenario(queue: CommitQueue) -> None:
        waiting = [asyncio.create_task(store(queue, "A", "B")) for _ in range(5)]
        await until(lambda: writer.commits)
        with pytest.raises(QueueFullError):
            await store(queue, "C")
        with pytest.raises(QueueFullError), queue.admitted():
            pass
        assert await asyncio.gather(*waiting) == [2] * 5
        with queue.admitted():
            assert await store(queue, "C") == 1

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
        first = asyncio.create_task(store(queue, "first")) if busy else None
        await until(lambda: first is None or writer.commits)
        with pytest.raises(CommitTimeoutError) as caught:
            await store(queue, "A")
        assert caught.value.maybe_stored is maybe_stored
        assert not any(request.readings for request in queue.requests.values())
        if first is not None:
            first.cancel()

    with_queue([writer], scenario, commit_wait_s=0.1)
    assert writer.commits == ([["first"]] if busy else [["A"]])


def test_what_waits_when_it_closes_is_still_committed() -> None:
    writer = Recorder(pause_s=0.02)
    stored: list[int] = []

    async def scenario(queue: CommitQueue) -> None:
        for name in "ABC":
            task = asyncio.create_task(store(queue, name))
            task.add_done_callback(lambda done: stored.append(done.result()))
        await until(lambda: writer.commits)

    with_queue([writer], scenario)
    assert sorted(meter for commit in writer.commits for meter in commit) == ["A", "B", "C"]


def test_what_failed_is_forgotten_without_the_collector() -> None:
    kept: list[weakref.ref[Readings]] = []
    writer = Recorder(pause_s=0.3)

    async def scenario(queue: CommitQueue) -> None:
        async def fails(meter: str) -> None:
            body = batch(meter)
            kept.append(weakref.ref(body))
            with pytest.raises((DatabaseUnavailableError, CommitTimeoutError)):
                await queue.store(body)

        await fails("outage")
        waiting = asyncio.create_task(store(queue, "slow"))
        await until(lambda: ["slow"] in writer.commits)
        await fails("too-late")  # its part still waits in the lane
        await asyncio.sleep(0)  # the loop lets go of what it has just run
        assert [ref() for ref in kept] == [None, None]
        await asyncio.gather(waiting, return_exceptions=True)

    gc.disable()
    try:
        with_queue([writer], scenario, commit_wait_s=0.4)
    finally:
        gc.enable()


def test_a_reading_that_is_wrong_costs_itself_alone_and_is_told_by_its_place() -> None:
    writer = Recorder(pause_s=0.01)

    async def scenario(queue: CommitQueue) -> None:
        wrong = batch("A", "other", "B", "x" * 65, "C")
        wrong[2] = Telemetry(meter_id="B", kwh_consumed_ac=-1.0, voltage=230.0, timestamp=AT)
        first = asyncio.create_task(store(queue, "first"))
        outcome, other = await asyncio.gather(queue.store(wrong), store(queue, "D"))
        assert (outcome.new, other, await first) == (2, 1, 1)
        assert sorted((each.index, each.code) for each in outcome.rejected) == [
            (1, "conflict"),
            (2, "out_of_range"),
            (3, "invalid_id"),
        ]

    numbers = with_queue([writer], scenario)
    assert "B" not in numbers.known  # what is not stored gets no number


def test_a_batch_of_which_nothing_is_right_needs_no_commit() -> None:
    writer = Recorder()

    async def scenario(queue: CommitQueue) -> None:
        outcome = await queue.store([Telemetry(), Telemetry(vehicle_id="V")])
        codes = [each.code for each in outcome.rejected]
        assert (outcome.new, codes) == (0, ["unknown_kind", "missing_field"])
        assert not queue.requests

    with_queue([writer], scenario)
    assert writer.commits == []


def test_a_value_that_cannot_be_is_a_warning_and_costs_nothing_else() -> None:
    async def scenario(queue: CommitQueue) -> None:
        readings = batch("A", "B")
        readings[1] = Telemetry(meter_id="B", voltage=6553.5, power_kw=7.0, timestamp=AT)
        outcome, other = await asyncio.gather(queue.store(readings), store(queue, "C"))
        assert (outcome.new, outcome.rejected, other) == (2, [], 1)
        warnings = [(each.index, each.code, each.path) for each in outcome.warnings]
        assert warnings == [(1, "dropped_field", "$.voltage")]

    with_queue([Recorder()], scenario)


def test_devices_that_were_purged_meanwhile_are_numbered_again() -> None:
    writers = [Recorder(pause_s=0.02), Recorder()]

    async def scenario(queue: CommitQueue) -> None:
        await store(queue, "A", "B")
        numbers = writers[0].numbers
        before = dict(numbers.known)
        commits = len(writers[0].commits)
        first = asyncio.create_task(store(queue, "A"))
        await until(lambda: len(writers[0].commits) > commits)
        second = asyncio.create_task(store(queue, "A", "B"))
        await asyncio.sleep(0)
        numbers.database_version += 1
        assert [*await asyncio.gather(first, second)] == [1, 2]
        assert set(numbers.known) == {"A", "B"}
        assert not set(numbers.known.values()) & set(before.values())

    with_queue(writers, scenario)


def test_an_outage_while_devices_are_numbered_is_told_and_passes() -> None:
    async def scenario(queue: CommitQueue) -> None:
        with pytest.raises(DatabaseUnavailableError):
            await store(queue, "nowhere")
        assert await store(queue, "A") == 1
        assert not queue.requests

    with_queue([Recorder()], scenario)


def test_many_readings_let_others_have_their_turn_and_have_their_own_outcomes() -> None:
    writer = Recorder()
    meters = [f"M-{n}" for n in range(9000)]
    meters[5::100] = ["other"] * 90

    async def scenario(queue: CommitQueue) -> None:
        readings = batch(*meters)
        readings[7::3] = [Telemetry(meter_id="M")] * len(readings[7::3])
        turns = 0
        storing = asyncio.create_task(queue.store(readings))
        while not writer.commits:
            turns += 1
            await asyncio.sleep(0)
        outcome = await storing
        assert turns > len(readings) // 2500 + len(readings) // 3 // 500
        codes = {each.index: each.code for each in outcome.rejected}
        assert set(codes.values()) == {"missing_field", "conflict"}
        assert all(code == "missing_field" for index, code in codes.items() if index % 3 == 1 > 0)
        assert outcome.new + len(outcome.rejected) == len(readings)
        assert not queue.requests

    with_queue([writer], scenario)


def test_of_a_request_that_cannot_be_made_ready_nothing_is_stored() -> None:
    writer = Recorder()

    async def scenario(queue: CommitQueue) -> None:
        meters = [f"M-{n}" for n in range(6000)] + ["nowhere"]
        with pytest.raises(DatabaseUnavailableError):
            await queue.store(batch(*meters))
        assert not queue.requests

    with_queue([writer], scenario)
    assert writer.commits == []
