"""Sends what meters read as charge points do, by OCPP 1.6; vehicles report over HTTP beside them.

Each meter is a charge point of its own with one outlet. Its identity is the meter's id, so the
service needs a mapping that says so: `[[chargePoints]]`, `meterId = "{chargePoint}"`. Sessions of
meters are not sent; they would be transactions.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.wires.charge_point import ChargePoint
from fleetmeter_simulator.wires.http import over_http
from fleetmeter_simulator.wires.wire import OpenWire, Outcome, Stopped, Waiting, Wire

_AT_ONCE = 100
"""Charge points of a wire that connect or send at a time."""


def over_ocpp(url: str, key: str | None) -> OpenWire:
    """Return what opens connections to the service at a URL."""
    vehicles = over_http(url, key)
    return lambda stopped, waiting: Ocpp(url, key, stopped, waiting, vehicles(stopped, waiting))


class Ocpp:
    """Charge points, and a wire for the rest of the fleet."""

    def __init__(
        self, url: str, key: str | None, stopped: Stopped, waiting: Waiting, vehicles: Wire
    ) -> None:
        self._url = url
        self._key = key
        self._stopped = stopped
        self._waiting = waiting
        self._vehicles = vehicles
        self._runner = asyncio.Runner()
        self._charge_points: dict[str, ChargePoint] = {}

    def send(self, batch: Sequence[Arrival]) -> Outcome:
        """Send readings until they are acknowledged. Raises StoppedError, FleetMeterError."""
        metered: dict[str, list[Arrival]] = defaultdict(list)
        others: list[Arrival] = []
        for arrival in batch:
            if arrival[1].startswith("meter"):
                metered[arrival[2][0]].append(arrival)
            else:
                others.append(arrival)
        outcome = self._vehicles.send(others) if others else Outcome()
        if metered:
            self._runner.run(self._send(metered))
        outcome.accepted += len(batch) - len(others)
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._vehicles.close()
        self._runner.run(self._close())
        self._runner.close()

    async def _send(self, metered: dict[str, list[Arrival]]) -> None:
        """Let all charge points send, some at a time; the first error stops the others."""
        some = asyncio.Semaphore(_AT_ONCE)

        async def send(meter_id: str, arrivals: list[Arrival]) -> None:
            async with some:
                await self._charge_point(meter_id).send(arrivals)

        try:
            async with asyncio.TaskGroup() as group:
                for meter_id, arrivals in metered.items():
                    group.create_task(send(meter_id, arrivals))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _charge_point(self, meter_id: str) -> ChargePoint:
        known = self._charge_points.get(meter_id)
        if known is None:
            known = ChargePoint(self._url, meter_id, self._key, self._stopped, self._waiting)
            self._charge_points[meter_id] = known
        return known

    async def _close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._charge_points.values()))
