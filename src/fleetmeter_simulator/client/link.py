"""Simulates how readings arrive: seconds late, sometimes lost, repeated, out of order or buffered.

Times are microseconds, as in rows.
"""

from collections.abc import Sequence, Set
from itertools import repeat
from random import Random
from typing import Any

from fleetmeter_simulator.chance import DELAYS_US, TABLE
from fleetmeter_simulator.devices.readings import Row, RowKind
from fleetmeter_simulator.faults.injection import SILENCES, Injection

Arrival = tuple[int, RowKind, Row]
"""Time of arrival, kind, and the reading."""

MINUTE_US = 60_000_000
_DAY = 24 * 60

_RESENT = 0.03
_DISORDERED = 0.02
"""Probability that some readings of an hour are sent twice, or arrive together and out of order."""
_OFFLINE = 0.08
"""Probability that a device is offline once in a day."""
_OFFLINE_SHORT = (10, 22)
_OFFLINE_LONG = (35, 300)
"""Shortest and longest time, minutes."""
LONG_OFFLINE_MIN = 30
"""Rules may rightly call a device silent that is offline for this long."""
_RECONNECTS_US = 5_000_000
_BUFFERED_APART_US = 20_000
_LONGEST_SLEEP_US = 12 * 60 * MINUTE_US
"""A modem wakes up at the latest after this long, sends what it kept, and sleeps again."""
_QUIET = 6 * 60
"""No device is offline this many minutes before, during or after a silence or a clock fault."""
_UNDISTURBED = SILENCES | {"clock_skew", "readings_refused"}


class Link:
    """Models the connection between a device and the service."""

    def __init__(
        self, device_id: str, rng: Random, loses: float, day_us: int, faults: list[Injection]
    ) -> None:
        """Create the link; `day_us` is the time of minute 0, `faults` are those of its bay."""
        self._rng = rng
        self.device_id = device_id
        self._loses = loses
        self._day_us = day_us
        self._planned_until: int | None = None
        self._offline = (0, 0)
        self._faults = [each for each in faults if device_id in each.devices]
        self._kept: list[tuple[int, Any]] = []
        """Readings taken while the device slept, with their times."""
        self.long_offline: list[tuple[int, int]] = []
        """Start and end, minutes."""

    def deliver(
        self,
        begin: int,
        kind: RowKind,
        stamps: list[int],
        rows: list[Any],
        out: list[Arrival],
        asleep: Set[int] = frozenset(),
    ) -> None:
        """Return how the readings of an hour arrive that were taken at `stamps`.

        `asleep` marks those that are kept until the device wakes up.
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
        kind: RowKind,
        rows: list[Any],
        asleep: Set[int],
        out: list[Arrival],
    ) -> tuple[list[int], list[Any]]:
        """Keep the readings taken during sleep; they are sent with the next other one."""
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
        """Let some of the readings just delivered arrive together, the last one first."""
        mine = out[-count:]
        batch = mine[some]
        arrives = max(arrival[0] for arrival in batch)
        batch.reverse()
        mine[some] = [(arrives, kind, row) for _, kind, row in batch]
        out[-count:] = mine

    def _buffer(self, arrivals: list[int]) -> None:
        """Delay what would arrive while the device is offline until afterwards, in quick
        succession.
        """
        offline = self._day_us + self._offline[0] * MINUTE_US
        online = self._day_us + self._offline[1] * MINUTE_US
        for number, arrives in enumerate(arrivals):
            if offline <= arrives < online:
                behind = (arrives - offline) // MINUTE_US * _BUFFERED_APART_US
                arrivals[number] = online + _RECONNECTS_US + behind

    def _plan_day(self, begin: int) -> None:
        """Decide whether the device is offline during the day of a minute."""
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
