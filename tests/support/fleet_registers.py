"""Registers of a simulated fleet: what they show, and what they have really counted."""

from collections import defaultdict
from datetime import timedelta
from typing import NamedTuple

from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.devices.registers import Counted, Exchange
from fleetmeter_simulator.fleet import Fleet


class Told(NamedTuple):
    """A register: what came in of it, and what is true."""

    shown: dict[int, int]
    """What it showed, by time, mWh."""

    counted: list[Counted]
    """At the readings that came in and show it, in the order of time."""

    exchanges: list[Exchange]

    @property
    def truth_mwh(self) -> int:
        """Counted from the first of these readings to the last."""
        return self.counted[-1].mwh - self.counted[0].mwh

    @property
    def allowed_mwh(self) -> int:
        """What nobody can know: behind the last step, and at an exchange that nobody stated."""
        unknown = 0
        for exchange in self.exchanges:
            if exchange.stated_us is None:
                before = max(each for each in self.counted if each.time_us < exchange.at_us)
                after = min(each for each in self.counted if each.time_us > exchange.at_us)
                unknown += after.mwh - before.mwh
        return unknown + self.counted[0].resolution_mwh


def told(fleet: Fleet, hours: int) -> tuple[dict[str, Told], list[Arrival]]:
    """All registers of the first hours of a fleet, and what arrives of them."""
    shown: dict[str, dict[int, int]] = defaultdict(dict)
    counted: dict[str, list[Counted]] = defaultdict(list)
    arrived: list[Arrival] = []
    for number in range(hours):
        arrivals = fleet.arrivals(fleet.start + number * timedelta(hours=1))
        arrived += (each for each in arrivals if each[1].endswith("_registers"))
        for each in fleet.counted():
            counted[each.device_id].append(each)
    for _, _, row in arrived:
        shown[row[0]][row[1]] = row[2]
    return {
        device_id: Told(
            values,
            [each for each in counted[device_id] if each.time_us in values],
            [each for each in fleet.exchanges if each.meter_id == device_id],
        )
        for device_id, values in shown.items()
    }, arrived
