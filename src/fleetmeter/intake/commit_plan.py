"""The plan of a commit: which readings are appended to history, and which have to be merged."""

from typing import NamedTuple

import numpy as np

from fleetmeter.intake.registers import unusual
from fleetmeter.intake.rows import DEVICE, NULL, START, TIME, Column, Mask, Matrix, begins
from fleetmeter.intake.writer_cache import WriterCache


class CommitPlan(NamedTuple):
    """Says of each reading whether it is appended, and with which others, or merged."""

    backlog: Mask
    """Newer than all of their device, but from a time that may be rolled up already."""

    fresh: Mask
    """Newer than all of their device and than what may be rolled up."""

    to_merge: Mask
    """All others."""


def plan_commit(rows: Matrix, cache: WriterCache) -> CommitPlan:
    """Return the plan for readings that are sorted by key, of devices that the cache knows."""
    # an interval that says when it began may overlap others; what else may be is asked below
    in_order = (rows[TIME] > cache.time[rows[DEVICE]]) & (rows[START] == NULL)
    in_order &= ~repeated(rows) & ~unusual(rows, cache)
    rolled_up = rows[TIME] <= cache.horizon
    return CommitPlan(in_order & rolled_up, in_order & ~rolled_up, ~in_order)


def repeated(rows: Matrix) -> Mask:
    """Return which readings share their key with another of the batch, which is sorted by key."""
    again = ~(begins(rows[DEVICE]) | begins(rows[TIME]))
    result = again.copy()
    result[:-1] |= again[1:]
    return result


def resent(rows: Matrix, repeated: Mask) -> tuple[Column, Column]:
    """Return which readings are the same as one before them in the batch, and as which."""
    places = np.flatnonzero(repeated)
    whole = np.ascontiguousarray(rows[DEVICE:, places].T)
    _, first, same = np.unique(whole, axis=0, return_index=True, return_inverse=True)
    originals = places[first[same.reshape(-1)]]
    again = places != originals
    return places[again], originals[again]
