"""One connection of a charge point: its calls are answered in their order, and ours sent.

It has a task only while something is to be answered. What cannot be stored at present is tried
again for a while; then the connection is closed without an answer, since chargers keep what they
could not send while they were offline, and drop what was answered with an error too often.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog

from fleetmeter.access.principal import Principal
from fleetmeter.access.rates import RateExceededError
from fleetmeter.errors import (
    BusyError,
    CommitTimeoutError,
    DatabaseUnavailableError,
    QueueFullError,
)
from fleetmeter.inputs.mapping.rules import Reason, Untaken
from fleetmeter.inputs.ocpp import answers, framing
from fleetmeter.inputs.ocpp.answers import ANSWERS, Version
from fleetmeter.inputs.ocpp.configuration import CONFIGURE
from fleetmeter.inputs.ocpp.framing import Answer, Call, CallError, FrameError
from fleetmeter.inputs.ocpp.own_calls import CallFailedError, OwnCalls
from fleetmeter.inputs.ocpp.payloads import BootNotification, decoded
from fleetmeter.inputs.ocpp.recorded import recorded
from fleetmeter.inputs.ocpp.storing import Message, now

if TYPE_CHECKING:
    from fleetmeter.inputs.ocpp.central_system import CentralSystem

PATIENCE_S = 20.0
"""How long storing a message is tried, seconds; chargers wait for an answer for 30 or more."""

_MOST_WAITING = 16
"""Calls that wait for their answer before no more are read."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0

_NOT_NOW = (
    QueueFullError,
    CommitTimeoutError,
    DatabaseUnavailableError,
    BusyError,
    RateExceededError,
)

_log = structlog.get_logger()

_NORMAL, _GOING_AWAY, _POLICY, _TRY_LATER = 1000, 1001, 1008, 1013
"""Codes of closing (RFC 6455, 7.4)."""


