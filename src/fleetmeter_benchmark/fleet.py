"""Makes the fleet of a benchmark: its devices, and their requests and rows.

Half of the devices are vehicles and half meters; a group of them sends through one connection, as a
depot does through its gateway. Time runs fast: a device sends ten readings for every second, so
that all that a run sends is of one age, whatever the minute of the hour.
"""

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from fleetmeter.readings.decode import BodyFormat
from fleetmeter_benchmark.client import authorization

STEP = timedelta(milliseconds=100)
"""Time between two readings of a device."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TIME = "2000-01-01T00:00:00.000Z"
"""Placeholder in the templates for the time of the reading."""

Format = BodyFormat | Literal["influx"]

_ENCODE: dict[Format, Callable[[dict[str, Any]], bytes]] = {
    "json": msgspec.json.encode,
    "ndjson": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "influx": lambda item: _line(item),
}

_TO: dict[Format, tuple[str, str]] = {
    "json": ("/v1/ingest", "application/json"),
    "ndjson": ("/v1/ingest", "application/x-ndjson"),
    "msgpack": ("/v1/ingest", "application/msgpack"),
    "influx": ("/api/v2/write", "text/plain"),
}
"""Path and content type."""

INFLUX_RULES = """
[[rules]]
measurement = "car"
vehicleId = "{vin}"
[rules.fields]
soc = "battery_level"
batteryTemp = "battery_temperature"
kwhDeliveredDc = { field = "energy", unit = "Wh" }

[[rules]]
measurement = "charger"
meterId = "{serial}"
[rules.fields]
kwhConsumedAc = { field = "energy", unit = "Wh" }
voltage = "voltage"
"""
"""The mapping for what is sent as line protocol."""


class Age(NamedTuple):
    """Says how old the readings of a run are; each device's come in order all the same."""

    name: str
    ago: timedelta


FRESH = Age("fresh", timedelta(0))
AGES = (
    FRESH,
    Age("an hour old", timedelta(minutes=70)),  # of an hour that is over, in any minute of the next
    Age("a day old", timedelta(days=1)),
)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Describes what a fleet sends: requests of `batch` readings, each group of devices its own."""

    devices: int
    groups: int
    batch: int
    start: datetime
    format: Format = "json"
    encoding: Literal["", "gzip"] = ""
    late: float = 0.0
    """Share of readings that come minutes or hours after later ones of their device."""

    key: str | None = None
    """Key that is sent, empty for none; by default, that of FLEETMETER_KEY."""

    @property
    def group_devices(self) -> int:
        """Return how many devices send together."""
        return self.devices // self.groups


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Holds an HTTP request as it goes over the wire, and how many readings it has."""

    wire: bytes
    readings: int


