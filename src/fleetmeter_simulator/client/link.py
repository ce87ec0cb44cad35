"""How a device's readings come in: late by seconds, at times lost, twice, in disorder, or buffered.

Times are microseconds as rows hold them.
"""

from collections.abc import Sequence, Set
from itertools import repeat
from random import Random
from typing import Any

from fleetmeter_simulator.chance import DELAYS_US, TABLE
from fleetmeter_simulator.devices.readings import Kind, Row
from fleetmeter_simulator.faults.injection import SILENCES, Injection

Arrival = tuple[int, Kind, Row]
"""When it arrives, what it is, and the reading."""

MINUTE_US = 60_000_000
_DAY = 24 * 60

_RESENT = 0.03
_DISORDERED = 0.02
"""How likely some readings of an hour are sent twice, or come at once and in disorder."""
_OFFLINE = 0.08
"""How likely a device is offline once in a day."""
_OFFLINE_SHORT = (10, 22)
_OFFLINE_LONG = (35, 300)
"""Minutes, from and to."""
LONG_OFFLINE_MIN = 30
"""From then on rules may say that the device was silent: it was."""
_RECONNECTS_US = 5_000_000
_BUFFERED_APART_US = 20_000
_LONGEST_SLEEP_US = 12 * 60 * MINUTE_US
"""After so long a modem wakes up, sends what it kept, and sleeps again."""
_QUIET = 6 * 60
"""No device is offline so many minutes before, in or after a silence or a fault of its clock."""
_UNDISTURBED = SILENCES | {"clock_skew", "readings_refused"}


class Link:
    """Between a device and the service."""

    def __init__(
        self, device_id: str, rng: Random, loses: float, day_us: int, faults: list[Injection]
    ) -> None:
        """`day_us`: the time of minute 0; `faults`: of its bay."""
        self._rng = rng
        self.device_id = device_id
        self._loses = loses
        self._day_us = day_us
        self._planned_until: int | None = None
        self._offline = (0, 0)
        self._faults = [each for each in faults if device_id in each.devices]
        self._kept: list[tuple[int, Any]] = []
        """What it measured while it slept, and when."""
        self.long_offline: list[tuple[int, int]] = []
        """Minutes, from and to."""

    def deliver(
        self,
        begin: int,
        kind: Kind,
        stamps: list[int],
        rows: list[Any],
        out: list[Arrival],
        asleep: Set[int] = frozenset(),
    ) -> None:
        """What becomes of the readings of the hour from a minute on, taken at `stamps`.

        `asleep`: those that are kept until the device wakes up.
        """
        draw = self._rng.random
        if self._planned_until is None or begin >= self._planned_until:
            self._plan_day(begin)
        if (chance := draw() / self._loses) < 1 and rows:
            lost = int(chance * len(rows))
            del stamps[lost], rows[lost]
        if any(fault.lasts(begin, begin + 60) for fault in self._faults):
            stamps, rows = self._not_silent(stamps, rows)
        at = int(draw() * TABLE)
        delays: Sequence[int] = DELAYS_US[at : at + len(rows)]
        arrivals = [stamp + delay for stamp, delay in zip(stamps, delays, strict=True)]
        offline, online = self._offline
        if begin < online and offline < begin + 60:
            self._buffer(arrivals)
        if asleep or self._kept:
            arrivals, rows = self._wake(stamps, arrivals, kind, rows, asleep, out)
        out.extend(zip(arrivals, repeat(kind), rows, strict=False))
        if (chance := draw()) < _RESENT + _DISORDERED and rows:
            first = int(draw() * len(rows))
            some = slice(first, first + 1 + int(draw() * 12))
            if chance < _RESENT:
                later = 1_000_000 + int(draw() * 600_000_000)
                out.extend(
                    (arrives + later, kind, row)
                    for arrives, row in zip(arrivals[some], rows[some], strict=True)
                )
            else:
                self._disorder(len(rows), some, out)

    def _wake(
        self,
        stamps: list[int],
        arrivals: list[int],
        kind: Kind,
        rows: list[Any],
        asleep: Set[int],
        out: list[Arrival],
    ) -> tuple[list[int], list[Any]]:
        """Keep what is measured while it sleeps; what it kept comes with the next reading."""
        awake: list[tuple[int, Any]] = []
        kept = self._kept
        for stamp, arrives, row in zip(stamps, arrivals, rows, strict=True):
            if stamp not in asleep:
                awake.append((arrives, row))
            if kept and (stamp not in asleep or stamp - kept[0][0] >= _LONGEST_SLEEP_US):
                out.extend(
                    (arrives + number * _BUFFERED_APART_US, kind, each)
                    for number, (_, each) in enumerate(kept)
                )
                kept.clear()
            if stamp in asleep:
                kept.append((stamp, row))
        return [arrives for arrives, _ in awake], [row for _, row in awake]

    def _disorder(self, count: int, some: slice, out: list[Arrival]) -> None:
        """Some of the readings just delivered come together, the last of them first."""
        mine = out[-count:]
        batch = mine[some]
        arrives = max(arrival[0] for arrival in batch)
        batch.reverse()
        mine[some] = [(arrives, kind, row) for _, kind, row in batch]
        out[-count:] = mine

    def _buffer(self, arrivals: list[int]) -> None:
        """What would come while it is offline comes after, one right after the other."""
        offline = self._day_us + self._offline[0] * MINUTE_US
        online = self._day_us + self._offline[1] * MINUTE_US
        for number, arrives in enumerate(arrivals):
            if offline <= arrives < online:
                behind = (arrives - offline) // MINUTE_US * _BUFFERED_APART_US
                arrivals[number] = online + _RECONNECTS_US + behind

    def _plan_day(self, begin: int) -> None:
        """Whether it is offline in the day that a minute is in."""
        day = begin // _DAY * _DAY
        self._planned_until = day + _DAY
        draw = self._rng.random
        chance, at, share = draw(), draw(), draw()
        if chance >= _OFFLINE:
            return
        low, high = _OFFLINE_SHORT if chance < _OFFLINE / 2 else _OFFLINE_LONG
        length = round(low + share * share * (high - low))
        offline = day + round(at * (_DAY - length - 1))
        online = offline + length
        if offline < begin or any(
            fault.lasts(offline - _QUIET, online + _QUIET)
            for fault in self._faults
            if fault.fault.kind in _UNDISTURBED or fault.what in ("clock-offset", "time-zone")
        ):
            return
        self._offline = (offline, online)
        if length > LONG_OFFLINE_MIN:
            self.long_offline.append(self._offline)

    def _not_silent(self, stamps: list[int], rows: list[Any]) -> tuple[list[int], list[Any]]:
        silences = [
            (self._day_us + fault.begin * MINUTE_US, self._day_us + fault.end * MINUTE_US)
            for fault in self._faults
            if fault.fault.kind in SILENCES
        ]
        if not silences:
            return stamps, rows
        kept = [
            (stamp, row)
            for stamp, row in zip(stamps, rows, strict=True)
            if not any(begin <= stamp < end for begin, end in silences)
        ]
        return [stamp for stamp, _ in kept], [row for _, row in kept]
