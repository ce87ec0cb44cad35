"""Generates the load without HTTP: the same rows straight into the database."""

import asyncio
from itertools import islice
from operator import itemgetter
from time import perf_counter
from typing import Any

import asyncpg

from fleetmeter_benchmark.fleet import Transaction, transactions
from fleetmeter_benchmark.load_job import WARM_UP, Job
from fleetmeter_benchmark.load_tally import Tally, cpu_s


async def copy_rows(job: Job, tally: Tally) -> tuple[float, float]:
    """COPY into history and update live state, nothing else; the rows are made before.

    Returns how many seconds it took, and how many of CPU time."""
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
    started, cpu = perf_counter(), cpu_s()
    await store(slice(warm, None))
    seconds, used_s = perf_counter() - started, cpu_s() - cpu
    for connection in connections:
        await connection.close()
    return seconds, used_s


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
