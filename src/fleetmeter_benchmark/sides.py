"""Measures services at once, which get the next requests of their devices in many short rounds.

Whatever else keeps the machine busy, and its changes of speed, so disturb all of them alike.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import Client, client_of
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.fleet import Format, Request, Traffic, requests
from fleetmeter_benchmark.ingest_jobs import IN_FLIGHT, SINGLE_CONNECTIONS
from fleetmeter_benchmark.load_tally import Tally
from fleetmeter_benchmark.processes import Running, Usage

SINGLES, BULK = "singles", "batches of 1,000"

_EACH = {SINGLES: 32, BULK: 2}
"""Requests of each connection in a round: about half a second of the service's CPU."""


def traffics(key: str | None = None, format_: Format = "json") -> dict[str, Traffic]:
    """Return both kinds of load; each has minutes of its own."""
    now = datetime.now(UTC)
    return {
        SINGLES: Traffic(
            devices=1000,
            groups=SINGLE_CONNECTIONS,
            batch=1,
            start=now - timedelta(minutes=4),
            format=format_,
            key=key,
        ),
        BULK: Traffic(
            devices=10_000,
            groups=IN_FLIGHT // 1000,
            batch=1000,
            start=now - timedelta(minutes=3),
            format=format_,
            key=key,
        ),
    }


class Side:
    """A service, and what each connection will send to it, by the kind of load."""

    def __init__(self, name: str, running: Running, loads: dict[str, Traffic]) -> None:
        self.name = name
        self.acknowledged = 0
        """Readings, of all rounds."""

        self._running = running
        self._streams: dict[str, list[Iterator[Request]]] = {
            load: [requests(traffic, group) for group in range(traffic.groups)]
            for load, traffic in loads.items()
        }

    async def cpu_us(self, load: str) -> float:
        """Return the CPU time that the service takes for a reading in a round, µs.

        Connections are new in each round, since a service closes idle ones; the first request of
        each, which opens it, does not count.
        """
        tally = Tally()
        streams = self._streams[load]
        each = _EACH[load]
        all_requests = [[next(stream) for _ in range(1 + each)] for stream in streams]
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(client_of(self._running.target)) for _ in streams
            ]
            first = Tally()
            await _send_all(clients, [requests[:1] for requests in all_requests], first)
            async with Usage(self._running.process) as used:
                await _send_all(clients, [requests[1:] for requests in all_requests], tally)
        self.acknowledged += first.handled + tally.handled
        if set(tally.answers) not in ({"200"}, {"204"}) or tally.accepted != tally.handled:
            raise FleetMeterError(
                f"{load}, {self.name}: {tally.accepted:,} of {tally.handled:,} readings were new: "
                f"{dict(tally.answers)}"
            )
        return used.cpu_s / tally.handled * 1_000_000


async def _send_all(
    clients: Sequence[Client], all_requests: Sequence[Sequence[Request]], tally: Tally
) -> None:
    async def send(client: Client, requests: Sequence[Request]) -> None:
        for request in requests:
            tally.count(await client.send(request.wire), 0.0, request.readings)

    await asyncio.gather(*map(send, clients, all_requests))


async def compare(
    name: str, comparison: Comparison, sides: Sequence[Side], loads: Sequence[str], rounds: int
) -> None:
    """Measure sides at once, each kind of load by itself; the first round does not count."""
    for load in loads:
        for number in range(rounds + 1):
            comparison.progress(f"{name}: {load}", number, rounds)
            figures = await asyncio.gather(*(side.cpu_us(load) for side in sides))
            if number:
                comparison.pairs.add(load, "µs a reading", *figures)
