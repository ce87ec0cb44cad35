"""The columns of a file of readings, named as in the JSON API."""

from fleetmeter.readings.kinds import SESSION
from fleetmeter.readings.telemetry import IDS, NUMBERS, TIMES

TIMESTAMP = "timestamp"

DERIVED = ("assignedMeterId", "derivedKwh", "reset", "sentTimestamp")
"""Columns of an export that follow from the others; an import ignores them."""

EXPORTED = (*IDS, *reversed(TIMES), *NUMBERS, SESSION.field, *DERIVED)
"""What an export has, in that order: what was sent, and then what is derived."""
