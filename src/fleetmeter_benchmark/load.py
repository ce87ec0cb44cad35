"""Generates the load: a process that drives the service with HTTP, or the bare database.

It reads a Job from standard input, and writes the number of readings done, a line at a time, and
finally the Result.
"""

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from operator import itemgetter
from time import perf_counter
from typing import Any

import asyncpg
import msgspec
import uvloop

from fleetmeter_benchmark.client import Answer, Client, client_of
from fleetmeter_benchmark.fleet import Request, Traffic, Transaction, requests, transactions

_TELL_S = 0.2
WARM_UP = 0.1
"""Share of the work done before the clock starts; each device has reported by then."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Says what to do: as fast as answers come, or at a rate."""

    target: str
    """host:port of the service, or the URL of the database."""

    traffic: Traffic
    readings: int
    """How many to send if there is no rate."""

    rate: float = 0.0
    """Readings a second, whatever becomes of them."""

    seconds: float = 0.0
    connections: int = 0
    """At a rate: most requests in flight; otherwise each group has one connection."""

    transaction: int = 0
    """Rows per transaction when sent straight into the database, without HTTP."""


class Result(msgspec.Struct, kw_only=True):
    """Holds the result of a load."""

    readings: int
    """Readings acknowledged, duplicates included."""

    handled: int
    """The same with the warm-up."""

    accepted: int
    """Readings reported as new, with the warm-up."""

    seconds: float
    latencies_ms: list[float]
    """Latency of each acknowledged request."""

    answers: dict[str, int]
    """Requests by status; `unsent` found no free connection, `lost` got no answer."""

    cpu_s: float


class _Outcome(msgspec.Struct):
    """Reads what any version of the service says about a batch, as far as it is counted here."""

    accepted: int
    duplicates: int


_outcome = msgspec.json.Decoder(_Outcome)


class _Tally:
    def __init__(self) -> None:
        self.readings = 0
        self.handled = 0
        self.accepted = 0
        self.latencies: list[float] = []
        self.answers: Counter[str] = Counter()

    def count(self, answer: Answer, seconds: float) -> None:
        self.answers[str(answer.status)] += 1
        if answer.status in (200, 207):
            outcome = _outcome.decode(answer.body)
            self.acknowledged(outcome.accepted, outcome.duplicates, seconds)
        elif answer.status == 204:  # the empty handler
            self.acknowledged(1, 0, seconds)

    def acknowledged(self, accepted: int, duplicates: int, seconds: float) -> None:
        self.accepted += accepted
        self.readings += accepted + duplicates
        self.handled += accepted + duplicates
        self.latencies.append(seconds * 1000)

    def start(self) -> None:
        """Start the clock; what came before was the warm-up."""
        self.readings = 0
        self.latencies.clear()
        self.answers.clear()


async def run(job: Job) -> Result:
    """Do the job and report its progress."""
    tally = _Tally()
    reporting = asyncio.create_task(_report(tally))
    try:
        if job.transaction:
            seconds, cpu_s = await _bare(job, tally)
        elif job.rate:
            seconds, cpu_s = await _paced(job, tally)
        else:
            seconds, cpu_s = await _closed(job, tally)
    finally:
        reporting.cancel()
    return Result(
        readings=tally.readings,
        handled=tally.handled,
        accepted=tally.accepted,
        seconds=seconds,
        latencies_ms=tally.latencies,
        answers=dict(tally.answers),
        cpu_s=cpu_s,
    )


async def _report(tally: _Tally) -> None:
    while True:
        await asyncio.sleep(_TELL_S)
        print(msgspec.json.encode({"done": tally.readings}).decode(), flush=True)


async def _closed(job: Job, tally: _Tally) -> tuple[float, float]:
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
    started, cpu = perf_counter(), _cpu_s()
    await send(slice(warm, None))
    return perf_counter() - started, _cpu_s() - cpu


