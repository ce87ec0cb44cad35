"""Measures what keys and their limits cost: a service with a key, and one without, at once.

Both get the next requests of their devices in many short rounds at the same time, so that whatever
else keeps the machine busy, and its changes of speed, disturb both alike.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import Client, client_of
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.fleet import Request, Traffic, requests
from fleetmeter_benchmark.ingest_jobs import IN_FLIGHT, SINGLE_CONNECTIONS
from fleetmeter_benchmark.load_tally import Tally
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import THIS, Running, Usage, database_process, service

SINGLES, BULK = "singles", "batches of 1,000"

_VEHICLES = 5000

_EACH = {SINGLES: 32, BULK: 2}
"""Requests of each connection in a round: about half a second of the service's CPU."""

_TARGETS = {SINGLES: Target(at_most=1.1), BULK: Target(at_most=1.05)}


class Side:
    """A service, and what each connection will send to it, by the kind of load."""

    def __init__(self, name: str, running: Running, loads: dict[str, Traffic]) -> None:
        self.name = name
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
        all_wires = [[next(stream).wire for _ in range(1 + _EACH[load])] for stream in streams]
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(client_of(self._running.target)) for _ in streams
            ]
            await _send_all(clients, [wires[:1] for wires in all_wires], Tally())
            async with Usage(self._running.process) as used:
                await _send_all(clients, [wires[1:] for wires in all_wires], tally)
        if set(tally.answers) != {"200"} or tally.accepted != tally.handled:
            raise FleetMeterError(
                f"{load}, {self.name}: {tally.accepted:,} of {tally.handled:,} readings were new: "
                f"{dict(tally.answers)}"
            )
        return used.cpu_s / tally.handled * 1_000_000


async def _send_all(
    clients: Sequence[Client], all_wires: Sequence[Sequence[bytes]], tally: Tally
) -> None:
    async def send(client: Client, wires: Sequence[bytes]) -> None:
        for wire in wires:
            tally.count(await client.send(wire), 0.0)

    await asyncio.gather(*map(send, clients, all_wires))


def traffics(key: str) -> dict[str, Traffic]:
    """Return both kinds of load, with a key or an empty one; each has minutes of its own."""
    now = datetime.now(UTC)
    return {
        SINGLES: Traffic(
            devices=1000,
            groups=SINGLE_CONNECTIONS,
            batch=1,
            start=now - timedelta(minutes=4),
            key=key,
        ),
        BULK: Traffic(
            devices=10_000,
            groups=IN_FLIGHT // 1000,
            batch=1000,
            start=now - timedelta(minutes=3),
            key=key,
        ),
    }


async def compare(
    comparison: Comparison, sides: Sequence[Side], loads: Sequence[str], rounds: int
) -> None:
    """Measure sides at once, each kind of load by itself; the first round does not count."""
    for load in loads:
        for number in range(rounds + 1):
            comparison.progress(f"keys: {load}", number, rounds)
            figures = await asyncio.gather(*(side.cpu_us(load) for side in sides))
            if number:
                comparison.pairs.add(load, "µs a reading", *figures)


async def measure(server_url: str, options: Options, progress: Progress) -> list[Compared]:
    """Compare the CPU time of services without keys and with one. Raises FleetMeterError."""
    database = await database_process(server_url)
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(
            prepared(THIS, server_url, database, _VEHICLES, options.workers, progress)
        )
        sides = []
        for name, key in (("without keys", ""), ("with a key", new_key())):
            url = await stack.enter_async_context(fleet.database())
            running = await stack.enter_async_context(service(url, options.workers, key=key))
            sides.append(Side(name, running, traffics(key)))
        comparison = Comparison([], None, options, progress)
        await compare(comparison, sides, (SINGLES, BULK), options.key_pairs)
    return comparison.pairs.lines(_TARGETS)


def new_key() -> str:
    """Return a key that no service knows yet."""
    return f"fm_{secrets.token_hex(5)}_{secrets.token_hex(24)}"
