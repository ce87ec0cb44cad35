"""Energy accounting by its definitions, reading by reading, without a database: a naive model.

Slow and plain on purpose. docs/energy-accounting.md has the rules; energies are milliwatt-hours.
"""

from bisect import bisect_right
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
DEFAULT_INTERVAL_S = 60
LEAST_MATCH = 0.9
SESSION_GAP = timedelta(minutes=15)
MOST_MWH = 1_000_000_000
MOST_MW = 10_000_000_000
"""1,000 kWh, and 10 MW for as long as it took: more is another register."""


class Reading(NamedTuple):
    """As it is stored: what was sent, and what follows from it."""

    device: str
    at: datetime
    energy: int
    covered_s: int | None
    """None: it opens a register, and covers nothing."""

    meter: str | None = None
    soc_bp: int = 7200
    reset: bool = False
    register: bool = False


class Sums:
    """What an answer about a vehicle adds up."""

    def __init__(self) -> None:
        self.dc = 0
        self.ac: int | None = None
        self.compared_dc = 0
        self.compared_ac: int | None = None
        self.left_out = 0
        self.covered_dc_s = 0.0
        self.covered_ac_s = 0.0
        self.compared_s = 0.0
        self.readings = 0
        self.meters: set[str] = set()

    @property
    def efficiency(self) -> float | None:
        return self.compared_dc / self.compared_ac if self.compared_ac else None

    @property
    def loss(self) -> int | None:
        return None if self.compared_ac is None else self.compared_ac - self.compared_dc


class Balance(Sums):
    """What an answer about meters adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.unattributed = 0
        self.meter_readings = 0


def derived(
    sent: dict[datetime, tuple[int, str | None, int]],
    device: str,
    register: bool,
    rollover: int | None,
    interval_s: int,
) -> list[Reading]:
    """A device's readings, {at: (value, meter, soc)}, in the order of time, with their energy."""
    readings = []
    before: tuple[datetime, int] | None = None
    for at, (value, meter, soc) in sorted(sent.items()):
        if not register:
            readings.append(Reading(device, at, value, interval_s, meter, soc))
            continue
        energy, covered, reset = 0, None, False
        if before is not None:
            seconds = (at - before[0]).total_seconds()
            energy, covered = value - before[1], round(seconds)
            if energy < 0 and rollover is not None and (energy + rollover) * 10 < rollover:
                energy += rollover
            if not 0 <= energy <= MOST_MWH + MOST_MW * seconds / 3600:
                energy, covered, reset = 0, None, True
        readings.append(Reading(device, at, energy, covered, meter, soc, reset, register=True))
        before = at, value
    return readings


