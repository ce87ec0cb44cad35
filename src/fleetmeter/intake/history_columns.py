"""The columns of history, made of a batch and what the cache knows of its devices."""

import numpy as np

from fleetmeter.intake.intervals import is_spread
from fleetmeter.intake.registers import derive, gaps
from fleetmeter.intake.rows import (
    DEVICE,
    ENERGY,
    METER,
    NULL,
    REGISTER,
    START,
    TIME,
    VALUES,
    Column,
    Matrix,
)
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.readings.kinds import MEASUREMENTS


def columns_as_sent(rows: Matrix) -> dict[str, Column]:
    """Return the columns of history with energy and meters as they were sent."""
    columns = _columns(rows, np.where(rows[METER] == 0, NULL, rows[METER]))
    columns["interval_start"] = rows[START]
    _add_measurements(columns, rows)
    return columns


def derived_columns(rows: Matrix, meter: Column, cache: WriterCache) -> dict[str, Column]:
    """Return the columns of history, with the energy of registers and the length of intervals.

    `meter` has the meters that readings were charged from, `cache` the readings before.
    """
    columns = _columns(rows, meter)
    _derive(columns, cache)
    _add_measurements(columns, rows)
    return columns


def assigned_meters(rows: Matrix, cache: WriterCache) -> Column:
    """Return the meters that readings were charged from: their own, or the newest assigned."""
    meter = np.where(rows[METER] == 0, cache.meter[rows[DEVICE]], rows[METER])
    return np.where(meter == 0, NULL, meter)


def starts_of(columns: dict[str, Column]) -> Column:
    """Return when the intervals of readings began; at the latest just before they were stamped."""
    span_ms = columns["span_ms"]
    starts: Column = columns["time"] - np.where(span_ms == NULL, 0, span_ms) * 1000
    return np.minimum(starts, columns["time"] - 1)


def _columns(rows: Matrix, meter: Column) -> dict[str, Column]:
    """Return the columns of history without measurements, and before anything is derived."""
    register = rows[REGISTER]
    nothing = np.full_like(register, NULL)
    return {
        "device": rows[DEVICE],
        "meter": meter,
        "time": rows[TIME],
        "energy_mwh": rows[ENERGY].copy(),
        "register_mwh": register,
        "highest_mwh": nothing.copy(),
        "span_ms": nothing,
        "meter_declared": (rows[METER] != 0).astype(np.int64),
        "reset": np.zeros_like(register),
        "spread": np.zeros_like(register),
    }


def _add_measurements(columns: dict[str, Column], rows: Matrix) -> None:
    for number, each in enumerate(MEASUREMENTS):
        columns[each.column] = rows[VALUES + number]


def _derive(columns: dict[str, Column], cache: WriterCache) -> None:
    """Fill in what follows from the reading with energy before, in the batch or earlier."""
    register = columns["register_mwh"]
    has = (columns["energy_mwh"] != NULL) | (register != NULL)
    if not has.all():
        chosen = {name: column[has] for name, column in columns.items()}
        if has.any():
            _derive(chosen, cache)
        for name in ("energy_mwh", "highest_mwh", "span_ms", "spread"):
            columns[name][has] = chosen[name]
        return
    devices, time = columns["device"], columns["time"]
    gap_ms = gaps(devices, time, cache.energy_time)
    columns["span_ms"] = np.minimum(gap_ms, cache.interval_ms[devices])
    if (sent := register != NULL).any():
        for name, derived in derive(devices[sent], register[sent], gap_ms[sent], cache).items():
            columns[name][sent] = derived
    columns["spread"] = is_spread(time, columns["span_ms"]).astype(np.int64)
