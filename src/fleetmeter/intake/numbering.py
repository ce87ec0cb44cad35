"""Fills in the numbers of the devices, meters and charging sessions of a batch."""

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np

from fleetmeter.intake.batch_columns import SESSION_ROW, BatchColumns, Group, is_given
from fleetmeter.intake.rows import DEVICE, METER, Column
from fleetmeter.readings.ids import is_device_id
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.kinds import METER as METER_KIND

_METER_KIND = KINDS.index(METER_KIND)

SESSION_IDS = len(KINDS)
"""Stands for the ids of charging sessions, where others stand for kinds of devices."""

Numbers = Callable[[int, Sequence[str | None]], Column]
"""Numbers of a kind (its place in KINDS, or SESSION_IDS) by ids: 0 where none is known or given."""


def number(columns: BatchColumns, numbers: Numbers) -> None:
    """Fill in the numbers of devices and of the meters that were named."""
    for group in columns.groups:
        columns.rows[DEVICE, group.places] = numbers(group.kind, group.ids)
        if group.meter_ids is not None:
            columns.rows[METER, group.places] = numbers(_METER_KIND, group.meter_ids)
        if group.session_ids is not None:
            named = group.places[is_given(group.session_ids)]
            found = numbers(SESSION_IDS, [id_ for id_ in group.session_ids if id_ is not None])
            columns.rows[SESSION_ROW, named] = found


def unnumbered(columns: BatchColumns) -> list[tuple[int, str]]:
    """Return the devices and sessions (kind, id) without a number; mark invalid ids as wrong."""
    missing: dict[tuple[int, str], list[int]] = {}

    def note(row: int, kind: int, group: Group, ids: Sequence[str | None]) -> None:
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
            note(SESSION_ROW, SESSION_IDS, group, group.session_ids)
    for (kind, id_), places in missing.items():
        if kind != SESSION_IDS and not is_device_id(id_):
            columns.wrong[places] = True
    return [each for each in missing if each[0] == SESSION_IDS or is_device_id(each[1])]


def looked_up(numbers: dict[str, int], ids: Sequence[str | None]) -> Column:
    """Return the numbers of ids, 0 where one has none."""
    return np.fromiter(map(numbers.get, ids, repeat(0)), np.int64, len(ids))  # type: ignore[arg-type]
