"""Readings as a matrix of whole numbers: a row for each field, a column for each reading.

From here to the database a batch is handled a field at a time; nothing walks its readings.
"""

import numpy as np
from numpy.typing import NDArray

from fleetmeter.readings.kinds import MEASUREMENTS

Matrix = NDArray[np.int64]
Column = NDArray[np.int64]
Mask = NDArray[np.bool_]
Statuses = NDArray[np.int8]

REQUEST, ITEM, DEVICE, METER, TIME, START, ENERGY, REGISTER = range(8)
"""The rows of the matrix: whose request it was and which item of it; the numbers of the device and
of the meter that it named (0: none); when it was stamped and, where it says so, when its interval
began, microseconds since 2000; interval energy or what a register showed, in milliwatt-hours.
Behind them a row for each measurement, in stored units."""

VALUES = 8
"""The first of the measurements' rows."""

ROWS = VALUES + len(MEASUREMENTS)

NULL = int(np.iinfo(np.int64).min)
"""Nothing was sent."""

NEW, DUPLICATE, REJECTED, CONFLICT, MIXED = range(5)
"""Outcome of a reading: stored; stored before; not stored, because it is invalid or storing failed;
history has other values; its device sends the other kind of energy at that time."""


def begins(column: Column) -> Mask:
    """Return which values differ from the one before."""
    result = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=result[1:])
    return result


def last_of_each(devices: Column) -> Column:
    """Return the places of the last reading of each device."""
    last = np.ones(len(devices), np.bool_)
    np.not_equal(devices[1:], devices[:-1], out=last[:-1])
    return np.flatnonzero(last)