async def _paced(job: Job, tally: _Tally) -> tuple[float, float]:
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
    started, cpu = due + job.seconds * WARM_UP, _cpu_s()
    ends = started + job.seconds
    warm = False
    for stream in _in_turn(streams):
        if due > ends:
            break
        if not warm and due >= started:
            warm, cpu = True, _cpu_s()
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
    return perf_counter() - started, _cpu_s() - cpu


def _in_turn(streams: list[Iterator[Request]]) -> Iterator[Iterator[Request]]:
    for number in count():
        yield streams[number % len(streams)]


async def _bare(job: Job, tally: _Tally) -> tuple[float, float]:
    """COPY into history and update live state, nothing else; the rows are made before."""
    halves = [
        list(range(job.traffic.groups))[number :: job.connections]
        for number in range(job.connections)
    ]
    each = job.readings // job.connections
    size = min(job.transaction, each // 4)
    prepared = [
        list(islice(transactions(job.traffic, groups, size), each // size)) for groups in halves
    ]
    connections = [await asyncpg.connect(job.target) for _ in halves]
    devices = await connections[0].fetch("select id, device from devices")
    numbers = {row["id"]: row["device"] for row in devices}
    await connections[0].execute(_BEGIN_LIVE)
    arguments = [[_arguments(transaction, numbers) for transaction in mine] for mine in prepared]

    async def store(share: slice) -> None:
        async def one(connection: Any, mine: list[tuple[list[Any], list[Any]]]) -> None:
            for rows, newest in mine[share]:
                started = perf_counter()
                async with connection.transaction():
                    await connection.copy_records_to_table(
                        "readings", columns=_COLUMNS, records=rows
                    )
                    await connection.execute(_ADVANCE_LIVE, *newest)
                tally.acknowledged(len(rows), 0, perf_counter() - started)

        await asyncio.gather(*map(one, connections, arguments))

    warm = max(1, round(len(prepared[0]) * WARM_UP))
    await store(slice(None, warm))
    tally.start()
    started, cpu = perf_counter(), _cpu_s()
    await store(slice(warm, None))
    seconds, cpu_s = perf_counter() - started, _cpu_s() - cpu
    for connection in connections:
        await connection.close()
    return seconds, cpu_s


_COLUMNS = (
    *("device", "meter", "time", "energy_mwh"),
    *("soc_bp", "battery_temp_cdeg", "voltage_mv"),
)


def _arguments(
    transaction: Transaction, numbers: dict[str, int]
) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """Return the rows of history in key order, and the newest of each device as columns."""
    rows: list[tuple[Any, ...]] = [
        (numbers[vehicle_id], numbers[meter_id], time, energy_mwh, soc_bp, temp_cdeg, None)
        for vehicle_id, time, energy_mwh, soc_bp, temp_cdeg, meter_id, _ in transaction.vehicles
    ]
    rows += [
        (numbers[meter_id], None, time, energy_mwh, None, None, voltage_mv)
        for meter_id, time, energy_mwh, voltage_mv in transaction.meters
    ]
    rows.sort(key=itemgetter(0, 2))
    return rows, list(zip(*{row[0]: row for row in rows}.values(), strict=True))


_BEGIN_LIVE = """
insert into live_state (device, time, energy_mwh, last_seen)
select device, '-infinity', 0, now()
from devices
"""
_ADVANCE_LIVE = """
update live_state as s
set
    meter = n.meter,
    time = n.time,
    energy_mwh = n.energy_mwh,
    soc_bp = n.soc_bp,
    battery_temp_cdeg = n.battery_temp_cdeg,
    voltage_mv = n.voltage_mv,
    last_seen = now()
from unnest(
    $1::integer[], $2::integer[], $3::timestamptz[], $4::bigint[], $5::smallint[], $6::smallint[],
    $7::integer[]
) as n (device, meter, time, energy_mwh, soc_bp, battery_temp_cdeg, voltage_mv)
where s.device = n.device
    and s.time < n.time
"""


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run the process."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    result = uvloop.run(run(job))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
