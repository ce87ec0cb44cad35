"""Messages are kept until they are stored, and acknowledged after that, in their order."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetmeter.errors import CommitTimeoutError, DatabaseUnavailableError, QueueFullError
from fleetmeter.inputs.mapping.load import parse
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.inputs.mqtt import taker
from fleetmeter.inputs.mqtt.decoder import MessageDecoder
from fleetmeter.inputs.mqtt.link import MAX_MESSAGE_BYTES, Message
from fleetmeter.inputs.mqtt.taker import Taker
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.slices import Slices

RULES = """
[[rules]]
topic = "{meter}"
meterId = "{meter}"
fields = { powerKw = "value" }
"""
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Door:
    """Stands for a door whose database can fail in any way."""

    def __init__(self, *failures: Exception) -> None:
        self.slices = Slices()
        self.failures = list(failures)
        self.stored: list[list[Any]] = []
        self.defect: str | None = None

    @contextmanager
    def admitted(self) -> Iterator[Any]:
        yield lambda size: None

    async def store(self, items: Sequence[Any], protocol: str) -> None:
        assert protocol == "mqtt"
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if any(isinstance(e, Telemetry) and e.meter_id == self.defect for e in items):
            raise ZeroDivisionError
        self.stored.append(list(items))

    @property
    def meters(self) -> list[str | None]:
        return [each.meter_id for batch in self.stored for each in batch]


class Link:
    """Stands for a connection; notes what is acknowledged, and how much was stored by then."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.acknowledged: list[tuple[int, int]] = []
        self.is_open = True
        self.reads = 0

    def acknowledge(self, id_: int) -> bool:
        if self.is_open:
            self.acknowledged.append((id_, len(self.door.stored)))
        return self.is_open

    def read_on(self) -> None:
        self.reads += 1


def message(link: Link, id_: int, topic: str = "A", payload: bytes = b"7", s: float = 0) -> Message:
    return Message(topic, payload, False, AT + timedelta(seconds=s), id_, link)  # type: ignore[arg-type]


@asynccontextmanager
async def taking(door: Door, most: int = 100) -> AsyncIterator[Taker]:
    decoder = MessageDecoder(Mapping(parse(RULES, "rules")))
    kept = Taker(door, decoder, UntakenCounter(), most)  # type: ignore[arg-type]
    task = asyncio.create_task(kept.run())
    yield kept
    await done(kept)
    task.cancel()


async def done(kept: Taker) -> None:
    while kept.kept:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)


def test_messages_are_acknowledged_after_their_readings_are_stored() -> None:
    async def run() -> None:
        door = Door()
        link = Link(door)
        async with taking(door) as kept:
            for id_ in (3, 1, 2, 0):
                kept.take(message(link, id_, f"M{id_}"))
        assert sorted(filter(None, door.meters)) == ["M0", "M1", "M2", "M3"]
        assert [id_ for id_, _ in link.acknowledged] == [3, 1, 2]
        assert all(stored for _, stored in link.acknowledged)

    asyncio.run(run())


def test_large_messages_are_stored_a_few_at_a_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(taker, "_BATCH_BYTES", 5)

    async def run() -> None:
        door = Door()
        link = Link(door)
        async with taking(door) as kept:
            for id_ in range(1, 6):
                kept.take(message(link, id_, f"M{id_}", b"001"))
        assert [len(batch) for batch in door.stored] == [2, 2, 1]
        assert [id_ for id_, _ in link.acknowledged] == [1, 2, 3, 4, 5]

    asyncio.run(run())


def test_what_cannot_be_stored_is_tried_again_as_it_is(monkeypatch: Any) -> None:
    monkeypatch.setattr(taker, "_LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(taker, "_FIRST_PAUSE_S", 0.001)

    async def run() -> None:
        door = Door(
            DatabaseUnavailableError("away"),
            QueueFullError("full"),
            CommitTimeoutError("late", maybe_stored=True),
        )
        link = Link(door)
        async with taking(door) as kept:
            kept.take(message(link, 1))
        assert door.stored == [[Telemetry(meter_id="A", power_kw=7, timestamp=AT)]]
        assert link.acknowledged == [(1, 1)]

    asyncio.run(run())


def test_a_message_that_makes_the_service_fail_stops_no_other() -> None:
    async def run() -> None:
        door = Door()
        door.defect = "B"
        link = Link(door)
        async with taking(door) as kept:
            for id_, topic in enumerate("ABC", 1):
                kept.take(message(link, id_, topic))
        assert door.meters == ["A", "C"]
        assert [id_ for id_, _ in link.acknowledged] == [1, 2, 3]

    asyncio.run(run())


def test_no_message_is_given_up_while_none_can_be_stored(monkeypatch: Any) -> None:
    monkeypatch.setattr(taker, "_FIRST_PAUSE_S", 0.001)

    async def run() -> None:
        door = Door(*[ZeroDivisionError()] * 4)
        door.defect = "B"
        link = Link(door)
        async with taking(door) as kept:
            kept.take(message(link, 1, "B"))
            while len(door.failures) > 1:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            assert link.acknowledged == []
            kept.take(message(link, 2, "A"))
        assert door.meters == ["A"]
        assert [id_ for id_, _ in link.acknowledged] == [1, 2]

    asyncio.run(run())


def test_a_message_that_comes_again_after_a_lost_connection_has_its_first_time() -> None:
    async def run() -> None:
        door = Door()
        first, second = Link(door), Link(door)
        async with taking(door) as kept:
            first.is_open = False
            kept.take(message(first, 1))
            kept.take(message(first, 2, "B"))
            await done(kept)
            kept.take(message(second, 1, s=5))
            kept.take(message(second, 2, "C", s=5))  # the id has another message
        again = [each for batch in door.stored[1:] for each in batch]
        assert again == [
            Telemetry(meter_id="A", power_kw=7, timestamp=AT),
            Telemetry(meter_id="C", power_kw=7, timestamp=AT + timedelta(seconds=5)),
        ]
        assert [id_ for id_, _ in second.acknowledged] == [1, 2]

    asyncio.run(run())


def test_no_more_is_kept_than_may_be_and_reading_goes_on_when_there_is_room() -> None:
    async def run() -> None:
        door = Door()
        link = Link(door)
        async with taking(door, most=2) as kept:
            kept.link = link  # type: ignore[assignment]
            kept.take(message(link, 1))
            assert kept.has_room()
            kept.take(message(link, 2))
            assert not kept.has_room()
        assert kept.has_room()
        assert link.reads > 0

    asyncio.run(run())


def test_a_message_that_is_too_large_is_refused_undecoded() -> None:
    async def run() -> None:
        door = Door()
        link = Link(door)
        async with taking(door) as kept:
            kept.take(message(link, 1, payload=b" " * MAX_MESSAGE_BYTES + b"7"))
        ((invalid,),) = door.stored
        assert str(invalid) == "A: the message has more than 1,048,576 bytes"
        assert len(link.acknowledged) == 1

    asyncio.run(run())


def test_large_messages_leave_others_their_turn() -> None:
    async def run() -> None:
        door = Door()
        link = Link(door)
        many = b"[%b]" % b",".join([b'{"value":1}'] * 9000)
        async with taking(door) as kept:
            for id_ in range(1, 4):
                kept.take(message(link, id_, f"M{id_}", many))
            turns = 0
            while kept.kept:
                await asyncio.sleep(0)
                turns += 1
        assert turns > 100

    asyncio.run(run())
