"""Sends readings as InfluxDB's line protocol, with the names of the API as tags and fields.

    reading,meterId=MTR-1 voltage=231.2,kwhConsumedAcTotal=1204.5 1790000000000000000

A service without a mapping takes these.
"""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from fleetmeter.readings.model import EPOCH
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.readings import reading_of
from fleetmeter_simulator.client.service import Answer, Service
from fleetmeter_simulator.wires.http import in_halves
from fleetmeter_simulator.wires.wire import OpenWire, Outcome

_EPOCH_US = round(EPOCH.timestamp()) * 1_000_000
_PATH = "/api/v2/write?precision=us"
_SPECIAL = re.compile(r"[,= ]")
_REFUSED = re.compile(r"partial write: ([\d,]+) lines? cannot be stored")


class _Line(msgspec.Struct):
    code: str
    message: str


class _Answered(msgspec.Struct):
    """Which lines were refused, or of many, the first."""

    message: str = ""
    lines: list[_Line] = []


_answered = msgspec.json.Decoder(_Answered)


class Influx:
    """Writes batches as lines."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def send(self, batch: Sequence[Arrival]) -> Outcome:
        """Send readings until they are acknowledged. Raises StoppedError, FleetMeterError."""

        def post(some: Sequence[Arrival]) -> Answer:
            lines = "\n".join(map(line_of, some)).encode()
            return self._service.until_answered("POST", _PATH, lines, "text/plain")

        return in_halves(batch, post, _outcome)

    def close(self) -> None:
        """Close the connection."""
        self._service.close()


def over_influx(url: str, key: str | None) -> OpenWire:
    """Return what opens a wire to the service at a URL."""
    return lambda stopped, waiting: Influx(Service(url, stopped, waiting, key))


def line_of(arrival: Arrival) -> str:
    """Return a line: ids as tags, numbers as fields, and the time in microseconds."""
    reading = msgspec.to_builtins(reading_of(arrival))
    del reading["timestamp"]
    tags = [
        f",{name}={_SPECIAL.sub(_escaped, value)}"
        for name, value in reading.items()
        if isinstance(value, str)
    ]
    fields = [f"{name}={value!r}" for name, value in reading.items() if isinstance(value, float)]
    return f"reading{''.join(tags)} {','.join(fields)} {_EPOCH_US + arrival[2][1]}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _outcome(answer: Answer, count: int) -> Outcome | None:
    if answer.status == 204:
        return Outcome(accepted=count)
    if answer.status != 400:
        return None
    said = _answered.decode(answer.body)
    if (refused := _REFUSED.match(said.message)) is None:
        return None
    codes = Counter(each.code for each in said.lines)
    rejected = int(refused[1].replace(",", ""))
    if rejected > codes.total():
        codes["not named"] = rejected - codes.total()
    return Outcome(count - rejected, 0, codes, said.lines[-1].message)
