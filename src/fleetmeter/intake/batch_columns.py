"""Turns decoded items into columns of stored units: bounds, kinds and scales, a field at a time.

What is wrong in any way is only found here; readings/validate.py says what, item by item.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import compress, repeat
from operator import attrgetter, not_, sub
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleetmeter.intake.number_fields import FOREIGN, NUMBER_FIELDS, NumberField
from fleetmeter.intake.reading_groups import GroupedPart, ReadingGroup
from fleetmeter.intake.rows import (
    DEVICE,
    ITEM,
    METER,
    NULL,
    REQUEST,
    ROWS,
    START,
    TIME,
    VALUES,
    Column,
    Mask,
    Matrix,
)
from fleetmeter.readings.ids import is_session_id
from fleetmeter.readings.kinds import KINDS, PLACES, SESSION, Measurement
from fleetmeter.readings.kinds import METER as METER_KIND
from fleetmeter.readings.model import EPOCH, microseconds
from fleetmeter.readings.telemetry import TEXTS, Telemetry, attribute
from fleetmeter.readings.validate import MAX_INTERVAL_US, Bounds

_ids = [attrgetter(attribute(kind.id_field)) for kind in KINDS]

SESSION_ROW = VALUES + PLACES[SESSION.column]
"""The row with the numbers of sessions."""


class Group(NamedTuple):
    """The readings of a kind in a batch."""

    kind: int
    places: Column
    ids: Sequence[str]
    meter_ids: Sequence[str | None] | None
    """The meters that they named; None: none did."""

    session_ids: Sequence[str | None] | None
    """The charging sessions that they named; None: none did."""


class BatchColumns(NamedTuple):
    """A batch as columns."""

    rows: Matrix
    """DEVICE is 0 where it has no number yet; METER also where none was named."""

    wrong: Mask
    """Items that are wrong in some way."""

    groups: list[Group]

    dropped: list[tuple[int, Measurement]]
    """Items with measurements whose values cannot be, and are left out."""


def columns_of(items: Sequence[Telemetry] | GroupedPart, bounds: Bounds) -> BatchColumns:
    """Return the items as columns, without the numbers of devices (see numbering.py)."""
    count = len(items)
    rows = np.full((ROWS, count), NULL, np.int64)
    rows[REQUEST] = rows[DEVICE] = rows[METER] = 0
    rows[ITEM] = np.arange(count)
    wrong = np.zeros(count, np.bool_)
    groups: list[Group] = []
    dropped: list[tuple[int, Measurement]] = []
    if isinstance(items, GroupedPart):
        for group in items.groups:
            groups.append(_fill_group(rows, wrong, dropped, group, bounds))
        return BatchColumns(rows, wrong, groups, dropped)
    rest: Sequence[int] = range(count)
    others = items
    for kind, get_id in enumerate(_ids):
        ids = list(map(get_id, others))
        here = list(compress(rest, ids))  # an empty id is wrong, as none is
        if not here:
            continue
        mine = others if len(here) == len(rest) else list(compress(others, ids))
        groups.append(_fill(rows, wrong, dropped, kind, np.array(here, np.int64), mine, bounds))
        if len(here) == len(rest):
            return BatchColumns(rows, wrong, groups, dropped)
        absent = list(map(not_, ids))
        rest, others = list(compress(rest, absent)), list(compress(others, absent))
    wrong[list(rest)] = True  # no id says what they are
    return BatchColumns(rows, wrong, groups, dropped)


def _fill(
    rows: Matrix,
    wrong: Mask,
    dropped: list[tuple[int, Measurement]],
    kind: int,
    places: Column,
    items: Sequence[Telemetry],
    bounds: Bounds,
) -> Group:
    """Check the readings of a kind, and fill in their columns."""
    count = len(items)
    fields = list(zip(*map(msgspec.structs.astuple, items), strict=True))
    times, bad = _times(fields[-1])
    bad |= _fill_times(rows, places, times, bounds)
    if fields[-2].count(None) != count:
        bad |= _fill_starts(rows, places, fields[-2])
    for place in FOREIGN[kind]:
        if fields[place].count(None) != count:
            bad |= is_given(fields[place])
    numbers: list[_Numbers] = []
    for field in NUMBER_FIELDS[kind]:
        column = fields[field.place]
        absent = column.count(None)
        if absent != count:
            given = is_given(column) if absent else None
            numbers.append((field, np.array(column, np.float64), given))
    wrong[places] = bad | _fill_numbers(rows, dropped, places, numbers)
    texts = [None if column.count(None) == count else column for column in fields[: len(TEXTS)]]
    return _with_texts(rows, dropped, kind, places, texts)


def _fill_group(
    rows: Matrix,
    wrong: Mask,
    dropped: list[tuple[int, Measurement]],
    group: ReadingGroup,
    bounds: Bounds,
) -> Group:
    """Do the same for readings that are columns already."""
    kind, places = group.kind, np.array(group.places, np.int64)
    bad = _fill_times(rows, places, group.times, bounds)
    if not group.numbers.keys().isdisjoint(FOREIGN[kind]):
        bad[:] = True
    numbers: list[_Numbers] = [
        (field, group.numbers[field.place], None)
        for field in NUMBER_FIELDS[kind]
        if field.place in group.numbers
    ]
    wrong[places] = bad | _fill_numbers(rows, dropped, places, numbers)
    return _with_texts(rows, dropped, kind, places, group.texts)


_Numbers = tuple[NumberField, NDArray[np.float64], Mask | None]
"""A column of numbers, and which of them are given; None: all."""


def _fill_times(rows: Matrix, places: Column, times: Column, bounds: Bounds) -> Mask:
    """Fill in times; where they are out of bounds."""
    rows[TIME, places] = times
    wrong: Mask = (times < microseconds(bounds.since)) | (times > microseconds(bounds.latest))
    return wrong


def _fill_numbers(
    rows: Matrix,
    dropped: list[tuple[int, Measurement]],
    places: Column,
    numbers: Iterable[_Numbers],
) -> Mask:
    """Fill in numbers; where they make a reading wrong, or it has none."""
    bad = np.zeros(len(places), np.bool_)
    measured = np.zeros(len(places), np.bool_)
    for field, values, given in numbers:
        inside = (values >= field.low) & (values <= field.high)
        if field.measurement is not None and field.measurement.not_available:
            inside &= ~np.isin(values, field.measurement.not_available)
        if given is not None or not inside.all():
            unusable = ~inside if given is None else given & ~inside  # NaN is given
            if field.is_energy:
                bad |= unusable
            elif unusable.any() and field.measurement is not None:
                dropped += [(place, field.measurement) for place in places[unusable].tolist()]
            measured |= inside
            rows[field.row, places[inside]] = np.rint(values[inside] * field.scale)
        else:
            measured[:] = True
            rows[field.row, places] = np.rint(values * field.scale)
        if 0 <= field.other < field.row:
            bad |= (rows[field.other, places] != NULL) & (rows[field.row, places] != NULL)
    return bad | ~measured


def _with_texts(
    rows: Matrix,
    dropped: list[tuple[int, Measurement]],
    kind: int,
    places: Column,
    texts: Sequence[Sequence[Any] | None],
) -> Group:
    """Return readings with the ids that they name, from the columns of TEXTS; None: none does."""
    of = dict(zip(TEXTS, texts, strict=True))
    session_ids = of[SESSION.field]
    sessions = None
    if session_ids is not None:
        sessions = [id_ if id_ is not None and is_session_id(id_) else None for id_ in session_ids]
        rows[SESSION_ROW, places[is_given(sessions)]] = 0
        unusable = is_given(session_ids) & ~is_given(sessions)
        dropped += [(place, SESSION) for place in places[unusable].tolist()]
    ids, named = of[KINDS[kind].id_field], of[METER_KIND.id_field]
    assert ids is not None  # noqa: S101 - its kind follows from it
    return Group(kind, places, ids, named if KINDS[kind].charges else None, sessions)


def is_given(column: Sequence[Any]) -> Mask:
    """Return which values are not None."""
    return np.fromiter((value is not None for value in column), np.bool_, len(column))


_zone = attrgetter("tzinfo")
_days, _seconds, _microseconds = map(attrgetter, ("days", "seconds", "microseconds"))


def _fill_starts(rows: Matrix, places: Column, column: Sequence[datetime | None]) -> Mask:
    """Fill in when intervals began; where that cannot be."""
    given = is_given(column)
    starts, lacking = _times(column)
    times = rows[TIME, places]
    rows[START, places[given]] = starts[given]
    wrong: Mask = given & (lacking | (starts >= times) | (starts < times - MAX_INTERVAL_US))
    return wrong


def _times(column: Sequence[datetime | None]) -> tuple[Column, Mask]:
    """Return microseconds since 2000, and where a time is missing or without an offset."""
    lacking = np.zeros(len(column), np.bool_)
    if None in column or None in set(map(_zone, column)):
        lacking = np.array([time is None or time.tzinfo is None for time in column], np.bool_)
        column = [EPOCH if time is None or time.tzinfo is None else time for time in column]
    since = list(map(sub, column, repeat(EPOCH)))
    days, seconds, microseconds_ = (
        np.fromiter(map(part, since), np.int64, len(column))
        for part in (_days, _seconds, _microseconds)
    )
    return (days * 86_400 + seconds) * 1_000_000 + microseconds_, lacking