class Fleet:
    """Everything that is stored."""

    def __init__(
        self, vehicles: list[Reading], meters: list[Reading], intervals: dict[str, int]
    ) -> None:
        self.vehicles = vehicles
        self.meters = meters
        self.intervals = intervals

    def account(
        self, bounds: list[datetime]
    ) -> tuple[
        dict[tuple[int, str], Sums],
        dict[tuple[int, str], Balance],
        dict[int, Balance],
    ]:
        """By (bucket, vehicle), by (bucket, meter) and by bucket, for buckets between bounds."""
        whole = all(bound == floor_hour(bound) for bound in bounds[1:-1])
        cuts = [bounds[0], bounds[-1]] if whole else bounds

        def slice_of(at: datetime) -> datetime:
            """Its hour, cut to the window, and at the bounds that cut an hour."""
            return max(floor_hour(at), cuts[bisect_right(cuts, at) - 1])

        def length_s(start: datetime) -> float:
            return (
                min(floor_hour(start) + HOUR, cuts[bisect_right(cuts, start)]) - start
            ).total_seconds()

        inside = [r for r in self.vehicles if bounds[0] <= r.at < bounds[-1]]
        metered = [r for r in self.meters if bounds[0] <= r.at < bounds[-1]]
        dc: dict[tuple[datetime, str | None, str], int] = defaultdict(int)
        vehicle_s: dict[tuple[datetime, str], int] = defaultdict(int)
        ac: dict[tuple[datetime, str], int] = defaultdict(int)
        meter_s: dict[tuple[datetime, str], int] = defaultdict(int)
        by_vehicle: dict[tuple[int, str], Sums] = defaultdict(Sums)
        by_meter: dict[tuple[int, str], Balance] = defaultdict(Balance)
        total: dict[int, Balance] = defaultdict(Balance)
        for r in inside:
            start = slice_of(r.at)
            dc[start, r.meter, r.device] += r.energy
            vehicle_s[start, r.device] += r.covered_s or 0
            bucket = bisect_right(bounds, start) - 1
            by_vehicle[bucket, r.device].readings += 1
            total[bucket].readings += 1
        for r in metered:
            start = slice_of(r.at)
            ac[start, r.device] += r.energy
            meter_s[start, r.device] += r.covered_s or 0
            bucket = bisect_right(bounds, start) - 1
            by_meter[bucket, r.device].meter_readings += 1
            total[bucket].meter_readings += 1

        for start, vehicle in vehicle_s:
            bucket = bisect_right(bounds, start) - 1
            covered = min(vehicle_s[start, vehicle], length_s(start))
            by_vehicle[bucket, vehicle].covered_dc_s += covered
            total[bucket].covered_dc_s += covered
            meters = {m for s, m, v in dc if s == start and v == vehicle and m is not None}
            for meter in meters:
                by_vehicle[bucket, vehicle].covered_ac_s += min(
                    meter_s.get((start, meter), 0), length_s(start)
                ) / len(meters)
            by_vehicle[bucket, vehicle].meters |= meters
            # of its readings at meters first, in the order of ids, so much counts as compared
            running = 0
            for meter in [*sorted(meters), None]:
                own = sum(
                    r.covered_s or 0
                    for r in inside
                    if r.device == vehicle and r.meter == meter and slice_of(r.at) == start
                )
                part = min(running + own, covered) - min(running, covered)
                running += own
                if meter is not None and self.comparable(start, meter, dc, vehicle_s, meter_s):
                    by_vehicle[bucket, vehicle].compared_s += part
                    total[bucket].compared_s += part

        for start, meter in {(s, m) for s, m, _ in dc if m is not None} | set(ac):
            bucket = bisect_right(bounds, start) - 1
            there = sorted(v for s, m, v in dc if (s, m) == (start, meter))
            sum_dc = sum(dc[start, meter, v] for v in there)
            comparable = self.comparable(start, meter, dc, vehicle_s, meter_s)
            known = (start, meter) in ac
            answers = [by_meter[bucket, meter], total[bucket]]
            before = 0
            for vehicle in there:
                mine = dc[start, meter, vehicle]
                share = None
                if known:
                    share = 0
                    if sum_dc:
                        energy = ac[start, meter]
                        share = energy * (before + mine) // sum_dc - energy * before // sum_dc
                before += mine
                for sums in (by_vehicle[bucket, vehicle], *answers):
                    sums.dc += mine
                    if share is not None:
                        sums.ac = (sums.ac or 0) + share
                    if comparable:
                        sums.compared_dc += mine
                        sums.compared_ac = (sums.compared_ac or 0) + (share or 0)
                    elif mine or share:
                        sums.left_out += 1
            if known:
                for sums in answers:
                    rest = 0 if sum_dc else ac[start, meter]
                    sums.ac = (sums.ac or 0) + rest
                    sums.unattributed += rest
                    sums.covered_ac_s += min(meter_s[start, meter], length_s(start))
                least = min((vehicle_s[start, v] for v in there), default=0)
                by_meter[bucket, meter].covered_dc_s += min(least, length_s(start))
            by_meter[bucket, meter].readings += sum(
                1 for r in inside if r.meter == meter and slice_of(r.at) == start
            )
        for (start, meter_id, vehicle), mine in dc.items():
            if meter_id is None:
                bucket = bisect_right(bounds, start) - 1
                by_vehicle[bucket, vehicle].dc += mine
                total[bucket].dc += mine
        return by_vehicle, by_meter, total

    @staticmethod
    def comparable(
        start: datetime,
        meter: str,
        dc: dict[tuple[datetime, str | None, str], int],
        vehicle_s: dict[tuple[datetime, str], int],
        meter_s: dict[tuple[datetime, str], int],
    ) -> bool:
        """Whether the meter and every vehicle on it cover the same time of the slice."""
        covered = [vehicle_s[start, v] for s, m, v in dc if (s, m) == (start, meter)]
        covered.append(meter_s.get((start, meter), 0))
        return len(covered) > 1 and min(covered) > 0 and min(covered) >= LEAST_MATCH * max(covered)

    def sessions(self, vehicle: str) -> list[tuple[datetime, datetime, str | None, int, int, int]]:
        """All of a vehicle's: (from, to, meter, DC, soc from, soc to), oldest first."""
        interval = timedelta(seconds=self.intervals.get(vehicle, DEFAULT_INTERVAL_S))
        gap = max(SESSION_GAP, 1.5 * interval)
        found: list[tuple[datetime, datetime, str | None, int, int, int]] = []
        previous: Reading | None = None
        for r in (r for r in self.vehicles if r.device == vehicle):
            near = previous is not None and r.at - previous.at <= gap
            if r.energy > 0:
                if found and r.at - found[-1][1] <= gap and found[-1][2] == r.meter:
                    begin, _, meter, dc, soc, _ = found[-1]
                    found[-1] = (begin, r.at, meter, dc + r.energy, soc, r.soc_bp)
                else:
                    took = interval
                    if previous is not None and (near or r.register):
                        took = r.at - previous.at
                    took = min(took, gap)
                    if previous is not None:
                        took = min(took, r.at - previous.at)
                    soc = previous.soc_bp if near and previous is not None else r.soc_bp
                    found.append((r.at - took, r.at, r.meter, r.energy, soc, r.soc_bp))
            previous = r
        return found


def floor_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()
