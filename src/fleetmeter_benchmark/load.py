"""Generates the load: a process that drives the service with HTTP, or the bare database.

It reads a Job from standard input, and writes the number of readings done, a line at a time, and
finally the Result.
"""

import asyncio
import sys
from collections.abc import Iterator
from itertools import count
from time import perf_counter

import msgspec
import uvloop

from fleetmeter_benchmark.bare_load import copy_rows
from fleetmeter_benchmark.client import Client, client_of
from fleetmeter_benchmark.fleet import Request, requests
from fleetmeter_benchmark.load_job import WARM_UP, Job, Result
from fleetmeter_benchmark.load_tally import Tally, cpu_s

_REPORT_S = 0.2


async def run(job: Job) -> Result:
    """Do the job and report its progress."""
    tally = Tally()
    reporting = asyncio.create_task(_report(tally))
    try:
        if job.transaction:
            seconds, used_s = await copy_rows(job, tally)
        elif job.rate:
            seconds, used_s = await _paced(job, tally)
        else:
            seconds, used_s = await _closed(job, tally)
    finally:
        reporting.cancel()
    return Result(
        readings=tally.readings,
        handled=tally.handled,
        accepted=tally.accepted,
        seconds=seconds,
        latencies_ms=tally.latencies,
        answers=dict(tally.answers),
        cpu_s=used_s,
    )


async def _report(tally: Tally) -> None:
    while True:
        await asyncio.sleep(_REPORT_S)
        print(msgspec.json.encode({"done": tally.readings}).decode(), flush=True)


async def _closed(job: Job, tally: Tally) -> tuple[float, float]:
    """Let each group send its next request when the last is answered; all are made before."""
    groups = job.traffic.groups
    prepared = []
    for group in range(groups):
        mine: list[Request] = []
        readings = 0
        for request in requests(job.traffic, group):
            if readings >= job.readings / groups:
                break
            mine.append(request)
            readings += request.readings
        prepared.append(mine)
    clients = [client_of(job.target) for _ in range(groups)]

    async def send(share: slice) -> None:
        async def one(client: Client, mine: list[Request]) -> None:
            for request in mine[share]:
                started = perf_counter()
                tally.count(await client.send(request.wire), perf_counter() - started)

        await asyncio.gather(*map(one, clients, prepared))

    once_each = -(-job.traffic.group_devices // job.traffic.batch)
    warm = max(round(len(prepared[0]) * WARM_UP), once_each)
    await send(slice(None, warm))
    tally.start()
    started, cpu = perf_counter(), cpu_s()
    await send(slice(warm, None))
    return perf_counter() - started, cpu_s() - cpu


async def _paced(job: Job, tally: Tally) -> tuple[float, float]:
    """Send requests when they are due, each on a free connection; latency counts from then."""
    free = [client_of(job.target) for _ in range(job.connections)]
    streams = [requests(job.traffic, group) for group in range(job.traffic.groups)]
    pending: set[asyncio.Task[None]] = set()

    async def one(client: Client, request: Request, due: float) -> None:
        try:
            answer = await client.send(request.wire)
            tally.count(answer, perf_counter() - due)
            free.append(client)
        except OSError:
            tally.answers["lost"] += 1
            free.append(client_of(job.target))

    due = perf_counter()
    started, cpu = due + job.seconds * WARM_UP, cpu_s()
    ends = started + job.seconds
    warm = False
    for stream in _in_turn(streams):
        if due > ends:
            break
        if not warm and due >= started:
            warm, cpu = True, cpu_s()
            tally.start()
        await asyncio.sleep(max(due - perf_counter(), 0))
        request = next(stream)
        if free:
            task = asyncio.create_task(one(free.pop(), request, due))
            pending.add(task)
            task.add_done_callback(pending.discard)
        else:
            tally.answers["unsent"] += 1
        due += request.readings / job.rate
    await asyncio.gather(*pending)
    return perf_counter() - started, cpu_s() - cpu


def _in_turn(streams: list[Iterator[Request]]) -> Iterator[Iterator[Request]]:
    for number in count():
        yield streams[number % len(streams)]


def main() -> None:
    """Run the process."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    result = uvloop.run(run(job))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
