"""The limits of connections: how many, from where, and for how long each may do nothing."""

import asyncio
from heapq import nsmallest
from math import ceil
from typing import NamedTuple, Protocol

from fleetmeter.connections.refusal_log import RefusalLog
from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings

LOOK_S = 1.0
"""How often connections are looked at, seconds: limits of time are kept to that."""

MIN_PROGRESS = 64 * 1024
"""Bytes of an answer that a client takes in `answer_timeout_s`, unless it takes the rest."""

_MOST_TURNED_AWAY = 200
"""Connections without a place that may still be reading why."""

_LASTING_SHARE = 0.9
"""The share of all connections that may be WebSockets, so that requests find room beside them."""

_EVICTED_SHARE = 16
"""The longest idle sixteenth makes room at once, so that finding them costs little each."""


class NoRoomError(FleetMeterError):
    """There is no room for another WebSocket."""


class Connection(Protocol):
    """A connection as the limits see it."""

    address: str
    """The network that it comes from; see addresses.network_of."""

    is_proxy: bool
    """Whether it comes from a trusted proxy, on which clients of many addresses share."""

    since: float
    """Since when it has been doing what it does, by the loop's clock."""

    @property
    def is_idle(self) -> bool:
        """Return whether no request of it is being answered."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """Return how many bytes of answers wait to be sent."""
        ...

    def enforce(self, now: float) -> None:
        """End what has lasted too long."""
        ...

    def cut(self) -> None:
        """Drop the connection at once, with what has not been sent."""
        ...


class Lasting(Connection, Protocol):
    """A WebSocket as the limits see it."""

    held: int
    """Bytes of messages that are not complete, or not looked at yet."""

    def give_up(self) -> None:
        """Close the connection, and hold nothing any more."""
        ...


class _Unsent(NamedTuple):
    size: int
    since: float


class Connections:
    """The connections of a process, each address with a share that it cannot exceed.

    When there is no room for another one, those that have been idle the longest make room: silence
    shuts nobody out.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = RefusalLog()
        self._by_address: dict[str, set[Connection]] = {}
        self._turned_away: dict[Connection, None] = {}
        self._lasting: set[Lasting] = set()
        """WebSockets, which make room for nobody."""
        self._held_bytes = 0
        """Bytes that they hold."""
        self._unsent: dict[Connection, _Unsent] = {}
        self._unsent_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_address.values()))

    def admit(self, connection: Connection) -> str | None:
        """Take a new connection in; return why there is no room for it, if there is none."""
        own = self._by_address.get(connection.address, set())
        full = len(own) >= self.settings.connections_per_address and not connection.is_proxy
        if full and not self._make_room(own):
            return self._turn_away(connection, "this address has too many connections")
        if len(self) >= self.settings.connections:
            everybody = set[Connection]().union(*self._by_address.values())
            if not self._make_room(everybody):
                return self._turn_away(connection, "there are too many connections")
        self._by_address.setdefault(connection.address, set()).add(connection)
        if self._timer is None:
            self._look_later()
        return None

    def check_room_to_last(self) -> None:
        """Raise NoRoomError when as many connections as may be are WebSockets."""
        if len(self._lasting) >= self.settings.connections * _LASTING_SHARE:
            raise NoRoomError(
                f"there are {len(self._lasting)} WebSockets, nine tenths of FLEETMETER_CONNECTIONS"
            )

    def hand_over(self, connection: Connection, lasting: Lasting) -> None:
        """Let a WebSocket have the place of the connection that it was made of."""
        self.release(connection)
        self._by_address.setdefault(lasting.address, set()).add(lasting)
        self._lasting.add(lasting)

    def release(self, connection: Connection) -> None:
        """Forget a connection that is closed, or was never admitted."""
        self.sent(connection)
        self._lasting.discard(connection)
        self._turned_away.pop(connection, None)
        if own := self._by_address.get(connection.address):
            own.discard(connection)
            if not own:
                del self._by_address[connection.address]

    def hold(self, lasting: Lasting, held: int) -> None:
        """Note what a WebSocket holds; those that hold the most go while all hold too much."""
        grows = held > lasting.held
        self._held_bytes += held - lasting.held
        lasting.held = held
        while grows and self._held_bytes > self.settings.queue_bytes:
            most = max(self._lasting, key=lambda each: each.held)
            if most.held == self._held_bytes:
                break  # nobody else has less room for it
            self.log.note("too many messages are on their way", most.address)
            most.give_up()

    def unsent(self, connection: Connection) -> None:
        """Note that an answer is larger than what the client takes at once.

        Those that have taken theirs for the longest are cut while all of them are too large.
        """
        now = asyncio.get_running_loop().time()
        self._note(connection, _Unsent(connection.unsent_bytes, now))
        while self._unsent_bytes > self.settings.answer_bytes and len(self._unsent) > 1:
            self._cut(next(iter(self._unsent)), "too many answers wait for slow clients")

    def sent(self, connection: Connection) -> None:
        """Note that the client has taken nearly all of its answer."""
        if (unsent := self._unsent.pop(connection, None)) is not None:
            self._unsent_bytes -= unsent.size

    def enforce(self, now: float) -> None:
        """End whatever has lasted too long."""
        for connection, unsent in list(self._unsent.items()):
            if now - unsent.since > self.settings.answer_timeout_s:
                left = connection.unsent_bytes
                if left and unsent.size - left < MIN_PROGRESS:
                    self._cut(connection, "a client takes its answer too slowly")
                else:
                    self._note(connection, _Unsent(left, now))
        for own in list(self._by_address.values()):
            for connection in list(own):
                connection.enforce(now)
        for connection in list(self._turned_away):
            connection.enforce(now)

    def _turn_away(self, connection: Connection, why: str) -> str:
        """Remember a connection that was not admitted, so that it ends soon after its answer."""
        if len(self._turned_away) >= _MOST_TURNED_AWAY:
            oldest = next(iter(self._turned_away))
            oldest.cut()
            del self._turned_away[oldest]
        self._turned_away[connection] = None
        return why

    def _make_room(self, among: set[Connection]) -> bool:
        """Drop those that have been idle the longest, of the addresses that have the most.

        Those of proxies come last: a proxy bounds its clients itself.
        """
        idle = [each for each in among if each.is_idle]
        for each in nsmallest(
            ceil(len(idle) / _EVICTED_SHARE),
            idle,
            key=lambda each: (each.is_proxy, -len(self._by_address[each.address]), each.since),
        ):
            self._cut(each, "an idle connection makes room")
        return bool(idle)

    def _cut(self, connection: Connection, why: str) -> None:
        self.log.note(why, connection.address)
        connection.cut()
        self.release(connection)

    def _note(self, connection: Connection, unsent: _Unsent) -> None:
        self.sent(connection)
        self._unsent[connection] = unsent
        self._unsent_bytes += unsent.size

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        self.enforce(asyncio.get_running_loop().time())
        if self._by_address:
            self._look_later()
