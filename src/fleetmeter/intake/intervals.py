"""Energy that is spread over the quarter hours of its interval, a column at a time.

The same rules as sql/routines/20_intervals.sql, which says why.
"""

import numpy as np

from fleetmeter.intake.rows import NULL, Column, Mask

QUARTER_US = 900_000_000

MAX_SPAN_MS = 1 << 31
"""Longest interval whose parts are exact in 64 bits, milliseconds; the database does the rest."""


def is_spread(time: Column, span_ms: Column) -> Mask:
    """Return which intervals cross a quarter hour; span_ms is NULL where there is none."""
    starts = time - np.where(span_ms == NULL, 0, span_ms) * 1000
    spread: Mask = (span_ms != NULL) & (starts < _quarter(time - 1))
    return spread


def pieces(
    device: Column, meter: Column, time: Column, energy_mwh: Column, span_ms: Column
) -> dict[str, Column]:
    """Return the columns of spread_energy for readings whose energy is spread."""
    starts = time - span_ms * 1000
    first = _quarter(starts)
    counts = (_quarter(time - 1) - first) // QUARTER_US + 1
    reading = np.repeat(np.arange(len(time)), counts)
    places = np.arange(len(reading)) - np.repeat(np.cumsum(counts) - counts, counts)
    quarter = first[reading] + places * QUARTER_US
    span, began = span_ms[reading], starts[reading]
    from_ms = np.maximum((quarter - began) // 1000, 0)
    until_ms = np.minimum((quarter + QUARTER_US - began) // 1000, span)
    energy = energy_mwh[reading]
    return {
        "device": device[reading],
        "meter": meter[reading],
        "bucket": quarter + 1,
        "starts": np.maximum(quarter, began),
        "ends": time[reading],
        "energy_mwh": _after(energy, until_ms, span) - _after(energy, from_ms, span),
        "covered_ms": until_ms - from_ms,
    }


def _quarter(time: Column) -> Column:
    return time // QUARTER_US * QUARTER_US


def _after(energy_mwh: Column, ms: Column, span_ms: Column) -> Column:
    """Return what of the energy has been used after ms of span_ms, rounded down."""
    whole, rest = np.divmod(energy_mwh, span_ms)
    return whole * ms + rest * ms // span_ms
