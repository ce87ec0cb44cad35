"""Caches what writers need to know about devices, in arrays indexed by device number.

The cache is only a hint: the database decides, and an entry that is missing or wrong costs time,
never correctness. The arrays grow with the highest device number, by about 55 bytes a device.
Arrays for values that few devices have take no space (one value, repeated) until a device has one.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetmeter.intake.rows import NULL, Column
from fleetmeter.readings.model import microseconds

_Short = NDArray[np.int32]

NEVER = -(1 << 62)
"""Before any time: when a device without readings reported."""

UNKNOWN, NOTHING, INTERVAL, REGISTER = -1, 0, 1, 2
"""Which energy a device sends, as far as is known."""

_NO_VERSION = -1


class WriterCache:
    """Remembers the newest reading, the register and the newest assignment of each device."""

    def __init__(self) -> None:
        self.energy = np.empty(0, np.int8)
        """UNKNOWN, NOTHING, INTERVAL or REGISTER."""
        self.time: Column = np.empty(0, np.int64)
        """Time of its newest reading, microseconds since 2000."""
        self.energy_time: Column = np.empty(0, np.int64)
        """Time of its newest reading with energy, microseconds since 2000."""
        self.highest_mwh: Column = np.empty(0, np.int64)
        """The highest value of its register so far (see intake/registers.py)."""
        self.limit_mwh: Column = np.empty(0, np.int64)
        """From which value of its register on the database has to look into it."""
        self.reverse_time: Column = np.empty(0, np.int64)
        """The same of its register of energy in the other direction, and when it was."""
        self.reverse_highest_mwh: Column = np.empty(0, np.int64)
        self.reverse_limit_mwh: Column = np.empty(0, np.int64)
        self.is_session = np.empty(0, np.bool_)
        """True if its registers restart with each session."""
        self.derivation: _Short = np.empty(0, np.int32)
        """Number of times the database has derived its registers."""
        self.interval_ms: _Short = np.empty(0, np.int32)
        """Maximum length of its intervals, milliseconds."""
        self.since: Column = np.empty(0, np.int64)
        """From when on its newest assignment holds."""
        self.meter: _Short = np.empty(0, np.int32)
        """The meter of that assignment; 0: none."""
        self.paired: _Short = np.empty(0, np.int32)
        """The meter that it is known to have charged at last; 0: none."""
        self._version: Column = np.empty(0, np.int64)
        self.version = _NO_VERSION
        """The version of assignments and settings; what an older one taught is read again."""
        self.horizon = NEVER
        """Before this time, readings may be rolled up or evaluated already."""

    def make_room(self, device: int) -> None:
        """Make sure that this number has a place."""
        size = len(self.time)
        if device < size:
            return
        more = max(1024, device + 1, size * 5 // 4) - size
        for name, empty in _EMPTY.items():
            column = getattr(self, name)
            if name in _FOR_FEW and (size == 0 or not column.flags.writeable):
                grown = np.broadcast_to(column.dtype.type(empty), size + more)
            else:
                grown = np.concatenate([column, np.full(more, empty, column.dtype)])
            setattr(self, name, grown)

    def unknown(self, devices: Column) -> Column:
        """Return those of which something has to be asked for."""
        unknown = (self.energy[devices] == UNKNOWN) | (self._version[devices] != self.version)
        found: Column = devices[unknown]
        return found

    def at_version(self, version: int) -> None:
        """Forget assignments and pairs when somebody has changed one since."""
        if version != self.version:
            self.version = version
            self.paired[:] = 0

    def learn(self, rows: Iterable[Any], version: int) -> None:
        """Remember what was read of devices at a version."""
        for row in rows:
            device = row["device"]
            if row["time"] is None:
                self.time[device] = NEVER
            else:
                self.time[device] = microseconds(row["time"])
            if row["energy_at"] is None:
                self.energy[device], self.energy_time[device] = NOTHING, NEVER
            else:
                self.energy[device] = INTERVAL if row["register_mwh"] is None else REGISTER
                self.energy_time[device] = microseconds(row["energy_at"])
            self.highest_mwh[device] = _or_null(row["highest_mwh"])
            reverse_at = row["reverse_at"]
            few = {
                "limit_mwh": _or_null(row["limit_mwh"]),
                "reverse_time": NEVER if reverse_at is None else microseconds(reverse_at),
                "reverse_highest_mwh": _or_null(row["reverse_highest_mwh"]),
                "reverse_limit_mwh": _or_null(row["reverse_limit_mwh"]),
            }
            for name, value in few.items():
                if getattr(self, name)[device] != value:
                    self._own(name)[device] = value
            self.is_session[device] = row["is_session"]
            self.derivation[device] = row["derivation"]
            self.interval_ms[device] = row["interval_ms"]
            self.since[device] = NEVER if row["since"] is None else microseconds(row["since"])
            self.meter[device] = row["meter"] or 0
            self._version[device] = version

    def advance(self, devices: Column, times: Column) -> None:
        """Remember the newest readings of devices, which have been stored."""
        self.time[devices] = times

    def advance_energy(self, devices: Column, times: Column, highest_mwh: Column) -> None:
        """Remember the newest readings with energy, which have been stored."""
        self.energy[devices] = np.where(highest_mwh == NULL, INTERVAL, REGISTER)
        self.energy_time[devices] = times
        self.highest_mwh[devices] = highest_mwh

    def advance_reverse(self, devices: Column, times: Column, register_mwh: Column) -> None:
        """Remember the newest registers of the other direction, which have been stored."""
        self._own("reverse_time")[devices] = times
        self._own("reverse_highest_mwh")[devices] = register_mwh

    def forget(self, devices: Column) -> None:
        """Forget devices of which something turned out wrong, or was changed by a merge."""
        self.energy[devices] = UNKNOWN

    def _own(self, name: str) -> Column:
        """Return a column that is for few devices, as one that can be written to."""
        column: Column = getattr(self, name)
        if not column.flags.writeable:
            column = column.copy()
            setattr(self, name, column)
        return column


_EMPTY = {
    "energy": UNKNOWN,
    "time": NEVER,
    "energy_time": NEVER,
    "highest_mwh": NULL,
    "limit_mwh": NULL,
    "reverse_time": NEVER,
    "reverse_highest_mwh": NULL,
    "reverse_limit_mwh": NULL,
    "is_session": False,
    "derivation": 0,
    "interval_ms": 0,
    "since": NEVER,
    "meter": 0,
    "paired": 0,
    "_version": _NO_VERSION,
}

_FOR_FEW = {"limit_mwh", "reverse_time", "reverse_highest_mwh", "reverse_limit_mwh"}
"""Arrays for values that few devices have; a single value stands in until one does."""


def _or_null(value: int | None) -> int:
    return NULL if value is None else value
