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
from math import gcd
from typing import NamedTuple

from tests.support.register_model import Exchange, Rule, derive

QUARTER = timedelta(minutes=15)
NOTHING = timedelta()
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
DEFAULT_INTERVAL_S = 60
LEAST_MATCH = 0.9
"""Each of both sides may lack half of the tolerance."""

CHARGING_W = 500
SESSION_GAP = timedelta(minutes=15)
LONGEST_STEP = timedelta(hours=4)


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
    shows: int | None = None
    """What its register showed."""

    stated: bool = False
    """The reading said itself when its interval began."""


class Piece(NamedTuple):
    """The part of an interval that lies in one quarter hour."""

    starts: datetime
    ends: datetime
    energy: int
    covered: timedelta
    """How much of it no interval covers that ended before."""

    def used(self, start: datetime, end: datetime) -> int:
        """What of its energy was used between two times."""
        ends = used(self.energy, self.starts, self.ends, end)
        return ends - used(self.energy, self.starts, self.ends, start)


class Sums:
    """What an answer about a vehicle adds up."""

    def __init__(self) -> None:
        self.dc = 0
        self.ac: int | None = None
        self.compared_dc = 0
        self.compared_ac: int | None = None
        self.unattributed = 0
        self.covered_dc = NOTHING
        self.covered_ac = NOTHING
        self.compared = NOTHING
        self.charging = NOTHING
        self.charging_compared = NOTHING
        self.readings = 0
        self.meters: set[str] = set()

    @property
    def efficiency(self) -> float | None:
        return self.compared_dc / self.compared_ac if self.compared and self.compared_ac else None

    @property
    def loss(self) -> int | None:
        if not self.compared or self.compared_ac is None:
            return None  # no time is in common
        return self.compared_ac - self.compared_dc


