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
"""What became of a reading: stored; stored before; not stored, for what it is or since storing
failed; history has other values; its device keeps to the other kind of energy."""
