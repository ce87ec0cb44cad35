"""Takes messages in: decodes what waits, stores it, and acknowledges it once it is committed.

Brokers send again only what was not acknowledged before a connection ended. So messages are kept
here until they are stored, however often that has to be tried: while the database is away, or too
much waits. How many are kept is bounded; beyond that, nothing is read.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Generator, Sequence
from typing import Literal, NamedTuple

import structlog

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.mapping.topics import Arriving, Decoding, Slices
from fleetmeter.inputs.mqtt.decoder import MessageDecoder
from fleetmeter.inputs.mqtt.link import MAX_MESSAGE_BYTES, Link, Message
from fleetmeter.inputs.mqtt.stamps import Gathering, Stamps
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.intake.door import Door
from fleetmeter.metrics import MQTT_MESSAGES
from fleetmeter.readings.decode import Item
from fleetmeter.readings.validate import Invalid

Outcome = Literal["taken", "untaken", "malformed", "failed"]

_MOST_BYTES = 32 * 1024 * 1024
"""Bytes of messages that are kept."""

_MESSAGE_BYTES = 300
"""Bytes that a message takes beside its payload."""

_BATCH = 2000
"""Messages that are stored together at most, and that are not waited for any longer."""

_BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of messages, likewise: so many can be a hundred thousand readings."""

_QUIET_S, _LONGEST_WAIT_S = 0.005, 0.05
"""Messages wait for others, which may be of the same moment, until none comes for so long; and the
longest that they wait, seconds."""

_SHOWN = 100
"""Characters of a topic that are shown with what is wrong with a message."""

_AT_A_TIME = 100
"""Messages, or readings of one, that are taken before others have their turn."""

