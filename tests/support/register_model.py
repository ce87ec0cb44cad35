"""What registers come to by the definitions, without a database: a naive model.

All readings of a device, sorted by time, in one pass; docs/energy-accounting.md has the rules.
Energies are milliwatt-hours.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import takewhile
from typing import NamedTuple

_LOOKED_BACK_AT = 16
"""How many beginnings a register may come back to."""

_JUMP_MWH = 1_000_000_000
_JUMP_MW = 10_000_000_000
"""1,000 kWh, and 10 MW for as long as it took: more is another register."""


class Rule(NamedTuple):
    """What a device's registers go by."""

    is_session: bool = False
    rated_w: int | None = None
    rollover: int | None = None
    interval_s: int = 60

    def can_meter(self, energy: int, since: datetime, until: datetime) -> bool:
        """Whether so much may have been metered in a time: 1.5 × rated power, else 1 MW."""
        watts = Fraction(1_000_000) if self.rated_w is None else Fraction(self.rated_w * 3, 2)
        microseconds = (until - since) // timedelta(microseconds=1)
        return energy * 3_600_000 <= watts * microseconds


class Exchange(NamedTuple):
    """A meter was exchanged: what the old one showed last, and the new one first."""

    at: datetime
    last: int
    first: int


class Found(NamedTuple):
    """What follows for a reading of a register."""

    energy: int
    starts: datetime | None
    """When its interval began; None: there is none."""
    reset: bool = False
    """The register began again."""
    touched: bool = False
    """It began again, was exchanged, or has come back."""


class _Span:
    """A register's values since it began, of what it shows as good as is known by then."""

    def __init__(self, place: int, value: int, highest: int | None, at: datetime | None) -> None:
        self.place = place
        """The reading with which it began."""
        self.before, self.before_at = highest, at
        """What it had shown until then, and when."""
        self.base = self.highest = value
        self.values: list[tuple[datetime, int]] = []

    def show(self, at: datetime, value: int) -> None:
        self.values.append((at, value))
        self.highest = max(self.highest, value)

    @property
    def shown(self) -> int:
        return self.values[-1][1] if self.values else self.base

    @property
    def low_until(self) -> datetime:
        """When it was last seen with no more than it began with."""
        return [at for at, _ in takewhile(lambda each: each[1] <= self.base, self.values)][-1]


def derive(
    readings: Sequence[tuple[datetime, int | None]],
    rule: Rule,
    exchanges: Sequence[Exchange] = (),
) -> list[Found | None]:
    """What each reading comes to, in the order of time; None: it is of interval energy."""
    found: list[Found | None] = []
    spans: list[_Span] = []
    carried: dict[int, Found] = {}
    """What readings have from before an exchange, whatever else becomes of them."""
    before: datetime | None = None
    waiting = sorted(exchanges)
    for place, (at, value) in enumerate(readings):
        carry: int | None = None
        while waiting and waiting[0].at < at:
            exchange = waiting.pop(0)
            if spans:
                kept = _came_back(spans, exchange.last, exchange.at, rule)
                highest = spans[-1].highest if kept is None else kept.before
                if rule.is_session:
                    highest = spans[-1].shown
                assert highest is not None
                carry = (carry or 0) + max(exchange.last - highest, 0)
                spans = [_Span(place, exchange.first, None, None)]
        if value is None:
            found.append(None)
            spans = []
        elif not spans:
            found.append(Found(0, None))
            spans = [_Span(place, value, None, None)]
            spans[0].show(at, value)
        else:
            assert before is not None
            _add(found, spans, carried, place, at, value, before, rule)
            if carry is not None:
                last = found[-1]
                assert last is not None
                found[-1] = Found(last.energy + carry, last.starts or before, False, True)
                carried[place] = Found(carry, before if carry else None, False, carry > 0)
        before = at
    return found


def _add(
    found: list[Found | None],
    spans: list[_Span],
    carried: dict[int, Found],
    place: int,
    at: datetime,
    value: int,
    before: datetime,
    rule: Rule,
) -> None:
    """What one more reading comes to, and what it changes of those before it."""
    span = spans[-1]
    highest = span.highest
    most = _JUMP_MWH + _JUMP_MW * Fraction(
        (at - before) // timedelta(microseconds=1), 3_600_000_000
    )
    if rule.is_session:
        energy = value - span.shown if value >= span.shown else value
        starts = before
        if value < span.shown:
            starts = max(before, at - timedelta(seconds=rule.interval_s))
        if energy > most:
            found.append(Found(0, None, True, True))
        else:
            found.append(Found(energy, starts))
        span.show(at, value)
        return
    if value >= highest:
        kept = _came_back(spans, value, at, rule)
        if kept is not None:
            assert kept.before is not None
            for earlier in range(kept.place, place):
                found[earlier] = carried.get(earlier, Found(0, None))
            found.append(Found(value - kept.before, kept.before_at, False, True))
            del spans[spans.index(kept) :]
            spans[-1].show(at, value)
            return
        if highest == 0 and not rule.can_meter(value, before, at):
            found.append(Found(0, None))
        elif value - highest > most:
            found.append(Found(0, None, True, True))
        else:
            found.append(Found(value - highest, before))
            span.show(at, value)
            return
    elif value * 10 >= highest * 9:
        found.append(Found(0, before))
        span.show(at, value)
        return
    else:
        over = -1 if rule.rollover is None else rule.rollover - highest + value
        if rule.rollover is not None and over >= 0 and over * 10 < rule.rollover:
            found.append(Found(over, before))
        else:
            found.append(Found(0, None, True, True))
    spans.append(_Span(place, value, highest, before))
    spans[-1].show(at, value)


def _came_back(spans: list[_Span], value: int, at: datetime, rule: Rule) -> _Span | None:
    """With which span something began that was none: the register has come back from there."""
    for number, span in enumerate(reversed(spans[1:][-_LOOKED_BACK_AT:]), 1):
        assert span.before is not None
        assert span.before_at is not None
        if rule.can_meter(value - span.base, span.low_until, at):
            return None
        since = max(each.highest for each in spans[-number:])
        if since < span.before <= value and rule.can_meter(value - span.before, span.before_at, at):
            return span
    return None
