"""Draws curves of energy minute by minute, and measures how well one explains another.

Pure numbers: lists of mWh, one a minute, from the same start.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

BIN_MIN = 5
"""Minutes over which powers are compared: readings of two devices never coincide."""

_AROUND_MIN = 15
"""Minutes before and after a charge in which the other curve must be at rest as well."""

LEAST_EFFICIENCY = 0.55
MOST_EFFICIENCY = 1.03
"""The efficiency of curves that belong together: from slow charging in the cold to what two meters
may differ by."""

LONG_GAP_MIN = 20
"""Minutes without readings that make a silence, about which nothing is known."""

_JITTER = 1.5
"""Reporting intervals after the one before, a reading is late, and none is missing."""

_LEAST_COMPARED_MWH = 800_000
_LEAST_COMPARED = 0.1
"""The least of a vehicle's energy that must be compared, mWh and as a part of it."""


class Interval(NamedTuple):
    """The energy of a reading, and how long before its time it began to count."""

    time: datetime
    energy_mwh: int
    span_ms: int | None
    """None if it counted nothing, like a register that restarted."""

    reset: bool


class Curve(NamedTuple):
    """Energy by the minute, and how many seconds of it readings cover."""

    mwh: list[float]
    covered_s: list[float]


class Fit(NamedTuple):
    """The best match of one curve with another."""

    offset_s: float
    """Delay of the first against the other, seconds."""

    efficiency: float
    """First ÷ second, over what was compared."""

    misfit: float
    """Unexplained part of the first's squared power, 0 to 1."""

    compared_mwh: float
    """Energy of the first that was compared."""

    @property
    def is_plausible(self) -> bool:
        """Return whether the efficiency can be that of DC from AC."""
        return LEAST_EFFICIENCY <= self.efficiency <= MOST_EFFICIENCY


def curve(
    intervals: Iterable[Interval],
    start: datetime,
    minutes: int,
    interval_s: int,
) -> Curve:
    """Draw readings as a curve: each one's energy came evenly over its interval.

    A register that was not read for long shows the energy of the whole gap, and nobody knows when
    in it that came: it is left out.
    """
    mwh = [0.0] * minutes
    covered_s = [0.0] * minutes
    longest_s = max(_JITTER * interval_s, 60.0 * LONG_GAP_MIN)
    before_s: float | None = None
    for time, energy, span_ms, _ in intervals:
        ends_s = (time - start).total_seconds()
        gap_s = float("inf") if before_s is None else ends_s - before_s
        before_s = ends_s
        if span_ms is None or span_ms > 1000 * longest_s:
            continue
        span_s = max(span_ms, 1) / 1000
        if span_s < gap_s <= _JITTER * interval_s:
            span_s = gap_s
        _spread(mwh, covered_s, ends_s - span_s, ends_s, energy)
    return Curve(mwh, covered_s)