class Balance(Sums):
    """What an answer about meters adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.meter_readings = 0


class Cell:
    """What one device measured in one slice, a vehicle at one meter."""

    def __init__(self) -> None:
        self.energy = 0
        self.covered = NOTHING
        self.readings = 0
        self.parts: list[tuple[Piece, datetime, datetime]] = []
        """Pieces of intervals, and from when to when each lies in the slice."""


class Slice:
    """A quarter hour, cut to the window."""

    def __init__(self, length: timedelta, has_history: bool, used: set[str]) -> None:
        self.length = length
        self.used = used
        """Meters at which any vehicle ever charged."""

        self.has_history = has_history
        """Whether there are readings, and not only what was rolled up of them."""

        self.vehicles: dict[str, dict[str | None, Cell]] = defaultdict(lambda: defaultdict(Cell))
        self.meters: dict[str, Cell] = defaultdict(Cell)

    def charging(self, meter: str, vehicle: str | None = None) -> tuple[timedelta, timedelta]:
        """How long there was charging at a meter by either side, or by a vehicle's own readings,
        and how much of that both sides cover."""
        cells = [self.vehicles[name][meter] for name in self.at(meter)]
        metered = self.meters.get(meter, Cell())
        if vehicle is not None:
            energy, longest = self.mean(vehicle, meter)
        else:
            energy = max(metered.energy, sum(cell.energy for cell in cells))
            most = max((self.covered(name) for name in self.at(meter)), default=NOTHING)
            longest = min(max(metered.covered, most), self.length)
        rough = longest if is_charging(energy, longest) else NOTHING
        if self.is_whole(meter):
            both = metered.covered if vehicle is None else longest
            return rough, min(both, self.length) if rough else NOTHING
        most = max((self.covered(name) for name in self.at(meter)), default=NOTHING)
        in_part = most > NOTHING and metered.covered > NOTHING
        alone = vehicle is None and not most and metered.covered and rough and meter in self.used
        if not self.has_history or not (in_part or alone):
            return rough, NOTHING
        mine = [self.vehicles[vehicle][meter]] if vehicle is not None else [metered, *cells]
        parts = [part for cell in (metered, *cells) for part in cell.parts]
        charged = common = NOTHING
        for start, end in pairwise(sorted({at for _, *both in parts for at in both})):
            if any(
                starts < end <= ends and is_charging(piece.energy, piece.ends - piece.starts)
                for cell in mine
                for piece, starts, ends in cell.parts
            ):
                charged += end - start
                if all(
                    any(starts < end <= ends for cell in side for _, starts, ends in cell.parts)
                    for side in ([metered], cells)
                ):
                    common += end - start
        return charged, common

    def mean(self, vehicle: str, meter: str | None) -> tuple[int, timedelta]:
        """A vehicle's energy at a meter, and what counts of its time there: at meters first."""
        cells = self.vehicles[vehicle]
        running = NOTHING
        for place in [*sorted(m for m in cells if m is not None), None]:
            part = cells[place].covered if place in cells else NOTHING
            capped = min(running + part, self.length) - min(running, self.length)
            if place == meter:
                return cells[place].energy, capped
            running += part
        raise AssertionError("a vehicle has its cells")

    def covered(self, vehicle: str) -> timedelta:
        return sum((cell.covered for cell in self.vehicles[vehicle].values()), NOTHING)

    def at(self, meter: str) -> list[str]:
        """The vehicles at a meter, in the order of their ids."""
        return sorted(vehicle for vehicle, cells in self.vehicles.items() if meter in cells)

    def is_whole(self, meter: str) -> bool:
        """Whether the meter and a vehicle on it cover the slice, or nearly."""
        most = max((self.covered(vehicle) for vehicle in self.at(meter)), default=NOTHING)
        both = min(most, self.meters[meter].covered) if meter in self.meters else NOTHING
        least = (1 + LEAST_MATCH) / 2 * (self.length // MILLISECOND)
        return both > NOTHING and both // MILLISECOND >= least

    def compared(self, meter: str) -> dict[str, tuple[timedelta, int, int]]:
        """Of a meter and the vehicles on it: the time that both cover, DC, and share of the AC.

        Instant by instant: from one end of an interval to the next, each is covered or is not.
        """
        cells = {vehicle: self.vehicles[vehicle][meter] for vehicle in self.at(meter)}
        metered = self.meters.get(meter, Cell())
        ends = {at for cell in (metered, *cells.values()) for _, *both in cell.parts for at in both}
        time: dict[str, timedelta] = defaultdict(lambda: NOTHING)
        dc: dict[str, int] = defaultdict(int)
        ac = 0
        for start, end in pairwise(sorted(ends)) if self.has_history else ():

            def covering(cell: Cell, at: datetime = end) -> list[Piece]:
                return [piece for piece, starts, ends in cell.parts if starts < at <= ends]

            there = {name: covering(cell) for name, cell in cells.items() if covering(cell)}
            if not there or not covering(metered):
                continue
            time[meter] += end - start
            ac += sum(piece.used(start, end) for piece in covering(metered))
            for name, mine in there.items():
                time[name] += end - start
                dc[name] += sum(piece.used(start, end) for piece in mine)
        shares = shared(ac, {name: dc[name] for name in cells if name in time})
        return {name: (time[name], dc[name], shares.get(name, ac)) for name in time}


def shared(ac: int, dc: dict[str, int]) -> dict[str, int]:
    """Share AC out by DC, in the order of ids: each gets the difference of two rounded sums."""
    shares, before, total = {}, 0, sum(dc.values())
    for name in sorted(dc):
        until = before + dc[name]
        shares[name] = ac * until // total - ac * before // total if total else 0
        before = until
    return shares


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
        readings.append(
            Reading(
                device,
                at,
                energy,
                starts,
                meter,
                soc,
                reset,
                touched,
                register,
                value if register else None,
                stated is not None,
            )
        )
        before = at
    return readings


def is_charging(energy: int, time: timedelta) -> bool:
    """Whether energy in some time is more than standby, by its mean power."""
    ms = time // MILLISECOND
    return ms > 0 and energy * 3600 >= CHARGING_W * ms


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
        self.history_since = datetime.min.replace(tzinfo=UTC)
        self.pairs: set[tuple[str, str]] = set()
        """Which vehicles ever charged at which meters, (meter, vehicle)."""

        self.pieces = {
            device: list(pieces([r for r in (*vehicles, *meters) if r.device == device]))
            for device in {r.device for r in (*vehicles, *meters)}
        }

    def energy(self, device: str, start: datetime, end: datetime) -> int:
        """What of a device's energy lies in a window."""
        return sum(p.used(start, end) for _, p in self.pieces.get(device, ()))

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
                end = min(quarter + QUARTER, cuts[place])
                found[start] = Slice(
                    end - start, quarter >= self.history_since, {m for m, _ in self.pairs}
                )
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
                    mine.energy += p.used(start, end)
                    mine.parts.append((p, start, end))
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
        slices = self.slices(bounds)
        there_in = {
            (bisect_right(bounds, start) - 1, vehicle, meter)
            for start, each in slices.items()
            for vehicle, cells in each.vehicles.items()
            for meter in cells
        }
        for start, each in slices.items():
            bucket = bisect_right(bounds, start) - 1
            for vehicle, cells in each.vehicles.items():
                for place in set(cells):
                    mine = by_vehicle[bucket, vehicle]
                    if place is None:
                        energy, time = each.mean(vehicle, None)
                        charged = time if is_charging(energy, time) else NOTHING
                        mine.charging += charged
                        total[bucket].charging += charged
                    elif len(self.at_meter(place)) != 1:
                        _charged([mine], each.charging(place, vehicle))
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
                charging = each.charging(meter)
                _charged([by_meter[bucket, meter], total[bucket]], charging)
                for vehicle in self.at_meter(meter) if len(self.at_meter(meter)) == 1 else ():
                    if (bucket, vehicle, meter) in there_in:
                        _charged([by_vehicle[bucket, vehicle]], charging)
                covered = [each.covered(vehicle) for vehicle in each.at(meter)]
                by_meter[bucket, meter].covered_dc += min(
                    min(covered, default=NOTHING), each.length
                )
                by_meter[bucket, meter].readings += sum(
                    each.vehicles[vehicle][meter].readings for vehicle in each.at(meter)
                )
        return by_vehicle, by_meter, total

    def at_meter(self, meter: str) -> set[str]:
        """The vehicles that ever charged at a meter."""
        return {vehicle for at, vehicle in self.pairs if at == meter}

    def sessions(self, vehicle: str) -> list["Session"]:
        """All of a vehicle's, oldest first."""
        mine = [r for r in self.vehicles if r.device == vehicle]
        steps = [r for r in mine if r.energy > 0]
        interval = timedelta(seconds=self.intervals.get(vehicle, DEFAULT_INTERVAL_S))
        gap = max(SESSION_GAP, 1.5 * interval)
        runs: list[list[int]] = []
        for number, step in enumerate(steps):
            before = steps[number - 1] if number else None
            joins = before is not None and before.meter == step.meter
            if before is not None and joins:
                unit = _unit_time(steps, number, number - 1)
                came = min(step.at, _charged_from(steps, number, gap) + interval)
                joins = came - before.at <= max(gap, min(2 * unit, LONGEST_STEP))
            if joins:
                runs[-1].append(number)
            else:
                runs.append([number])
        found: list[Session] = []
        for run in runs:
            first, last = steps[run[0]], steps[run[-1]]
            begin = min(_charged_from(steps, number, gap) for number in run)
            if len(run) > 1 and (pace := _pace(steps, run[1])) is not None:
                hidden = first.at - _length(_unit(first, steps[run[1]]) * pace)
                bounds = [mine[0].at, *([steps[run[0] - 1].at] if run[0] else [])]
                begin = min(begin, max(hidden, *bounds))
            if found:
                begin = max(begin, found[-1].to)
            opens = [r.soc_bp for r in mine if begin - gap <= r.at <= begin]
            found.append(
                Session(
                    begin,
                    last.at,
                    first.meter,
                    self.energy(vehicle, begin, last.at)
                    + sum(self.rested(steps, number, gap, begin) for number in run),
                    (opens or [first.soc_bp])[-1],
                    last.soc_bp,
                    first.shows - first.energy if first.shows is not None else None,
                    last.shows,
                )
            )
        return found

    def rested(self, steps: list[Reading], number: int, gap: timedelta, begin: datetime) -> int:
        """What of a step's energy is spread over the rest before the session."""
        step = steps[number]
        if _charged_from(steps, number, gap) == step.starts:
            return 0
        mine = (p for r, p in self.pieces[step.device] if r.at == step.at and p.starts < begin)
        return sum(p.used(p.starts, begin) for p in mine)


class Session(NamedTuple):
    """A charging session."""

    begin: datetime
    to: datetime
    meter: str | None
    dc: int
    soc_from: int
    soc_to: int
    register_from: int | None
    register_to: int | None


def _pace(steps: list[Reading], number: int) -> Fraction | None:
    """Microseconds from the step before to this one, for each of its milliwatt-hours."""
    if not 0 < number < len(steps):
        return None
    apart = steps[number].at - steps[number - 1].at
    if apart > LONGEST_STEP:
        return None
    return Fraction(apart // MICROSECOND, steps[number].energy)


def _unit(step: Reading, other: Reading) -> int:
    """What a register counts by, as far as two of its steps show; 0: it is no register."""
    if step.shows is None or other.shows is None:
        return 0
    return gcd(step.shows, step.energy, other.shows, other.energy)


def _length(microseconds: Fraction) -> timedelta:
    return round(microseconds) * MICROSECOND


def _unit_time(steps: list[Reading], number: int, before: int) -> timedelta:
    """How long one unit of the register takes at the faster pace around a pause."""
    unit = _unit(steps[before], steps[number])
    paces = [p for p in (_pace(steps, before), _pace(steps, number + 1)) if p is not None]
    if not unit or paces:
        return _length(unit * min(paces)) if paces else NOTHING
    return LONGEST_STEP


def _charged_from(steps: list[Reading], number: int, gap: timedelta) -> datetime:
    """Where a step's interval begins, without a rest before it."""
    step = steps[number]
    assert step.starts is not None, "there is energy, so there is an interval"
    pace = _pace(steps, number + 1)
    if step.shows is not None and not step.stated and pace is not None:
        needed, length = _length(step.energy * pace), step.at - step.starts
        if 4 * needed < length and needed + gap < length:
            return step.at - needed
    return step.starts


def _charged(answers: Sequence[Sums], charging: tuple[timedelta, timedelta]) -> None:
    for sums in answers:
        sums.charging += charging[0]
        sums.charging_compared += charging[1]


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
        if meter is not None and each.is_whole(meter):
            compared += part
        elif meter is not None:
            compared += each.compared(meter).get(vehicle, (NOTHING,))[0]
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
    shares = shared(metered.energy, dc) if metered is not None else {}
    compared = each.compared(meter)
    if each.is_whole(meter):
        compared = {vehicle: (NOTHING, dc[vehicle], shares[vehicle]) for vehicle in dc}
    for vehicle, mine in dc.items():
        for sums in (vehicles[vehicle], *answers):
            sums.dc += mine
            if metered is not None:
                sums.ac = (sums.ac or 0) + shares[vehicle]
            if vehicle in compared:
                sums.compared_dc += compared[vehicle][1]
                sums.compared_ac = (sums.compared_ac or 0) + compared[vehicle][2]
    if metered is None:
        return
    rest = 0 if sum(dc.values()) else metered.energy
    for balance in answers:
        balance.ac = (balance.ac or 0) + rest
        balance.unattributed += rest
        balance.covered_ac += min(metered.covered, each.length)
        balance.meter_readings += metered.readings
    if each.is_whole(meter):
        answers[0].compared += min(metered.covered, each.length)
    elif meter in compared:
        answers[0].compared += compared[meter][0]


def overlap(starts: datetime, ends: datetime, start: datetime, end: datetime) -> timedelta:
    """How long both last together."""
    return max(min(ends, end) - max(starts, start), NOTHING)


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def floor_quarter(at: datetime) -> datetime:
    """Where the quarter hour of UTC begins that a time is in."""
    return at - (at - _EPOCH) % QUARTER