_BYTES_AT_A_TIME = 64 * 1024
"""Bytes of messages, likewise."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
"""Time until messages that could not be stored are tried again, at first and at most, seconds."""

_log = structlog.get_logger()


class _Batch(NamedTuple):
    """Messages, and what became of them."""

    messages: Sequence[Message]
    items: list[Item]
    untaken: Counter[Untaken]
    outcomes: Counter[Outcome]


class Taker:
    """Keeps messages until they are stored."""

    def __init__(
        self, door: Door, decoder: MessageDecoder, untaken: UntakenCounter, most: int
    ) -> None:
        """Prepare to keep at most so many messages."""
        self._door = door
        self._decoder = decoder
        self._untaken = untaken
        self._most = most
        self._stamps = Stamps()
        self._waiting: deque[Message] = deque()
        self._kept = 0
        self._kept_bytes = 0
        self._came = asyncio.Event()
        self._unacknowledged: dict[int, Message] = {}
        """By their ids in the session that the broker keeps."""
        self.received = 0
        self.link: Link | None = None
        """The connection that messages come by at present."""

    @property
    def kept(self) -> int:
        """Return how many messages are not stored yet."""
        return self._kept

    def has_room(self) -> bool:
        """Return whether more may be taken."""
        return self._kept < self._most and self._kept_bytes < _MOST_BYTES

    def take(self, message: Message) -> None:
        """Keep a message. One that comes again, as it was not acknowledged, has its first time."""
        self.received += 1
        if message.id:
            before = self._unacknowledged.get(message.id)
            if before is not None and before[:3] == message[:3]:
                message = message._replace(arrived=before.arrived)
            self._unacknowledged[message.id] = message
        self._waiting.append(message)
        self._kept += 1
        self._kept_bytes += len(message.payload) + _MESSAGE_BYTES
        self._came.set()

    def forget_session(self) -> None:
        """Note that the broker kept no session, so it sends everything again."""
        self._unacknowledged.clear()

    async def run(self) -> None:
        """Store what comes, until it is cancelled."""
        while True:
            messages = await self._next()
            try:
                batch = await self._door.slices.run(self._decoded(messages))
                await self._stored(batch)
            except Exception:
                _log.exception("messages cannot be taken together; each is tried alone")
                await self._one_by_one(messages)
            self._done(messages)

    async def _next(self) -> list[Message]:
        """Wait for messages; return those that came shortly after each other."""
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LONGEST_WAIT_S
        before = 0
        while before < len(self._waiting) < _BATCH and loop.time() < deadline and self.has_room():
            before = len(self._waiting)
            await asyncio.sleep(_QUIET_S)
        return self._taken()

    def _taken(self) -> list[Message]:
        """Return what waits, as much as is stored together."""
        messages: list[Message] = []
        size = 0
        while self._waiting and len(messages) < _BATCH and size < _BATCH_BYTES:
            messages.append(self._waiting.popleft())
            size += len(messages[-1].payload)
        return messages

    def _decoded(self, messages: Sequence[Message]) -> Generator[None, None, _Batch]:
        gathering = Gathering()
        batch = _Batch(messages, [], Counter(), Counter())
        size = 0
        for number, message in enumerate(messages, 1):
            items, untaken = yield from self._decoding(message)
            is_malformed = False
            for place, item in enumerate(items, 1):
                if place % _AT_A_TIME == 0:
                    yield
                if isinstance(item, Invalid):
                    is_malformed = True
                    batch.items.append(item)
                else:
                    if isinstance(item, Arriving):
                        item = self._stamps.stamp(item, message.arrived)
                    gathering.add(item)
            batch.untaken.update(untaken)
            outcome: Outcome = "malformed" if is_malformed else "taken" if items else "untaken"
            batch.outcomes[outcome] += 1
            size += len(message.payload)
            if number % _AT_A_TIME == 0 or size >= _BYTES_AT_A_TIME:
                yield
                size = 0
        batch.items.extend(gathering.readings)
        return batch

    def _decoding(self, message: Message) -> Slices:
        if message.topic is None:
            return Decoding([Invalid("malformed", "the topic is not UTF-8 text")], [])
        if len(message.payload) > MAX_MESSAGE_BYTES:
            why = f"the message has more than {MAX_MESSAGE_BYTES:,} bytes"
            return Decoding([Invalid("malformed", f"{message.topic[:_SHOWN]}: {why}")], [])
        decoding = yield from self._decoder.decoding(
            message.topic, message.payload, retained=message.retained
        )
        for place, item in enumerate(decoding.items):
            if isinstance(item, Invalid):
                decoding.items[place] = named = Invalid(
                    item.code, f"{message.topic[:_SHOWN]}: {item.detail}", item.path
                )
                named.sent = item.sent
        return decoding

    async def _stored(self, batch: _Batch) -> None:
        """Wait until a batch is committed, as long as that takes."""
        pause_s = _FIRST_PAUSE_S
        while batch.items:
            try:
                with self._door.admitted() as count_bytes:
                    count_bytes(sum(len(message.payload) for message in batch.messages))
                    await self._door.store(batch.items, "mqtt")
                break
            except FleetMeterError as error:  # too much waits, or the database is away
                if pause_s == _FIRST_PAUSE_S:
                    _log.warning(
                        "messages wait to be stored", messages=self._kept, error=str(error)
                    )
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        if batch.untaken:
            self._untaken.note("mqtt", batch.untaken)
        for outcome, count in batch.outcomes.items():
            MQTT_MESSAGES.labels(outcome).inc(count)

    async def _one_by_one(self, messages: list[Message]) -> None:
        """Take messages that fail together by themselves, and give those up that are at fault.

        None is given up while no other can be stored: then the defect is not the message's. More
        messages are taken meanwhile.
        """
        pause_s = _FIRST_PAUSE_S
        pending, works = list(messages), False
        while pending:
            failed: list[Message] = []
            for message in pending:
                try:
                    batch = await self._door.slices.run(self._decoded([message]))
                    await self._stored(batch)
                    works |= bool(batch.items)
                except Exception:
                    if not failed:
                        _log.exception("a message cannot be taken", topic=message.topic)
                    failed.append(message)
            if works:
                MQTT_MESSAGES.labels("failed").inc(len(failed))
                return
            if failed:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                more = self._taken()
                messages += more
                failed += more
            pending = failed

    def _done(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages, in the order in which they came."""
        for message in messages:
            if (
                message.id
                and message.link.acknowledge(message.id)
                and self._unacknowledged.get(message.id) is message
            ):
                del self._unacknowledged[message.id]
            self._kept -= 1
            self._kept_bytes -= len(message.payload) + _MESSAGE_BYTES
        if self.link is not None:
            self.link.read_on()
