"""Energy accounting by its definitions, reading by reading, without a database: a naive model.

Slow and plain on purpose. docs/energy-accounting.md has the rules; energies are milliwatt-hours.
Every interval, slice and window is (start, end]: open where it begins, closed where it ends.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tests.property.registers import Exchange, Rule, derive

QUARTER = timedelta(minutes=15)
NOTHING = timedelta()
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
DEFAULT_INTERVAL_S = 60
LEAST_MATCH = 0.9
SESSION_GAP = timedelta(minutes=15)


class Sent(NamedTuple):
    """What a device sent: interval energy or what its register showed."""

    value: int
    meter: str | None = None
    soc_bp: int = 7200
    starts: datetime | None = None
    """When the interval began, where the reading says so."""


class Reading(NamedTuple):
    """As it is stored: what was sent, and what follows from it."""

    device: str
    at: datetime
    energy: int
    starts: datetime | None
    """When its interval began; None: it opens a register, and there is none."""

    meter: str | None = None
    soc_bp: int = 7200
    reset: bool = False
    touched: bool = False
    """Its register was reset or exchanged, or has come back."""
    register: bool = False


class Piece(NamedTuple):
    """The part of an interval that lies in one quarter hour."""

    starts: datetime
    ends: datetime
    energy: int
    covered: timedelta
    """How much of it no interval covers that ended before."""


class Sums:
    """What an answer about a vehicle adds up."""

    def __init__(self) -> None:
        self.dc = 0
        self.ac: int | None = None
        self.compared_dc = 0
        self.compared_ac: int | None = None
        self.left_out = 0
        self.covered_dc = NOTHING
        self.covered_ac = NOTHING
        self.compared = NOTHING
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


class Cell:
    """What one device measured in one slice, a vehicle at one meter."""

    def __init__(self) -> None:
        self.energy = 0
        self.covered = NOTHING
        self.readings = 0


class Slice:
    """A quarter hour, cut to the window."""

    def __init__(self, length: timedelta) -> None:
        self.length = length
        self.vehicles: dict[str, dict[str | None, Cell]] = defaultdict(lambda: defaultdict(Cell))
        self.meters: dict[str, Cell] = defaultdict(Cell)

    def covered(self, vehicle: str) -> timedelta:
        return sum((cell.covered for cell in self.vehicles[vehicle].values()), NOTHING)

    def at(self, meter: str) -> list[str]:
        """The vehicles at a meter, in the order of their ids."""
        return sorted(vehicle for vehicle, cells in self.vehicles.items() if meter in cells)

    def comparable(self, meter: str | None) -> bool:
        """Whether the meter and every vehicle on it cover the same time."""
        if meter not in self.meters or meter is None:
            return False
        covered = [self.covered(vehicle) // MILLISECOND for vehicle in self.at(meter)]
        covered.append(self.meters[meter].covered // MILLISECOND)
        return len(covered) > 1 and min(covered) > 0 and min(covered) >= LEAST_MATCH * max(covered)


def derived(
    sent: dict[datetime, Sent],
    device: str,
    register: bool,
    rule: Rule,
    exchanges: Sequence[Exchange] = (),
) -> list[Reading]:
    """A device's readings in the order of time, with their energy and intervals."""
    readings = []
    before: datetime | None = None
    found = derive(
        [(at, each.value if register else None) for at, each in sorted(sent.items())],
        rule,
        exchanges,
    )
    for (at, (value, meter, soc, stated)), of_register in zip(
        sorted(sent.items()), found, strict=True
    ):
        starts: datetime | None
        if of_register is not None:
            energy, starts, reset, touched = of_register
        else:
            energy, starts = value, at - timedelta(seconds=rule.interval_s)
            reset = touched = False
            starts = starts if before is None else max(starts, before)
        if stated is not None and starts is not None:
            starts = stated
        readings.append(Reading(device, at, energy, starts, meter, soc, reset, touched, register))
        before = at
    return readings


