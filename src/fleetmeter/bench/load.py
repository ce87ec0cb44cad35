"""The load: a process of its own that drives the service with HTTP, or the bare database.

Reads a Job from standard input; writes the number of readings that are done, a line at a time, and
the Result at the end.
"""

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from time import perf_counter
from typing import Any

import asyncpg
import msgspec
import uvloop

from fleetmeter.bench.client import Answer, Client, client_of
from fleetmeter.bench.fleet import Request, Traffic, Transaction, requests, transactions
from fleetmeter.readings.model import METER_COLUMNS, VEHICLE_COLUMNS

_TELL_S = 0.2
WARM_UP = 0.1
"""Share of the work that is done before the clock starts; each device has reported by then."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: as fast as answers come, or at a rate."""

    target: str
    """host:port of the service, or the URL of the database."""

    traffic: Traffic
    readings: int
    """How many to send, when there is no rate."""

    rate: float = 0.0
    """Readings a second, whatever becomes of them."""

    seconds: float = 0.0
    connections: int = 0
    """For a rate: those in flight at most; otherwise each group has one."""

    transaction: int = 0
    """Not over HTTP: straight into the database, so many rows at a time."""


class Result(msgspec.Struct, kw_only=True):
    """What came of it."""

    readings: int
    """Acknowledged, duplicates included."""

    handled: int
    """The same with the warm-up."""

    accepted: int
    """Told to be new, with the warm-up."""

    seconds: float
    latencies_ms: list[float]
    """Of each request that was acknowledged."""

    answers: dict[str, int]
    """Requests by status; `unsent` had no free connection, `lost` no answer."""

    cpu_s: float


class _Outcome(msgspec.Struct):
    """What any version of the service says of a batch, as far as it is counted here."""

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
        """What came before was to warm up."""
        self.readings = 0
        self.latencies.clear()
        self.answers.clear()


async def run(job: Job) -> Result:
    """Do the job, telling how far it is."""
    tally = _Tally()
    telling = asyncio.create_task(_tell(tally))
    try:
        if job.transaction:
            seconds, cpu_s = await _bare(job, tally)
        elif job.rate:
            seconds, cpu_s = await _paced(job, tally)
        else:
            seconds, cpu_s = await _closed(job, tally)
    finally:
        telling.cancel()
    return Result(
        readings=tally.readings,
        handled=tally.handled,
        accepted=tally.accepted,
        seconds=seconds,
        latencies_ms=tally.latencies,
        answers=dict(tally.answers),
        cpu_s=cpu_s,
    )


async def _tell(tally: _Tally) -> None:
    while True:
        await asyncio.sleep(_TELL_S)
        print(msgspec.json.encode({"done": tally.readings}).decode(), flush=True)


async def _closed(job: Job, tally: _Tally) -> tuple[float, float]:
    """Each group sends its next request when the last was answered; all were made before."""
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
    """Requests at their times, each on a connection that is free; latency counts from its time."""
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
    """COPY into history and upsert of live state, nothing else; the rows are made before."""
    halves = [
        list(range(job.traffic.groups))[number :: job.connections]
        for number in range(job.connections)
    ]
    each = job.readings // job.connections
    size = min(job.transaction, each // 4)
    prepared = [
        list(islice(transactions(job.traffic, groups, size), each // size)) for groups in halves
    ]
    arguments = [[_arguments(transaction) for transaction in mine] for mine in prepared]
    connections = [await asyncpg.connect(job.target) for _ in halves]

    async def store(share: slice) -> None:
        async def one(
            connection: Any, mine: list[Transaction], upserts: list[tuple[list[Any], list[Any]]]
        ) -> None:
            for rows, upsert in zip(mine[share], upserts[share], strict=True):
                started = perf_counter()
                async with connection.transaction():
                    await _store(connection, rows, *upsert)
                count = len(rows.vehicles) + len(rows.meters)
                tally.acknowledged(count, 0, perf_counter() - started)

        await asyncio.gather(*map(one, connections, prepared, arguments))

    warm = max(1, round(len(prepared[0]) * WARM_UP))
    await store(slice(None, warm))
    tally.start()
    started, cpu = perf_counter(), _cpu_s()
    await store(slice(warm, None))
    seconds, cpu_s = perf_counter() - started, _cpu_s() - cpu
    for connection in connections:
        await connection.close()
    return seconds, cpu_s


def _arguments(transaction: Transaction) -> tuple[list[Any], list[Any]]:
    """The columns of the newest row of each device."""
    vehicles = {row[0]: row for row in transaction.vehicles}.values()
    meters = {row[0]: row for row in transaction.meters}.values()
    return list(zip(*vehicles, strict=True)), list(zip(*meters, strict=True))


async def _store(
    connection: Any, rows: Transaction, vehicles: list[Any], meters: list[Any]
) -> None:
    await connection.copy_records_to_table(
        "vehicle_readings", columns=VEHICLE_COLUMNS, records=rows.vehicles
    )
    await connection.execute(_UPSERT_VEHICLES, *vehicles)
    await connection.copy_records_to_table(
        "meter_readings", columns=METER_COLUMNS, records=rows.meters
    )
    await connection.execute(_UPSERT_METERS, *meters)


_UPSERT_VEHICLES = """
insert into vehicle_state as v
select n.*, now()
from unnest(
    $1::text[], $2::timestamptz[], $3::integer[], $4::smallint[], $5::smallint[], $6::text[],
    $7::boolean[]
) as n
on conflict (vehicle_id) do update
set
    time = excluded.time,
    energy_mwh = excluded.energy_mwh,
    soc_bp = excluded.soc_bp,
    battery_temp_cdeg = excluded.battery_temp_cdeg,
    meter_id = excluded.meter_id,
    meter_declared = excluded.meter_declared,
    last_seen = excluded.last_seen
where excluded.time > v.time
"""
_UPSERT_METERS = """
insert into meter_state as m
select n.*, now()
from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::integer[]) as n
on conflict (meter_id) do update
set
    time = excluded.time,
    energy_mwh = excluded.energy_mwh,
    voltage_mv = excluded.voltage_mv,
    last_seen = excluded.last_seen
where excluded.time > m.time
"""


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """The process."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    result = uvloop.run(run(job))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
