"""Ends streams when a stop is requested: the server would wait for them like any request."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def on_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the running loop on SIGINT or SIGTERM, then the previous handler.

    The server has set its handlers by the time its application starts. Outside the main thread
    there are no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handled: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        if callable(handled[number]):
            handled[number](number, frame)

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        if callable(before := signal.getsignal(number)):  # else a signal ends the process at once
            handled[number] = before
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in handled.items():
            if signal.getsignal(number) == handle:
                signal.signal(number, before)
