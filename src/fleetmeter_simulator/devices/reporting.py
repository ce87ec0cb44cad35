"""Decides when devices take readings, what time these cover, and which are sent."""

from collections.abc import Iterable
from random import Random
from typing import Any

from fleetmeter_simulator.chance import JITTER_US, TABLE
from fleetmeter_simulator.client.link import MINUTE_US
from fleetmeter_simulator.devices.vehicle import HOUR
from fleetmeter_simulator.faults.injection import Injection


class Reporter:
    """Holds what vehicles and meters have in common: when they take readings, of which time."""

    def __init__(
        self, rng: Random, interval_min: int, first_us: int, *, on_the_hour: bool = False
    ) -> None:
        self._rng = rng
        self._interval = interval_min
        self._first_us = first_us
        """End of minute 0 for the device."""
        self._on_the_hour = on_the_hour

    def stamps(self, begin: int) -> list[int]:
        """Return when the device takes the readings of the hour from a minute on."""
        at = int(self._rng.random() * TABLE)
        step = self._interval
        first = self._first_us + (begin + step - 1) * MINUTE_US
        times = range(first, first + HOUR * MINUTE_US, step * MINUTE_US)
        if self._on_the_hour:
            return list(times)
        return [
            time + jitter
            for time, jitter in zip(times, JITTER_US[at : at + HOUR // step], strict=True)
        ]

    def summed(self, minutes: list[int]) -> list[int]:
        """Add up the minutes since the reading before."""
        step = self._interval
        if step == 1:
            return minutes
        return [sum(minutes[at : at + step]) for at in range(0, HOUR, step)]

    def at(self, minutes: list[Any]) -> list[Any]:
        """Pick the value at the time of each reading."""
        return minutes if self._interval == 1 else minutes[self._interval - 1 :: self._interval]


def clock_times(stamps: list[int], begin: int, faults: list[Injection]) -> list[int]:
    """Return what the device's clock shows at those times."""
    wrong = [each for each in faults if "behindS" in each.fault.numbers]
    if not wrong:
        return stamps
    step = HOUR // len(stamps)
    times = []
    for number, stamp in enumerate(stamps):
        minute = begin + number * step
        behind = sum(
            each.fault.numbers["behindS"] for each in wrong if each.begin <= minute < each.end
        )
        times.append(stamp - int(behind) * 1_000_000)
    return times


class OnlyWhile:
    """Selects the readings of a device that reports during an activity, and a bit longer."""

    def __init__(self, after: int = 3) -> None:
        self._after = after
        self._left = 0

    def kept(self, going_on: Iterable[object]) -> list[bool]:
        """Return which readings of an hour are sent; `going_on` marks those with activity."""
        kept = []
        for each in going_on:
            self._left = self._after if each else max(self._left - 1, 0)
            kept.append(self._left > 0)
        return kept
