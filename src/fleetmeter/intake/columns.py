"""Turns decoded items into columns of stored units: bounds, kinds and scales, a field at a time.

What is wrong in any way is only found here; readings/validate.py says what, item by item.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import compress, repeat
from operator import attrgetter, not_, sub
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fleetmeter.intake.rows import (
    DEVICE,
    ENERGY,
    ITEM,
    METER,
    NULL,
    REGISTER,
    REQUEST,
    ROWS,
    START,
    TIME,
    VALUES,
    Column,
    Mask,
    Matrix,
)
from fleetmeter.readings.ids import is_device_id, is_session_id
from fleetmeter.readings.kinds import (
    KINDS,
    MAX_INTERVAL_KWH,
    MAX_REGISTER_KWH,
    PLACES,
    SESSION,
    DeviceKind,
    Measurement,
)
from fleetmeter.readings.kinds import METER as METER_KIND
from fleetmeter.readings.model import EPOCH, microseconds
from fleetmeter.readings.telemetry import FIELDS, NUMBERS, Telemetry, attribute
from fleetmeter.readings.validate import (
    MAX_INTERVAL_US,
    MWH,
    Bounds,
)


class _Field(NamedTuple):
    """A field that is a number: where it is and goes, what it may be."""

    place: int
    row: int
    scale: int
    low: float
    high: float
    measurement: Measurement | None
    """None: it is the energy that a device is there for."""
    other: int
    """The row of the other form of the same energy, of an interval or a register; -1: none."""

    @property
    def is_energy(self) -> bool:
        """Return whether a value that cannot be costs the whole reading."""
        return self.measurement is None or self.measurement.is_energy


def _fields_of(kind: DeviceKind) -> list[_Field]:
    energy = kind.energy
    fields = [
        _Field(FIELDS.index(name), row, MWH, 0, high, None, other)
        for name, row, high, other in (
            (energy.field, ENERGY, MAX_INTERVAL_KWH, REGISTER),
            (energy.register_field, REGISTER, MAX_REGISTER_KWH, ENERGY),
        )
    ]
    rows = {each.field: VALUES + PLACES[each.column] for each in kind.measurements}
    for each in kind.measurements:
        total = f"{each.field}Total"
        other = rows.get(total, rows.get(each.field.removesuffix("Total"), -1))
        row = rows[each.field]
        fields.append(
            _Field(
                FIELDS.index(each.field),
                row,
                each.scale,
                each.low,
                each.high,
                each,
                other if other != row else -1,
            )
        )
    return fields


_FIELDS = [_fields_of(kind) for kind in KINDS]

_FOREIGN = [
    [FIELDS.index(field) for field in NUMBERS if field not in kind.fields] for kind in KINDS
]
"""The fields that a kind does not have."""

_ids = [attrgetter(attribute(kind.id_field)) for kind in KINDS]

_METER_KIND = KINDS.index(METER_KIND)

SESSION_IDS = len(KINDS)
"""Stands for the ids of charging sessions, where others stand for kinds of devices."""

_SESSION = VALUES + PLACES[SESSION.column]
"""The row with the numbers of sessions."""

Numbers = Callable[[int, Sequence[str | None]], Column]
"""Numbers of a kind (its place in KINDS, or SESSION_IDS) by ids: 0 where none is known or given."""


class _Group(NamedTuple):
    """The readings of a kind in a batch."""

    kind: int
    places: Column
    ids: Sequence[str]
    meter_ids: Sequence[str | None] | None
    """The meters that they named; None: none did."""

    session_ids: Sequence[str | None] | None
    """The charging sessions that they named; None: none did."""


class Columns(NamedTuple):
    """A batch as columns."""

    rows: Matrix
    """DEVICE is 0 where it has no number yet; METER also where none was named."""

    wrong: Mask
    """Items that are wrong in some way."""

    groups: list[_Group]

    dropped: list[tuple[int, Measurement]]
    """Items with measurements whose values cannot be, and are left out."""


def columns_of(items: Sequence[Telemetry], bounds: Bounds) -> Columns:
    """Return the items as columns, without the numbers of devices (see `number`)."""
    count = len(items)
    rows = np.full((ROWS, count), NULL, np.int64)
    rows[REQUEST] = rows[DEVICE] = rows[METER] = 0
    rows[ITEM] = np.arange(count)
    wrong = np.zeros(count, np.bool_)
    groups: list[_Group] = []
    dropped: list[tuple[int, Measurement]] = []
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
            return Columns(rows, wrong, groups, dropped)
        absent = list(map(not_, ids))
        rest, others = list(compress(rest, absent)), list(compress(others, absent))
    wrong[list(rest)] = True  # no id says what they are
    return Columns(rows, wrong, groups, dropped)


def _fill(
    rows: Matrix,
    wrong: Mask,
    dropped: list[tuple[int, Measurement]],
    kind: int,
    places: Column,
    items: Sequence[Telemetry],
    bounds: Bounds,
) -> _Group:
    """Check the readings of a kind, and fill in their columns."""
    count = len(items)
    fields = list(zip(*map(msgspec.structs.astuple, items), strict=True))
    times, bad = _times(fields[-1])
    oldest, latest = microseconds(bounds.since), microseconds(bounds.latest)
    bad |= (times < oldest) | (times > latest)
    rows[TIME, places] = times
    if fields[-2].count(None) != count:
        bad |= _fill_starts(rows, places, fields[-2])
    for place in _FOREIGN[kind]:
        if fields[place].count(None) != count:
            bad |= _given(fields[place])
    measured = np.zeros(count, np.bool_)
    for field in _FIELDS[kind]:
        column = fields[field.place]
        absent = column.count(None)
        if absent == count:
            continue
        values = np.array(column, np.float64)
        inside = (values >= field.low) & (values <= field.high)
        if field.measurement is not None and field.measurement.not_available:
            inside &= ~np.isin(values, field.measurement.not_available)
        if absent or not inside.all():
            given = _given(column) if absent else np.ones(count, np.bool_)  # NaN is given
            unusable = given & ~inside
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
    bad |= ~measured
    wrong[places] = bad
    meter_ids = fields[FIELDS.index(METER_KIND.id_field)] if KINDS[kind].charges else ()
    named = None if meter_ids.count(None) == len(meter_ids) else meter_ids
    session_ids = fields[FIELDS.index(SESSION.field)]
    sessions = None
    if session_ids.count(None) != count:
        sessions = [id_ if id_ is not None and is_session_id(id_) else None for id_ in session_ids]
        rows[_SESSION, places[_given(sessions)]] = 0
        unusable = _given(session_ids) & ~_given(sessions)
        dropped += [(place, SESSION) for place in places[unusable].tolist()]
    return _Group(kind, places, fields[FIELDS.index(KINDS[kind].id_field)], named, sessions)


def number(columns: Columns, numbers: Numbers) -> None:
    """Fill in the numbers of devices and of the meters that were named."""
    for group in columns.groups:
        columns.rows[DEVICE, group.places] = numbers(group.kind, group.ids)
        if group.meter_ids is not None:
            columns.rows[METER, group.places] = numbers(_METER_KIND, group.meter_ids)
        if group.session_ids is not None:
            named = group.places[_given(group.session_ids)]
            found = numbers(SESSION_IDS, [id_ for id_ in group.session_ids if id_ is not None])
            columns.rows[_SESSION, named] = found


def unnumbered(columns: Columns) -> list[tuple[int, str]]:
    """Return the devices and sessions (kind, id) without a number; mark invalid ids as wrong."""
    missing: dict[tuple[int, str], list[int]] = {}

    def note(row: int, kind: int, group: _Group, ids: Sequence[str | None]) -> None:
        places = group.places
        lacking = (columns.rows[row, places] == 0) & ~columns.wrong[places]
        for place in np.flatnonzero(lacking).tolist():
            if (id_ := ids[place]) is not None:
                missing.setdefault((kind, id_), []).append(int(places[place]))

    for group in columns.groups:
        note(DEVICE, group.kind, group, group.ids)
        if group.meter_ids is not None:
            note(METER, _METER_KIND, group, group.meter_ids)
        if group.session_ids is not None:
            note(_SESSION, SESSION_IDS, group, group.session_ids)
    for (kind, id_), places in missing.items():
        if kind != SESSION_IDS and not is_device_id(id_):
            columns.wrong[places] = True
    return [each for each in missing if each[0] == SESSION_IDS or is_device_id(each[1])]


def _given(column: Sequence[Any]) -> Mask:
    return np.fromiter((value is not None for value in column), np.bool_, len(column))


_zone = attrgetter("tzinfo")
_days, _seconds, _microseconds = map(attrgetter, ("days", "seconds", "microseconds"))


def _fill_starts(rows: Matrix, places: Column, column: Sequence[datetime | None]) -> Mask:
    """Fill in when intervals began; where that cannot be."""
    given = _given(column)
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


def looked_up(known: dict[str, int], ids: Sequence[str | None]) -> Column:
    """Return the numbers of ids, 0 where one is not known."""
    return np.fromiter(map(known.get, ids, repeat(0)), np.int64, len(ids))  # type: ignore[arg-type]
