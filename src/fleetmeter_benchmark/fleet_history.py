"""Writes the history of a fleet as a CSV file, for versions that store it in their own way.

It is like the one that `fleetmeter_benchmark.history` writes by SQL: a reading a minute; vehicles
charge eight hours of a day, staggered; every meter has a small standby; and values have some noise.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from fleetmeter_benchmark.fleet import CSV_HEADER, meter_id, meter_of, rfc3339, vehicle_id

_MINUTE = timedelta(minutes=1)
_CHARGING_HOURS = 8


def write_history(path: Path, start: datetime, end: datetime, vehicles: int) -> None:
    """Write what a fleet sends between two times. Raises OSError."""
    with path.open("wb") as file:
        file.write(CSV_HEADER)
        while start < end:
            file.write("".join(_lines(start, vehicles)).encode())
            start += _MINUTE


def _lines(time: datetime, vehicles: int) -> Iterator[str]:
    minute, hour, timestamp = int(time.timestamp()) // 60, time.hour, rfc3339(time)
    on_meter = [0] * vehicles
    for number in range(vehicles):
        meter = meter_of(number)
        on_meter[meter] += 1
        noise = _noise(number, minute)
        since_plugged = (hour + meter) % 24
        kwh = (150 + number % 97 + noise % 21 - 10) / 1000 if since_plugged < _CHARGING_HOURS else 0
        soc = 20 + since_plugged * 2.5 + noise % 50 / 100
        temp_c = 18 + number % 190 / 10 + noise % 9 / 10
        yield f"{vehicle_id(number)},,{timestamp},{soc:.2f},{kwh:.3f},{temp_c:.1f},,\n"
    for number in range(vehicles):
        noise = _noise(number, minute)
        wh = 1.0
        if (hour + number) % 24 < _CHARGING_HOURS:
            wh += (165 + number % 97 * 1.1 + noise % 21 - 10) * on_meter[number]
        voltage = 226 + number % 83 / 10 + noise % 40 / 10
        yield f",{meter_id(number)},{timestamp},,,,{wh / 1000:.4f},{voltage:.1f}\n"


def _noise(number: int, minute: int) -> int:
    """Return a number that looks random, and is the same each time."""
    return (number * 2_654_435_761 + minute * 2_246_822_519 >> 7) & 1023
