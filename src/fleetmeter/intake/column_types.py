"""The SQL types of the columns that a writer hands to the database."""

from fleetmeter.readings.kinds import MEASUREMENTS


def time_column(value: str) -> str:
    """Return the column of live state with the time of a value."""
    return "energy_at" if value == "energy_mwh" else f"{value}_at"


TYPES = {
    "item": "integer",
    "expected": "timestamptz",
    "device": "integer",
    "meter": "integer",
    "time": "timestamptz",
    "energy_mwh": "bigint",
    "register_mwh": "bigint",
    "highest_mwh": "bigint",
    "span_ms": "bigint",
    "meter_declared": "boolean",
    "reset": "boolean",
    "spread": "boolean",
    **{each.column: each.sql_type for each in MEASUREMENTS},
    "interval_start": "timestamptz",
    "energy_expected": "timestamptz",
    "derivation": "integer",
    **{
        time_column(value): "timestamptz"
        for value in ("energy_mwh", *(m.column for m in MEASUREMENTS))
    },
    "since": "timestamptz",
    "late_hours_until": "bigint",
    "bucket": "timestamptz",
    "starts": "timestamptz",
    "ends": "timestamptz",
    "covered_ms": "bigint",
}
STORED = tuple(TYPES)[2 : 12 + len(MEASUREMENTS)]
"""The columns of history, in the order in which append_readings() takes them."""
