"""Derives a batch's changes of live state: each device's newest reading, and newest values."""

from datetime import UTC, datetime

import numpy as np

from fleetmeter.intake.column_types import time_column
from fleetmeter.intake.rows import NULL, Column, last_of_each
from fleetmeter.intake.writer_cache import NEVER, WriterCache
from fleetmeter.readings.kinds import MEASUREMENTS
from fleetmeter.readings.model import microseconds

_COLUMNS_OF = {
    "energy_mwh": ("energy_mwh", "register_mwh", "highest_mwh", "span_ms", "reset", "spread"),
    **{each.column: (each.column,) for each in MEASUREMENTS},
}
"""The columns that live state takes from the newest reading that gives a value, by that value."""

_BEFORE_ALL = microseconds(datetime(1, 1, 1, tzinfo=UTC))
"""Before any reading, as advance_state() knows it."""


def newest_of_each(columns: dict[str, Column], cache: WriterCache) -> dict[str, Column]:
    """Return what advance_state() takes: a row for each device, with its newest values."""
    devices, time = columns["device"], columns["time"]
    newest = last_of_each(devices)
    result = {name: column[newest] for name, column in columns.items()}
    expected, energy_time = cache.time[result["device"]], cache.energy_time[result["device"]]
    same = energy_time == expected
    result["expected"] = _or_null(expected)
    if (derivation := cache.derivation[result["device"]]).any():
        result["derivation"] = derivation.astype(np.int64)
    result["energy_expected"] = np.where(same, NULL, np.maximum(energy_time, _BEFORE_ALL))
    if len(newest) == len(devices):
        return result

    for value, names in _COLUMNS_OF.items():
        places = _last_with(devices, newest, columns[value])
        older = (places >= 0) & (places != newest)
        if older.any():
            chosen = places[older]
            for name in names:
                result[name][older] = columns[name][chosen]
            result[time_column(value)] = np.where(older, time[places], NULL)
    return result


def _last_with(devices: Column, newest: Column, column: Column) -> Column:
    """Return the place of each device's last reading that has a value; -1: none has."""
    places = np.maximum.accumulate(np.where(column == NULL, -1, np.arange(len(column))))[newest]
    starts = np.zeros_like(newest)
    starts[1:] = newest[:-1] + 1
    return np.where(places >= starts, places, -1)


def _or_null(times: Column) -> Column:
    return np.where(times == NEVER, NULL, times)
