"""Calls of the central system, one after the other, and their answers."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from fleetmeter.inputs.ocpp import framing
from fleetmeter.inputs.ocpp.framing import Answer

ANSWER_S = 30.0
"""How long a charger may take to answer, seconds."""

_numbers = count(1)


class CallFailedError(Exception):
    """A charger does not answer a call, or with an error."""


class OwnCalls:
    """Sends calls on a connection."""

    __slots__ = ("_id", "_is_over", "_send", "_waits")

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._id = ""
        self._waits: asyncio.Future[Answer] | None = None
        self._is_over = False

    async def ask(self, action: str, payload: Any) -> bytes:
        """Send a call, and return the payload of its result. Raises CallFailedError."""
        if self._is_over:
            raise CallFailedError("it is gone")
        self._id = f"fm-{next(_numbers)}"
        self._waits = asyncio.get_running_loop().create_future()
        self._send(framing.call(self._id, action, payload))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._waits
        except TimeoutError:
            raise CallFailedError(f"it does not answer {action}") from None
        if answer.error is not None:
            raise CallFailedError(f"it answers {action} with {answer.error}")
        return answer.payload

    def answered(self, answer: Answer) -> None:
        """Take an answer; one that nobody waits for is ignored."""
        if self._waits is not None and not self._waits.done() and answer.id == self._id:
            self._waits.set_result(answer)

    def end(self) -> None:
        """Let whoever waits know that the connection is over."""
        self._is_over = True
        if self._waits is not None and not self._waits.done():
            self._waits.set_exception(CallFailedError("it is gone"))
