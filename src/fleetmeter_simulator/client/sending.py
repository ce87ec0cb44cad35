"""Sends arrivals over several connections, each device's readings in order over the same one.

What is not acknowledged is sent again, so nothing is lost, and the service stores it once.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, Full, Queue
from zlib import crc32

import msgspec

from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.service import Service, StoppedError
from fleetmeter_simulator.client.setup import Setting
from fleetmeter_simulator.wires.http import over_http
from fleetmeter_simulator.wires.wire import OpenWire, Outcome

_QUEUED = 2
"""Most batches that wait for a connection."""
_STEP_S = 0.2


class Tally(msgspec.Struct):
    """Counts what became of the readings sent."""

    sent: int = 0
    """Readings that were answered."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    again: int = 0
    """How often something had to be resent."""

    given: int = 0
    """Readings that were handed over to be sent."""

    unsent: int = 0
    """Readings not yet acknowledged when the simulation was stopped."""

    codes: Counter[str] = msgspec.field(default_factory=Counter)
    """Rejections by code."""

    example: str = ""
    """The service's message about one of them."""

    waiting: str = ""
    """Why something is being resent at present."""


class Sender:
    """Sends readings over its connections."""

    def __init__(
        self,
        url: str,
        connections: int,
        batch: int,
        key: str | None = None,
        open_wire: OpenWire | None = None,
    ) -> None:
        """Prepare to send to a service, over its own API unless there is another wire."""
        self.tally = Tally()
        self._open_wire = open_wire or over_http(url, key)
        self._url = url
        self._key = key
        self._batch = batch
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failed: Exception | None = None
        self._queues: list[Queue[Sequence[Arrival] | None]] = [
            Queue(_QUEUED) for _ in range(connections)
        ]
        self._share: dict[str, int] = {}

    @contextmanager
    def running(self) -> Iterator["Sender"]:
        """Run the connections for the block, which ends when everything is sent or stop() was
        called.

        Raises FleetMeterError when the service refuses what it is sent.
        """
        threads = [
            threading.Thread(target=self._run, args=(queue,), daemon=True) for queue in self._queues
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
            for queue in self._queues:
                self._put(queue, None)
        except StoppedError:
            pass
        finally:
            if not all(self._ends(thread) for thread in threads):
                self._stop.set()
            for thread in threads:
                thread.join()
            self._count_unsent()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Finish the requests in flight and send nothing more."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Return whether stop() was called."""
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises StoppedError when sending is stopped meanwhile."""
        if self._stop.wait(seconds):
            raise StoppedError

    def announce(self, known: Iterable[list[Setting]]) -> None:
        """Send facts about devices, such as their settings; the items of a list go out in order.

        Raises FleetMeterError, StoppedError.
        """
        count = len(self._queues)
        settings = list(known)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(self._announce, (settings[n::count] for n in range(count))))

    def _announce(self, settings: Sequence[list[Setting]]) -> None:
        service = self._service()
        try:
            for device in settings:
                for method, path, document in device:
                    if self.stopped:
                        raise StoppedError
                    service.put_json(method, path, document)
        finally:
            service.close()

    def send(self, arrivals: Sequence[Arrival]) -> None:
        """Hand over arrivals; wait while the service is slower. Raises StoppedError."""
        self.tally.given += len(arrivals)
        count = len(self._queues)
        shares: list[list[Arrival]] = [[] for _ in range(count)]
        known = self._share
        for arrival in arrivals:
            device_id = arrival[2][0]
            share = known.get(device_id)
            if share is None:
                share = known[device_id] = crc32(device_id.encode()) % count
            shares[share].append(arrival)
        for at in range(0, max(map(len, shares), default=0), self._batch):
            for queue, mine in zip(self._queues, shares, strict=True):
                if batch := mine[at : at + self._batch]:
                    self._put(queue, batch)

    def _put(
        self, queue: "Queue[Sequence[Arrival] | None]", batch: Sequence[Arrival] | None
    ) -> None:
        while not self._stop.is_set():
            try:
                queue.put(batch, timeout=_STEP_S)
                return
            except Full:
                continue
        self.tally.unsent += len(batch or ())
        raise StoppedError

    def _ends(self, thread: threading.Thread) -> bool:
        while thread.is_alive() and not self._stop.is_set():
            thread.join(_STEP_S)
        return not thread.is_alive()

    def _run(self, queue: "Queue[Sequence[Arrival] | None]") -> None:
        wire = self._open_wire(self._stop.is_set, self._wait)
        try:
            while not self._stop.is_set():
                try:
                    batch = queue.get(timeout=_STEP_S)
                except Empty:
                    continue
                if batch is None:
                    return
                try:
                    self._count(wire.send(batch), len(batch))
                except StoppedError:
                    with self._lock:
                        self.tally.unsent += len(batch)
                except Exception as error:  # raised again where the others are waited for
                    self._failed = error
                    self._stop.set()
        finally:
            wire.close()

    def _count(self, outcome: Outcome, readings: int) -> None:
        with self._lock:
            tally = self.tally
            tally.sent += readings
            tally.accepted += outcome.accepted
            tally.duplicates += outcome.duplicates
            tally.rejected += outcome.codes.total()
            tally.codes += outcome.codes
            tally.example = outcome.example or tally.example

    def _count_unsent(self) -> None:
        for queue in self._queues:
            while not queue.empty():
                self.tally.unsent += len(queue.get_nowait() or ())

    def _service(self) -> Service:
        return Service(self._url, self._stop.is_set, self._wait, self._key)

    def _wait(self, why: str) -> None:
        with self._lock:
            self.tally.waiting = why
            self.tally.again += bool(why)