def requests(traffic: Traffic, group: int) -> Iterator[Request]:
    """Yield what one group sends, without end, in the order of time."""
    devices = _devices(traffic, group)
    encode = _ENCODE[traffic.format]
    items = [encode(_item(device)) for device in devices]
    separator = {"json": b",", "msgpack": b""}.get(traffic.format, b"\n")
    at = _in_ns if traffic.format == "influx" else _at
    steps = max(1, traffic.batch // len(devices))
    size = min(traffic.batch, len(devices))
    pages = [items[at : at + size] for at in range(0, len(items), size)]
    turns = round((1 - traffic.late) / traffic.late) if traffic.late else 0
    step = late_from = 0
    while True:
        for page in pages:
            parts = []
            count = len(page) * steps
            whole = separator.join(page)
            for number in range(step, step + steps):
                time = traffic.start + number * STEP
                parts.append(at(whole, time))
                if turns:
                    some = page[late_from::turns]
                    late_from = (late_from + 1) % turns
                    parts.append(at(separator.join(some), time - _behind(traffic, group)))
                    count += len(some)
            yield Request(_wire(traffic, [part for part in parts if part], separator, count), count)
        step += steps


def _behind(traffic: Traffic, group: int) -> timedelta:
    """Return the delay of a group's late readings: minutes for every other one, hours for the rest.

    Nothing between: such readings would fall into an hour that is over in some minutes only.
    """
    share = group / traffic.groups
    minutes = 70 + 110 * share if group % 2 else 1 + 2 * share
    return timedelta(minutes=round(minutes)) + STEP / 2  # never the time of another reading


def _wire(traffic: Traffic, parts: list[bytes], separator: bytes, count: int) -> bytes:
    body = separator.join(parts)
    if traffic.format == "json":
        body = b"[" + body + b"]"
    elif traffic.format == "msgpack":
        body = b"\xdd" + count.to_bytes(4) + body
    elif traffic.format == "influx":
        body += b"\n"
    if traffic.encoding == "gzip":
        body = gzip.compress(body, compresslevel=6)
    encoding = f"Content-Encoding: {traffic.encoding}\r\n" if traffic.encoding else ""
    path, content_type = _TO[traffic.format]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\n{authorization(traffic.key)}"
        f"Content-Type: {content_type}\r\n{encoding}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


CSV_HEADER = b"vehicleId,meterId,timestamp,soc,kwhDeliveredDc,batteryTemp,kwhConsumedAc,voltage\n"


def csv_lines(devices: int, start: datetime, every: timedelta) -> Iterator[bytes]:
    """Yield a line of each device for one time after another, without end; see CSV_HEADER."""
    names = CSV_HEADER.decode().strip().split(",")
    items = [
        _item((vehicle, number)) for number in range(devices // 2) for vehicle in (True, False)
    ]
    cells = [[item.get(name, "") for name in names] for item in items]
    page = "".join(
        ",".join(f"{cell:g}" if isinstance(cell, float) else cell for cell in line) + "\n"
        for line in cells
    ).encode()
    while True:
        yield _at(page, start)
        start += every


def _at(page: bytes, time: datetime) -> bytes:
    return page.replace(_TIME.encode(), rfc3339(time).encode())


def _in_ns(page: bytes, time: datetime) -> bytes:
    microseconds = (time - _EPOCH) // timedelta(microseconds=1)
    return page.replace(_TIME.encode(), b"%d000" % microseconds)


def rfc3339(time: datetime) -> str:
    """Format a time as devices send it, in whole milliseconds."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def _devices(traffic: Traffic, group: int) -> list[tuple[bool, int]]:
    """Return (whether it is a vehicle, its number) of each device of a group."""
    half = traffic.group_devices // 2
    numbers = range(group * half, group * half + half)
    return [(vehicle, number) for number in numbers for vehicle in (True, False)]


def _item(device: tuple[bool, int]) -> dict[str, Any]:
    """Build a reading as it is sent, its time to be filled in."""
    vehicle, number = device
    if vehicle:
        return {
            "vehicleId": vehicle_id(number),
            "soc": 20 + number % 750 / 10,
            "kwhDeliveredDc": 0.05 + number % 97 / 1000,
            "batteryTemp": 18 + number % 190 / 10,
            "timestamp": _TIME,
        }
    return {
        "meterId": meter_id(number),
        "kwhConsumedAc": 0.06 + number % 97 / 1000,
        "voltage": 226 + number % 83 / 10,
        "timestamp": _TIME,
    }


def _line(item: dict[str, Any]) -> bytes:
    """Write a reading as a collector does in line protocol; see INFLUX_RULES."""
    if "vehicleId" in item:
        head, temperature = f"car,host=gateway,vin={item['vehicleId']}", item["batteryTemp"]
        fields = f"battery_level={item['soc']},battery_temperature={temperature},"
        energy = item["kwhDeliveredDc"]
    else:
        head, energy = f"charger,host=gateway,serial={item['meterId']}", item["kwhConsumedAc"]
        fields = f"voltage={item['voltage']},"
    return f"{head} {fields}energy={energy * 1000:g} {item['timestamp']}".encode()


def vehicle_id(number: int) -> str:
    """Return the id of a vehicle."""
    return f"EV-{number:06}"


def meter_id(number: int) -> str:
    """Return the id of a meter."""
    return f"MTR-{number:06}"


def meter_of(number: int) -> int:
    """Return the number of the meter that a vehicle of a compared fleet charges at.

    Every twentieth vehicle shares its neighbour's.
    """
    return number - (number % 20 == 19)


class Transaction(msgspec.Struct):
    """Holds what is stored at once: rows in key order, times as the driver takes them."""

    vehicles: list[tuple[Any, ...]]
    meters: list[tuple[Any, ...]]


def transactions(traffic: Traffic, groups: list[int], size: int) -> Iterator[Transaction]:
    """Yield the rows of some groups' requests, in transactions of `size`, without end."""
    step = 0
    per_request = max(1, traffic.batch // traffic.group_devices)
    steps = max(per_request, size // (traffic.group_devices * len(groups)))
    together = max(1, size // (traffic.group_devices * steps))
    while True:
        for at in range(0, len(groups), together):
            vehicles, meters = [], []
            for group in groups[at : at + together]:
                for vehicle, number in _devices(traffic, group):
                    for turn in range(step, step + steps):
                        time = traffic.start + turn * STEP
                        if vehicle:
                            vehicles.append(_vehicle_row(number, time))
                        else:
                            meters.append(_meter_row(number, time))
            yield Transaction(vehicles, meters)
        step += steps


def _vehicle_row(number: int, time: datetime) -> tuple[Any, ...]:
    energy_mwh, soc_bp, battery_temp_cdeg = (
        50_000 + number % 97 * 1000,
        2000 + number % 750 * 10,
        1800 + number % 190 * 10,
    )
    return (
        vehicle_id(number),
        time,
        energy_mwh,
        soc_bp,
        battery_temp_cdeg,
        meter_id(number),
        False,
    )


def _meter_row(number: int, time: datetime) -> tuple[Any, ...]:
    energy_mwh, voltage_mv = 60_000 + number % 97 * 1000, 226_000 + number % 83 * 100
    return meter_id(number), time, energy_mwh, voltage_mv
