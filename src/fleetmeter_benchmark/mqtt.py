"""Measures the MQTT input: a broker, a publisher that costs next to nothing, and the service.

Messages have one reading each, at QoS 1. They count once the service has acknowledged them to the
broker, which it does after the commit.
"""

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import ask, client_of, request
from fleetmeter_benchmark.fleet import meter_id
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.processes import Running, Usage

NAME = "MQTT, QoS 1, a reading a message"

_MAPPING = """
[[rules]]
topic = "bench/{meter}/state"
time = "time"
meterId = "{meter}"
[rules.fields]
kwhConsumedAcTotal = { field = "energy", unit = "Wh" }
powerKw = { field = "power", unit = "W" }
voltage = "voltage"
"""

_IN_FLIGHT = 4000
"""Messages that the publisher sends before the broker has acknowledged the first of them."""

_LOOK_S = 0.05
_LONGEST_S = 300.0
_TAKEN = re.compile(rb'fleetmeter_mqtt_messages_total\{outcome="taken"\} (\d+)')


@asynccontextmanager
async def broker() -> AsyncIterator[tuple[int, dict[str, str]]]:
    """Run mosquitto; yields its port, and the settings of a service. Raises FleetMeterError."""
    path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if path is None:
        raise FleetMeterError("the scenario mqtt needs mosquitto on the PATH (Debian: mosquitto)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="fleetmeter-mqtt-") as folder:
        config, settings = _files(Path(folder), port)
        process = await asyncio.create_subprocess_exec(path, "-c", str(config))
        try:
            yield port, settings
        finally:
            process.terminate()
            await process.wait()


def _files(folder: Path, port: int) -> tuple[Path, dict[str, str]]:
    """Write the configuration of the broker, and the mapping; return it, and the settings."""
    mapping, config = folder / "mapping.toml", folder / "mosquitto.conf"
    mapping.write_text(_MAPPING)
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "max_inflight_messages 0\nlog_type error\n"
    )
    url = f"mqtt://127.0.0.1:{port}"
    return config, {"FLEETMETER_MAPPING": str(mapping), "FLEETMETER_MQTT_URL": url}


async def measure(
    port: int,
    running: Running,
    database: psutil.Process | None,
    options: Options,
    progress: Progress,
) -> Measured:
    """Publish to the broker at a port, and measure until all is acknowledged."""
    count = max(options.readings // 10, 2 * options.devices)
    warm = options.devices
    start = int(datetime.now(UTC).timestamp()) - (warm + count) // options.devices - 1
    packets = [_publish(n, options.devices, start) for n in range(warm + count)]
    await _is_connected(running)
    await _published(port, packets[:warm])
    await _taken(running, warm, lambda _: None)
    async with Usage(running.process) as used, Usage(database) as by_database:
        began, cpu = perf_counter(), process_time()
        publishing = asyncio.create_task(_published(port, packets[warm:]))
        await _taken(running, warm + count, lambda done: progress(NAME, done - warm, count))
        seconds = perf_counter() - began
        await publishing
        load_s = process_time() - cpu
    million = count / 1_000_000
    return Measured(
        scenario=NAME,
        rate=count / seconds,
        p50_ms=0,
        p99_ms=0,
        answers={"PUBACK": count},
        rss_mib=max(used.rss_mib, default=0.0),
        service_cpu_s=used.cpu_s / million,
        database_cpu_s=by_database.cpu_s / million if database else None,
        load_cpu_s=load_s / million,
    )


async def _is_connected(running: Running) -> None:
    """Wait until every process is a client of the broker."""
    client = client_of(running.target)
    ends = perf_counter() + _LONGEST_S
    while b'"connected":true' not in (said := await ask(client, request("GET", "/v1/inputs"))):
        if perf_counter() > ends:
            raise FleetMeterError(f"the service is not connected to the broker: {said.decode()}")
        await asyncio.sleep(_LOOK_S)


async def _taken(running: Running, count: int, progress: Callable[[int], None]) -> None:
    """Wait until the service has stored and acknowledged so many messages."""
    client = client_of(running.target)
    ends = perf_counter() + _LONGEST_S
    done = 0
    while done < count:
        found = _TAKEN.search(await ask(client, request("GET", "/metrics")))
        done = int(found[1]) if found else 0
        progress(done)
        if perf_counter() > ends:
            raise FleetMeterError(f"{done:,} of {count:,} messages were taken in {_LONGEST_S:g} s")
        await asyncio.sleep(_LOOK_S)


async def _published(port: int, packets: Sequence[bytes]) -> None:
    """Publish packets, as many at a time as may be in flight; return when the broker has all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench")
    if (await reader.readexactly(4))[3]:
        raise FleetMeterError("the broker refuses the publisher")
    sent = acknowledged = answered = 0
    while acknowledged < len(packets):
        until = min(len(packets), acknowledged + _IN_FLIGHT)
        if until > sent:
            writer.write(b"".join(packets[sent:until]))
            sent = until
        answered += len(await reader.read(_IN_FLIGHT * 4))
        acknowledged = answered // 4
        if reader.at_eof():
            raise FleetMeterError("the broker has closed the connection of the publisher")
    writer.write(b"\xe0\x00")
    await writer.drain()
    writer.close()


def _publish(number: int, devices: int, start: int) -> bytes:
    """Return the packet of a message: QoS 1, each device once a second."""
    turn, device = divmod(number, devices)
    topic = f"bench/{meter_id(device)}/state".encode()
    energy = device * 1000 + turn * 2
    payload = b'{"time":%d,"energy":%d,"power":7200,"voltage":230.4}' % (start + turn, energy)
    body = (
        len(topic).to_bytes(2, "big") + topic + (number % 65_535 + 1).to_bytes(2, "big") + payload
    )
    length = len(body)
    assert length < 128  # noqa: S101 - one byte says it
    return bytes((0x32, length)) + body
