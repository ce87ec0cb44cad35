"""Lists the ways to send readings, by the names of `fleetmeter simulate --via`."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from fleetmeter_simulator.wires.http import over_http
from fleetmeter_simulator.wires.influx import over_influx
from fleetmeter_simulator.wires.mqtt import over_mqtt
from fleetmeter_simulator.wires.ocpp import over_ocpp
from fleetmeter_simulator.wires.wire import OpenWire

Way = Literal["http", "influx", "mqtt", "ocpp"]

WAYS: tuple[Way, ...] = get_args(Way)


class Target(NamedTuple):
    """Where readings are sent."""

    url: str
    key: str | None
    broker: str


_OPENERS: dict[Way, Callable[[Target], OpenWire]] = {
    "http": lambda to: over_http(to.url, to.key),
    "influx": lambda to: over_influx(to.url, to.key),
    "mqtt": lambda to: over_mqtt(to.broker),
    "ocpp": lambda to: over_ocpp(to.url, to.key),
}


def wire_to(way: Way, target: Target) -> OpenWire:
    """Return what opens a wire. Raises FleetMeterError for a URL that cannot be."""
    return _OPENERS[way](target)