def used(energy: int, starts: datetime, ends: datetime, at: datetime) -> int:
    """What of an interval's energy has been used by some time, rounded down."""
    if at <= starts:
        return 0
    if at >= ends:
        return energy
    return energy * ((at - starts) // MICROSECOND) // ((ends - starts) // MICROSECOND)


def pieces(readings: list[Reading]) -> Iterator[tuple[Reading, Piece]]:
    """The parts of a device's intervals, a quarter hour each; readings in the order of time.

    Of every interval, what has been used by the end of each quarter hour is rounded down, so that
    the parts add up.
    """
    taken: list[tuple[datetime, datetime]] = []
    """What is covered, apart from each other, the oldest first."""
    for r in readings:
        if r.starts is None:
            continue
        free, until = [], r.at
        while taken and taken[-1][1] > r.starts:
            begin, end = taken.pop()
            free.append((end, until))
            until = begin
        free.append((r.starts, until))
        taken.append((min(until, r.starts), r.at))
        quarter = floor_quarter(r.starts)
        while quarter < r.at:
            starts, ends = max(quarter, r.starts), min(quarter + QUARTER, r.at)
            energy = used(r.energy, r.starts, r.at, ends) - used(r.energy, r.starts, r.at, starts)
            covered = sum((overlap(starts, ends, *part) for part in free), NOTHING)
            yield r, Piece(starts, ends, energy, covered)
            quarter += QUARTER


class Fleet:
    """Everything that is stored."""

    def __init__(
        self, vehicles: list[Reading], meters: list[Reading], intervals: dict[str, int]
    ) -> None:
        self.vehicles = vehicles
        self.meters = meters
        self.intervals = intervals
        self.pieces = {
            device: list(pieces([r for r in (*vehicles, *meters) if r.device == device]))
            for device in {r.device for r in (*vehicles, *meters)}
        }

    def energy(self, device: str, start: datetime, end: datetime) -> int:
        """What of a device's energy lies in a window."""
        return sum(
            used(p.energy, p.starts, p.ends, end) - used(p.energy, p.starts, p.ends, start)
            for _, p in self.pieces.get(device, ())
        )

    def exact(self, device: str, start: datetime, end: datetime) -> tuple[Fraction, int]:
        """The same before it is rounded, and how many intervals the window cuts."""
        energy, cut = Fraction(0), 0
        for r in (*self.vehicles, *self.meters):
            if r.device == device and r.starts is not None:
                part = overlap(r.starts, r.at, start, end)
                energy += Fraction(
                    r.energy * (part // MICROSECOND), (r.at - r.starts) // MICROSECOND
                )
                cut += NOTHING < part < r.at - r.starts
        return energy, cut

    def slices(self, bounds: list[datetime]) -> dict[datetime, Slice]:
        """By where they begin: quarter hours, cut to the window.

        Where a bound between cuts a quarter hour, all are cut there, and shared each by itself.
        """
        first, last = bounds[0], bounds[-1]
        whole = all(bound == floor_quarter(bound) for bound in bounds[1:-1])
        cuts = [first, last] if whole else bounds
        found: dict[datetime, Slice] = {}

        def cell(r: Reading, at: datetime) -> Cell:
            """Of the slice that this time is in."""
            quarter = floor_quarter(at - MICROSECOND)
            place = bisect_left(cuts, at)
            start = max(quarter, cuts[place - 1])
            if start not in found:
                found[start] = Slice(min(quarter + QUARTER, cuts[place]) - start)
            if r.device in self.is_meter:
                return found[start].meters[r.device]
            return found[start].vehicles[r.device][r.meter]

        for r in (*self.vehicles, *self.meters):
            if first < r.at <= last:
                cell(r, r.at).readings += 1
        for r, p in (each for mine in self.pieces.values() for each in mine):
            inner = cuts[bisect_right(cuts, p.starts) : bisect_left(cuts, p.ends)]
            for start, end in pairwise([p.starts, *inner, p.ends]):
                if start >= first and end <= last:
                    mine = cell(r, end)
                    mine.energy += used(p.energy, p.starts, p.ends, end) - used(
                        p.energy, p.starts, p.ends, start
                    )
                    mine.covered += p.covered * ((end - start) / (p.ends - p.starts))
        return found

    @property
    def is_meter(self) -> set[str]:
        return {r.device for r in self.meters}

    def account(
        self, bounds: list[datetime]
    ) -> tuple[
        dict[tuple[int, str], Sums],
        dict[tuple[int, str], Balance],
        dict[int, Balance],
    ]:
        """By (bucket, vehicle), by (bucket, meter) and by bucket, for buckets between bounds."""
        by_vehicle: dict[tuple[int, str], Sums] = defaultdict(Sums)
        by_meter: dict[tuple[int, str], Balance] = defaultdict(Balance)
        total: dict[int, Balance] = defaultdict(Balance)
        for start, each in self.slices(bounds).items():
            bucket = bisect_right(bounds, start) - 1
            for vehicle in each.vehicles:
                _add_vehicle(each, vehicle, [by_vehicle[bucket, vehicle], total[bucket]])
            there = {m for cells in each.vehicles.values() for m in cells if m is not None}
            for meter in there | set(each.meters):
                _share(
                    each,
                    meter,
                    [by_meter[bucket, meter], total[bucket]],
                    {vehicle: by_vehicle[bucket, vehicle] for vehicle in each.at(meter)},
                )
                covered = [each.covered(vehicle) for vehicle in each.at(meter)]
                by_meter[bucket, meter].covered_dc += min(
                    min(covered, default=NOTHING), each.length
                )
                by_meter[bucket, meter].readings += sum(
                    each.vehicles[vehicle][meter].readings for vehicle in each.at(meter)
                )
        return by_vehicle, by_meter, total

    def sessions(self, vehicle: str) -> list[tuple[datetime, datetime, str | None, int, int, int]]:
        """All of a vehicle's: (from, to, meter, DC, soc from, soc to), oldest first."""
        interval = timedelta(seconds=self.intervals.get(vehicle, DEFAULT_INTERVAL_S))
        gap = max(SESSION_GAP, 1.5 * interval)
        found: list[tuple[datetime, datetime, str | None, int, int]] = []
        previous: Reading | None = None
        for r in (r for r in self.vehicles if r.device == vehicle):
            near = previous is not None and r.at - previous.at <= gap
            if r.energy > 0:
                if found and r.at - found[-1][1] <= gap and found[-1][2] == r.meter:
                    begin, _, meter, soc, _ = found[-1]
                    found[-1] = (begin, r.at, meter, soc, r.soc_bp)
                else:
                    assert r.starts is not None, "there is energy, so there is an interval"
                    soc = previous.soc_bp if near and previous is not None else r.soc_bp
                    begin = max(r.starts, found[-1][1]) if found else r.starts
                    found.append((begin, r.at, r.meter, soc, r.soc_bp))
            previous = r
        return [
            (begin, end, meter, self.energy(vehicle, begin, end), soc, soc_to)
            for begin, end, meter, soc, soc_to in found
        ]


def _add_vehicle(each: Slice, vehicle: str, answers: list[Sums]) -> None:
    """What a vehicle has by itself."""
    cells = each.vehicles[vehicle]
    meters = {meter for meter in cells if meter is not None}
    covered = min(each.covered(vehicle), each.length)
    mine = answers[0]
    mine.meters |= meters
    for meter_id in meters & set(each.meters):
        mine.covered_ac += min(each.meters[meter_id].covered, each.length) / len(meters)
    # of its time at meters first, in the order of ids, so much counts as compared
    running = compared = NOTHING
    places: list[str | None] = [*sorted(meters), *({None} & set(cells))]
    for meter in places:
        part = min(running + cells[meter].covered, covered) - min(running, covered)
        running += cells[meter].covered
        if each.comparable(meter):
            compared += part
    for sums in answers:
        sums.covered_dc += covered
        sums.compared += compared
        sums.readings += sum(cell.readings for cell in cells.values())
        if None in cells:
            sums.dc += cells[None].energy


def _share(each: Slice, meter: str, answers: list[Balance], vehicles: dict[str, Sums]) -> None:
    """Share a meter's AC out to the vehicles that were there, by their DC."""
    dc = {vehicle: each.vehicles[vehicle][meter].energy for vehicle in sorted(vehicles)}
    metered = each.meters.get(meter)
    comparable = each.comparable(meter)
    before = 0
    for vehicle, mine in dc.items():
        share = None
        if metered is not None:
            share = 0
            if sum(dc.values()):
                share = metered.energy * (before + mine) // sum(dc.values())
                share -= metered.energy * before // sum(dc.values())
        before += mine
        for sums in (vehicles[vehicle], *answers):
            sums.dc += mine
            if share is not None:
                sums.ac = (sums.ac or 0) + share
            if comparable:
                sums.compared_dc += mine
                sums.compared_ac = (sums.compared_ac or 0) + (share or 0)
            elif mine or share:
                sums.left_out += 1
    if metered is None:
        return
    rest = 0 if sum(dc.values()) else metered.energy
    for balance in answers:
        balance.ac = (balance.ac or 0) + rest
        balance.unattributed += rest
        balance.covered_ac += min(metered.covered, each.length)
        balance.meter_readings += metered.readings
    if comparable:
        answers[0].compared += min(metered.covered, each.length)


def overlap(starts: datetime, ends: datetime, start: datetime, end: datetime) -> timedelta:
    """How long both last together."""
    return max(min(ends, end) - max(starts, start), NOTHING)


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def floor_quarter(at: datetime) -> datetime:
    """Where the quarter hour of UTC begins that a time is in."""
    return at - (at - _EPOCH) % QUARTER
