"""Lists the ways to send readings, by the names of `fleetmeter simulate --via`."""

from collections.abc import Callable
from typing import Literal, get_args

from fleetmeter_simulator.wires.http import over_http
from fleetmeter_simulator.wires.influx import over_influx
from fleetmeter_simulator.wires.wire import OpenWire

Way = Literal["http", "influx"]

WAYS: tuple[Way, ...] = get_args(Way)

_OPENERS: dict[Way, Callable[[str, str | None], OpenWire]] = {
    "http": over_http,
    "influx": over_influx,
}


def wire_to(way: Way, url: str, key: str | None) -> OpenWire:
    """Return what opens a wire to the service at a URL."""
    return _OPENERS[way](url, key)