class Socket(Protocol):
    """The connection of a charge point; see connections/websocket.py."""

    def send(self, message: bytes) -> None:
        """Send a message."""

    def pause(self, paused: bool) -> None:
        """Let the other side wait with more messages, or go on."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""


class _GoneError(Exception):
    """The connection is over, or its key does not count any more."""


class ChargePoint:
    """A charge point that is connected."""

    __slots__ = (
        "_calls",
        "_central",
        "_principal",
        "_socket",
        "_task",
        "_waiting",
        "address",
        "booted",
        "id",
        "is_stopping",
        "last_at",
        "name",
        "version",
    )

    def __init__(
        self,
        charge_point: str,
        version: Version,
        name: str,
        principal: Callable[[], Principal | None],
        address: str,
        central: "CentralSystem",
    ) -> None:
        """Prepare a connection; `principal` returns whose key it is, None once it does not count.

        `name` is the principal's.
        """
        self.id = charge_point
        self.version: Version = version
        self.name = name
        self.address = address
        self.booted: BootNotification | None = None
        self.last_at = now()
        """When a message came last."""
        self.is_stopping = False
        self._principal = principal
        self._central = central
        self._socket: Socket | None = None
        self._waiting: list[tuple[Call, int]] = []
        """Calls to answer, the one that is being answered first, with their sizes."""
        self._task: asyncio.Task[None] | None = None
        self._calls: OwnCalls | None = None
        """Calls of ours, while it is told what to measure."""

    # What the connection calls

    def opened(self, socket: Socket) -> None:
        """Begin."""
        self._socket = socket
        self._central.connect(self)

    def received(self, message: bytes) -> None:
        """Take a message."""
        self.last_at = now()
        try:
            frame = framing.parse(message)
        except FrameError as error:
            self._malformed(error)
            return
        if isinstance(frame, Answer):
            if self._calls is not None:
                self._calls.answered(frame)
        elif frame is not None and not self.is_stopping:
            self._waiting.append((frame, len(message)))
            if len(self._waiting) == _MOST_WAITING and self._socket is not None:
                self._socket.pause(True)
            if self._task is None:
                self._task = asyncio.create_task(self._work())

    def stop(self) -> None:
        """Close once what was received is answered."""
        self.is_stopping = True
        if self._task is None:
            self.close(_GOING_AWAY, "the service ends")

    def lost(self) -> None:
        """End."""
        self._socket = None
        self._central.disconnect(self)
        if self._calls is not None:
            self._calls.end()

    # What the central system calls

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close(code, reason)

    def replaced(self) -> None:
        """Make room for a newer connection of the same charge point."""
        _log.info("a charge point has connected again", charge_point=self.id, was=self.address)
        self.close(_NORMAL, "the charge point has connected again")

    def check_key(self) -> None:
        """Close unless the key still counts. Raises DatabaseUnavailableError if nobody knows."""
        if self._principal() is None:
            self.close(_POLICY, "its key was revoked or has expired")

    # How calls are answered

    async def _work(self) -> None:
        try:
            for number in count(1):
                if not self._waiting:
                    break
                if number % _MOST_WAITING == 0:
                    await asyncio.sleep(0)  # others have their turn
                answer = await self._answer(*self._waiting[0])
                if self._socket is None:
                    break
                self._socket.send(answer)
                del self._waiting[0]
                if len(self._waiting) == _MOST_WAITING // 2:
                    self._socket.pause(False)
        except _GoneError:
            pass
        finally:
            self._waiting.clear()
            self._task = None
        if self.is_stopping:
            self.close(_GOING_AWAY, "the service ends")

    async def _answer(self, call: Call, size: int) -> bytes:
        try:
            payload = await self._patiently(call, size)
        except CallError as error:
            code, why = error.code, str(error)
            reason: Reason = "no_rule" if code == "NotImplemented" else "malformed"
            self._central.recorder.store.note(Untaken(reason, call.action))
        except RecursionError:
            code, why = "FormationViolation", "the payload is nested too deeply"
            self._central.recorder.store.note(Untaken("malformed", call.action))
        except (_GoneError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("a call failed", charge_point=self.id, action=call.action)
            code, why = "InternalError", "the message was not stored"
        else:
            return framing.result(call.id, payload)
        return framing.error(call.id, code, why, is_version_2=self._is_version_2)

    async def _patiently(self, call: Call, size: int) -> bytes:
        """Return the payload of a result, tried again while it cannot be stored.

        Raises CallError, and _GoneError when there is no use in trying any longer.
        """
        arrival, until, pause_s = now(), monotonic() + PATIENCE_S, _FIRST_PAUSE_S
        while True:
            if self._socket is None:
                raise _GoneError
            try:
                principal = self._admitted()
                message = Message(
                    self._central.memories.of(self.id), principal, self.address, size, arrival
                )
                return await self._result(call, message)
            except _NOT_NOW as error:
                if isinstance(error, RateExceededError):
                    pause_s = max(pause_s, error.wait_s)
                if monotonic() + pause_s > until:
                    self._central.could_not_store(self.id, str(error))
                    self.close(_TRY_LATER, "nothing can be stored at present")
                    raise _GoneError from None
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _admitted(self) -> Principal:
        principal = self._principal()
        if principal is None:
            self.close(_POLICY, "its key was revoked or has expired")
            raise _GoneError
        self._central.recorder.store.rates.of(principal).requests.take(1)
        return principal

    async def _result(self, call: Call, message: Message) -> bytes:
        """Return the payload of a call's result, once what it says is stored."""
        action = call.action
        if (fixed := ANSWERS[self.version].get(action)) is not None:
            return fixed
        if action == "Heartbeat":
            return answers.heartbeat(now())
        if action == "BootNotification":
            self._boot(decoded(call.payload, BootNotification))
            return answers.boot(now())
        return await recorded(
            self._central.recorder, call, message, is_version_2=self._is_version_2
        )

    @property
    def _is_version_2(self) -> bool:
        return self.version != "ocpp1.6"

    def _malformed(self, error: FrameError) -> None:
        self._central.recorder.store.note(Untaken("malformed", str(error)))
        if error.call_id is not None and self._socket is not None:
            answer = framing.error(
                error.call_id, "FormationViolation", str(error), is_version_2=self._is_version_2
            )
            self._socket.send(answer)

    # How it is told what to measure

    def _boot(self, said: BootNotification) -> None:
        self.booted = said.names
        sample_s = self._central.sample_s
        if sample_s and self._calls is None and self._socket is not None:
            self._calls = OwnCalls(self._socket.send)
            self._central.run(self._configure(self._calls, sample_s))

    async def _configure(self, calls: OwnCalls, sample_s: int) -> None:
        memory = self._central.memories.of(self.id)
        try:
            await CONFIGURE[self.version](calls.ask, memory, sample_s)
        except (CallFailedError, CallError) as error:
            _log.info("a charger cannot be configured", charge_point=self.id, why=str(error))
        finally:
            self._calls = None
