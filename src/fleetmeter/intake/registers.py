"""The interval energy of registers whose readings follow each other, a column at a time.

The same rule as register_energy() in sql/routines/41_registers.sql, which says why.
"""

from typing import NamedTuple

import numpy as np

from fleetmeter.intake.rows import (
    NULL,
    Column,
    Mask,
)


class Derived(NamedTuple):
    """What follows from what registers showed."""

    energy_mwh: Column
    span_ms: Column
    reset: Mask


def derived(
    register_mwh: Column, previous_mwh: Column, rollover_mwh: Column, span_ms: Column
) -> Derived:
    """Return energy, span and resets; what opens a register has NULL for previous_mwh."""
    opens = previous_mwh == NULL
    rise = register_mwh - np.where(opens, register_mwh, previous_mwh)
    range_mwh = np.where(rollover_mwh == NULL, 0, rollover_mwh)
    over = range_mwh + rise
    rise = np.where((rise < 0) & (over * 10 < range_mwh), over, rise)
    # at most 1,000 kWh and 10 MW all the while: 10^9 mWh + span × 10^4 / 3.6, in whole numbers
    possible = (rise - 1_000_000_000) * 36 <= np.where(opens, 0, span_ms) * 100_000
    reset = ~opens & ~((rise >= 0) & possible)
    counts = ~opens & ~reset
    return Derived(np.where(counts, rise, 0), np.where(counts, span_ms, NULL), reset)