def _spread(
    mwh: list[float], covered_s: list[float], begin_s: float, end_s: float, energy: float
) -> None:
    """Spread energy evenly over a time; leave out what lies outside of the curve."""
    first, last = max(0, int(begin_s // 60)), min(len(mwh) - 1, int(end_s // 60))
    per_s = energy / (end_s - begin_s)
    for minute in range(first, last + 1):
        seconds = min(end_s, (minute + 1) * 60) - max(begin_s, minute * 60)
        if seconds > 0:
            mwh[minute] += per_s * seconds
            covered_s[minute] = min(60.0, covered_s[minute] + seconds)


def silences(covered_s: Sequence[float]) -> list[tuple[int, int]]:
    """Find long gaps, as minutes from and to."""
    found = []
    begin = 0
    for minute, covered in enumerate([*covered_s, 60.0]):
        if covered > 0:
            if minute - begin > LONG_GAP_MIN:
                found.append((begin, minute))
            begin = minute + 1
    return found


def subtract(
    mwh: Sequence[float], others: Iterable[Sequence[float]], efficiency: float
) -> list[float]:
    """Return what is left of a meter's curve when others took theirs from it."""
    left = list(mwh)
    for other in others:
        for minute, energy in enumerate(other):
            if energy:
                left[minute] -= energy / efficiency
    return [max(0.0, value) for value in left]


def bounds(mwh: Sequence[float]) -> tuple[int, int] | None:
    """Return the first and the last minute with energy; None: there is none."""
    minutes = [minute for minute, energy in enumerate(mwh) if energy > 0]
    return (minutes[0], minutes[-1]) if minutes else None


def covered(covered_s: Sequence[float], dc: Sequence[float], offset_min: int) -> float:
    """Return the part of the minutes with DC that a meter covers, shifted earlier by an offset."""
    minutes = [minute - offset_min for minute, energy in enumerate(dc) if energy > 0]
    found = sum(covered_s[each] for each in minutes if 0 <= each < len(covered_s))
    return found / (60 * len(minutes)) if minutes else 0.0


def fit(dc: Sequence[float], ac: Sequence[float], most_offset_min: int) -> Fit | None:
    """Return the offset at which AC explains DC best; None: nothing can be compared.

    Least squares of power over five minutes each, around the time in which DC was delivered, with
    the efficiency that is best within what is plausible. Where an offset asks for AC after the end
    of the curves, that is not known and not compared.
    """
    charged = bounds(dc)
    if charged is None:
        return None
    of_dc = [0.0, *accumulate(dc)]
    of_ac = [0.0, *accumulate(ac)]
    first = max(0, charged[0] - _AROUND_MIN)
    last = min(len(dc), charged[1] + 1 + _AROUND_MIN)
    tried: dict[int, Fit | None] = {}

    def at(offset: int) -> Fit | None:
        if offset not in tried:
            tried[offset] = _at(of_dc, of_ac, first, last, offset)
        return tried[offset]

    coarse = range(-most_offset_min, most_offset_min + 1, BIN_MIN if most_offset_min > 5 else 1)
    found = [(each.misfit, abs(offset), offset) for offset in coarse if (each := at(offset))]
    if not found:
        return None
    around = min(found)[2]
    fine = range(
        max(-most_offset_min, around - BIN_MIN), min(most_offset_min, around + BIN_MIN) + 1
    )
    found = [(each.misfit, abs(offset), offset) for offset in fine if (each := at(offset))]
    best = min(found)[2]
    result = at(best)
    if result is None:
        return None
    return result._replace(offset_s=60 * (best + _between(at(best - 1), result, at(best + 1))))


def _between(before: Fit | None, best: Fit, after: Fit | None) -> float:
    """Return where between minutes a parabola through three misfits is lowest."""
    if before is None or after is None:
        return 0.0
    bend = before.misfit - 2 * best.misfit + after.misfit
    return 0.5 * (before.misfit - after.misfit) / bend if bend > 1e-9 else 0.0


def _at(
    of_dc: Sequence[float], of_ac: Sequence[float], first: int, last: int, offset: int
) -> Fit | None:
    end = min(last, len(of_ac) - 1 + offset)
    begin = max(first, offset)
    sum_dc = sum_ac = dc_dc = dc_ac = ac_ac = 0.0
    for minute in range(begin, end - BIN_MIN + 1, BIN_MIN):
        dc = of_dc[minute + BIN_MIN] - of_dc[minute]
        ac = of_ac[minute + BIN_MIN - offset] - of_ac[minute - offset]
        sum_dc += dc
        sum_ac += ac
        dc_dc += dc * dc
        dc_ac += dc * ac
        ac_ac += ac * ac
    if sum_dc < max(_LEAST_COMPARED_MWH, _LEAST_COMPARED * (of_dc[-1] - of_dc[0])):
        return None
    if ac_ac <= 0:
        return Fit(60.0 * offset, float("inf"), 1.0, sum_dc)
    factor = min(max(dc_ac / ac_ac, LEAST_EFFICIENCY), MOST_EFFICIENCY)
    misfit = max(0.0, (dc_dc - 2 * factor * dc_ac + factor * factor * ac_ac) / dc_dc)
    return Fit(60.0 * offset, sum_dc / sum_ac, misfit, sum_dc)


def unexplained(
    ac: Sequence[float], taken: Sequence[float], dc: Sequence[float], found: Fit
) -> float:
    """Return the unexplained part of a meter's squared power, 0 to 1, around a vehicle's charging.

    Others took `taken` (as AC), and the vehicle its DC at another time.
    """
    charged = bounds(dc)
    if charged is None:
        return 1.0
    offset = round(found.offset_s / 60)
    begin = max(0, charged[0] - max(offset, 0) - _AROUND_MIN)
    end = min(len(ac), charged[1] + 1 + max(-offset, 0) + _AROUND_MIN, len(ac) - offset)
    predicted = [
        taken[minute] + (dc[minute + offset] / found.efficiency if minute + offset >= 0 else 0.0)
        for minute in range(begin, end)
    ]
    wrong = squared = 0.0
    for at in range(0, end - begin - BIN_MIN + 1, BIN_MIN):
        metered = sum(ac[begin + at : begin + at + BIN_MIN])
        wrong += (metered - sum(predicted[at : at + BIN_MIN])) ** 2
        squared += metered * metered
    return wrong / squared if squared > 0 else 1.0
