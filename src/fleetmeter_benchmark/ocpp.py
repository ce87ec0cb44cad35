"""Measures the OCPP input: MeterValues that are answered after the commit, and idle connections.

Charge points are as cheap as can be: their frames are made before, and masked with zeros.
"""

import asyncio
import resource
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from time import perf_counter, process_time

import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.processes import Running, Usage

ACTIVE = 500
"""Charge points that send MeterValues, each the next one when the last is answered."""

NAME = f"OCPP, MeterValues of {ACTIVE} charge points"

_OTHER_FILES = 512
_AT_ONCE = 100
"""Charge points that connect at the same time."""

_WARM = 10
"""MeterValues of each charge point before the clock starts."""

_LONGEST_S = 300.0


def settings_of(charge_points: int) -> dict[str, str]:
    """Return the settings of a service for so many charge points. Raises FleetMeterError.

    This process may then open as many connections.
    """
    most = charge_points * 10 // 9 + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < most + _OTHER_FILES:
        raise FleetMeterError(
            f"the scenario ocpp needs {most + _OTHER_FILES:,} open files, and the system allows "
            f"{hard:,} (ulimit -Hn)"
        )
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return {
        "FLEETMETER_CONNECTIONS": str(most),
        "FLEETMETER_CONNECTIONS_PER_ADDRESS": str(most),
        "FLEETMETER_OCPP_SAMPLE_S": "0",
    }


async def measure(
    running: Running,
    database: psutil.Process | None,
    options: Options,
    progress: Progress,
) -> list[Measured]:
    """Measure memory with all charge points connected, and then the rate of MeterValues."""
    idle = f"OCPP, {options.charge_points:,} idle charge points"
    progress(idle, 0, options.charge_points)
    connected: list[_ChargePoint] = []
    async with Usage(running.process, 0.1) as used:
        while len(connected) < options.charge_points:
            first = len(connected)
            batch = range(first, min(first + _AT_ONCE, options.charge_points))
            connected += await asyncio.gather(*(_connected(running, n) for n in batch))
            progress(idle, len(connected), options.charge_points)
        await asyncio.sleep(1)  # another sample of memory, with all of them
    at_rest = Measured(
        scenario=idle,
        rate=0,
        p50_ms=0,
        p99_ms=0,
        answers={"101": len(connected)},
        rss_mib=max(used.rss_mib, default=0.0),
    )
    try:
        return [await _send(connected[:ACTIVE], running, database, options, progress), at_rest]
    finally:
        for each in connected:
            each.close()


def sent(line: Measured) -> int:
    """Return how many MeterValues were answered, those before the clock started, too."""
    return line.answers["CALLRESULT"] + _WARM * ACTIVE


async def _send(
    charge_points: Sequence["_ChargePoint"],
    running: Running,
    database: psutil.Process | None,
    options: Options,
    progress: Progress,
) -> Measured:
    each = max(options.readings // 20 // len(charge_points), _WARM)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=each + _WARM)
    for charge_point in charge_points:
        charge_point.prepare(start, _WARM + each)
    await asyncio.gather(*(charge_point.send(_WARM) for charge_point in charge_points))
    count = each * len(charge_points)
    progress(NAME, 0, count)
    async with Usage(running.process) as used, Usage(database) as by_database:
        began, cpu = perf_counter(), process_time()
        async with asyncio.timeout(_LONGEST_S):
            took = await asyncio.gather(
                *(charge_point.send(each) for charge_point in charge_points)
            )
        seconds, load_s = perf_counter() - began, process_time() - cpu
    progress(NAME, count, count)
    latencies = quantiles([ms for one in took for ms in one], n=100, method="inclusive")
    million = count / 1_000_000
    return Measured(
        scenario=NAME,
        rate=count / seconds,
        p50_ms=latencies[49],
        p99_ms=latencies[98],
        answers={"CALLRESULT": count},
        rss_mib=max(used.rss_mib, default=0.0),
        service_cpu_s=used.cpu_s / million,
        database_cpu_s=by_database.cpu_s / million if database else None,
        load_cpu_s=load_s / million,
    )


async def _connected(running: Running, number: int) -> "_ChargePoint":
    host, _, port = running.target.rpartition(":")
    loop = asyncio.get_running_loop()
    _, charge_point = await loop.create_connection(
        lambda: _ChargePoint(number, running.target), host, int(port)
    )
    async with asyncio.timeout(_LONGEST_S):
        await charge_point.answered()
    return charge_point


class _ChargePoint(asyncio.Protocol):
    """A charge point, which reads answers that come one at a time."""

    def __init__(self, number: int, host: str) -> None:
        self._number = number
        self._host = host
        self._waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames: list[bytes] = []
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a socket
        self._transport = transport
        transport.write(
            f"GET /ocpp/CP-{self._number:06} HTTP/1.1\r\nHost: {self._host}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take an answer, or the ping of a service that has heard nothing for long."""
        if data.startswith(b"\x89"):
            self._transport.write(b"\x8a\x80" + bytes(4))
        elif data.startswith((b"HTTP/1.1 101 ", b"\x81")) and b"[4," not in data:
            if not self._waits.done():
                self._waits.set_result(None)
        elif not self._waits.done():
            said = data[:200].decode(errors="replace")
            self._waits.set_exception(FleetMeterError(f"a charge point was answered: {said}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Report that the service has closed the connection."""
        if not self._waits.done():
            self._waits.set_exception(FleetMeterError("the service closed a connection"))

    async def answered(self) -> None:
        """Wait for the answer to what was sent last."""
        await self._waits

    def prepare(self, start: datetime, count: int) -> None:
        """Make the frames of so many MeterValues, one for each second."""
        for n in range(count):
            at = (start + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
            text = (
                f'[2,"{n}","MeterValues",{{"connectorId":1,"meterValue":[{{"timestamp":"{at}",'
                '"sampledValue":['
                f'{{"value":"{self._number * 1000 + 2 * n}","context":"Sample.Periodic",'
                '"measurand":"Energy.Active.Import.Register","location":"Outlet","unit":"Wh"},'
                '{"value":"7200","measurand":"Power.Active.Import","unit":"W"},'
                '{"value":"230.4","measurand":"Voltage","phase":"L1-N","unit":"V"}]}]}]'
            ).encode()
            size = len(text).to_bytes(2, "big")
            self._frames.append(b"\x81\xfe" + size + bytes(4) + text)

    async def send(self, count: int) -> list[float]:
        """Send the next MeterValues; return how long each waited for its answer, ms."""
        took = []
        for frame in self._frames[self._sent : self._sent + count]:
            self._waits = asyncio.get_running_loop().create_future()
            began = perf_counter()
            self._transport.write(frame)
            await self._waits
            took.append((perf_counter() - began) * 1000)
        self._sent += count
        return took

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()
