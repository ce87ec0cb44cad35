"""The energy of registers whose readings follow each other, a column at a time.

The plain part of the rule of sql/routines/41_registers.sql, which says why: registers that rise,
flutter, or count by session. Whatever else may have happened to one, the database finds out.
"""

from typing import NamedTuple

import numpy as np

from fleetmeter.intake.rows import (
    DEVICE,
    ENERGY,
    NULL,
    REGISTER,
    TIME,
    VALUES,
    Column,
    Mask,
    Matrix,
    begins,
    last_of_each,
)
from fleetmeter.intake.writer_cache import INTERVAL, NEVER, NOTHING, WriterCache
from fleetmeter.intake.writer_cache import REGISTER as SENDS_REGISTER
from fleetmeter.readings.kinds import PLACES

REVERSE = VALUES + PLACES["reverse_register_mwh"]
"""The row of registers of energy in the other direction."""


class Before(NamedTuple):
    """Holds the state of registers before each reading, in the order of keys."""

    first: Mask
    """True for the first reading of its device."""
    highest_mwh: Column
    """The highest value before the device's first reading; NULL: that one opens the register."""
    limit_mwh: Column
    """From this value on, the database has to look into it; NULL: none."""
    is_session: Mask


def unusual(rows: Matrix, cache: WriterCache) -> Mask:
    """Return which readings are of devices of which the batch has something for the database.

    Another kind of energy than before, or a register that does more than rise or flutter.
    """
    found = np.zeros(rows.shape[1], np.bool_)
    has = np.flatnonzero((rows[ENERGY] != NULL) | (rows[REGISTER] != NULL))
    if has.size:
        devices, registers = rows[DEVICE, has], rows[REGISTER, has]
        brought = np.where(registers == NULL, INTERVAL, SENDS_REGISTER)
        sends = np.where(begins(devices), cache.energy[devices], np.roll(brought, 1))
        found[has] = (brought != sends) & (sends != NOTHING)
        if (registers != NULL).any():
            gap_ms = gaps(devices, rows[TIME, has], cache.energy_time)
            found[has] |= ~is_plain(registers, gap_ms, _before(devices, cache))
    if (rows[REVERSE] != NULL).any():
        has = np.flatnonzero(rows[REVERSE] != NULL)
        devices, registers = rows[DEVICE, has], rows[REVERSE, has]
        before = _before(devices, cache, is_reverse=True)
        gap_ms = gaps(devices, rows[TIME, has], cache.reverse_time)
        found[has] |= ~is_plain(registers, gap_ms, before)
        # history has its highest value only where the database has looked into it
        found[has] |= (registers < highest_before(registers, before)) & ~before.is_session
    if found.any():
        found = np.isin(rows[DEVICE], rows[DEVICE, found])
    return found


def derive(
    devices: Column, register_mwh: Column, gap_ms: Column, cache: WriterCache
) -> dict[str, Column]:
    """Return what follows from readings of registers that are not unusual, by columns."""
    before = _before(devices, cache)
    highest = highest_before(register_mwh, before)
    opens = highest == NULL
    rise = register_mwh - np.where(opens, register_mwh, highest)
    restarts = before.is_session & (rise < 0)
    span_ms = np.where(restarts, np.minimum(gap_ms, cache.interval_ms[devices]), gap_ms)
    return {
        "energy_mwh": np.where(restarts, register_mwh, np.maximum(rise, 0)),
        "highest_mwh": np.where((rise < 0) & ~before.is_session, highest, NULL),
        "span_ms": np.where(opens, NULL, span_ms),
    }


def advance(rows: Matrix, cache: WriterCache) -> None:
    """Remember readings newer than all of their device, which have been stored."""
    if (sent := rows[REVERSE] != NULL).any():
        reverse = rows[:, sent]
        newest = last_of_each(reverse[DEVICE])
        cache.advance_reverse(
            reverse[DEVICE, newest], reverse[TIME, newest], reverse[REVERSE, newest]
        )
    rows = rows[:, (rows[ENERGY] != NULL) | (rows[REGISTER] != NULL)]
    if not rows.size:
        return
    newest = last_of_each(rows[DEVICE])
    highest = rows[REGISTER, newest]
    if (highest != NULL).any():
        before = _before(rows[DEVICE], cache)
        earlier = highest_before(rows[REGISTER], before)[newest]
        highest = np.where(before.is_session[newest], highest, np.maximum(highest, earlier))
    cache.advance_energy(rows[DEVICE, newest], rows[TIME, newest], highest)


def highest_before(register_mwh: Column, before: Before) -> Column:
    """Return the highest value before each reading: of a session's counter, the one before."""
    first = before.first
    started = np.where(first, np.maximum(register_mwh, before.highest_mwh), register_mwh)
    highest = np.where(before.is_session, register_mwh, started)
    if ((highest[1:] < highest[:-1]) & ~first[1:] & ~before.is_session[1:]).any():
        # by their places in the order of values, so that one number distinguishes devices
        places = np.empty(len(highest), np.int64)
        places[np.argsort(highest, kind="stable")] = np.arange(len(highest))
        groups = np.cumsum(first | before.is_session) * len(highest)
        highest = np.sort(highest)[np.maximum.accumulate(places + groups) - groups]
    return np.where(first, before.highest_mwh, np.roll(highest, 1))


def is_plain(register_mwh: Column, gap_ms: Column, before: Before) -> Mask:
    """Return which readings only rise, flutter, or count by session; true of interval energy."""
    highest = highest_before(register_mwh, before)
    opens = highest == NULL
    rise = register_mwh - np.where(opens, register_mwh, highest)
    counts = np.where(before.is_session & (rise < 0), register_mwh, rise)
    # at most 1,000 kWh and 10 MW all the while: 10^9 mWh + span × 10^4 / 3.6, in whole numbers
    possible = (counts - 1_000_000_000) * 36 <= np.where(opens, 0, gap_ms) * 100_000
    lifetime = (register_mwh * 10 >= highest * 9) & ((highest > 0) | (rise == 0))
    below = (before.limit_mwh == NULL) | (register_mwh < before.limit_mwh)
    plain: Mask = possible & (opens | before.is_session | lifetime) & below
    plain |= register_mwh == NULL
    return plain


def gaps(devices: Column, time: Column, newest: Column) -> Column:
    """Return the milliseconds since the device's reading before, in the batch or the newest."""
    before = np.where(begins(devices), newest[devices], np.roll(time, 1))
    return np.where(before == NEVER, 1 << 62, (time - before + 500) // 1000)


def _before(devices: Column, cache: WriterCache, *, is_reverse: bool = False) -> Before:
    highest, limit = cache.highest_mwh, cache.limit_mwh
    if is_reverse:
        highest, limit = cache.reverse_highest_mwh, cache.reverse_limit_mwh
    return Before(begins(devices), highest[devices], limit[devices], cache.is_session[devices])
