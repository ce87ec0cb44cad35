"""The columns of a file of readings, named as in the JSON API."""

from fleetmeter.readings.telemetry import IDS, NUMBERS, TEXTS, TIMES

TIMESTAMP = "timestamp"

DERIVED = ("assignedMeterId", "derivedKwh", "reset")
"""Columns of an export that follow from the others; an import ignores them."""

EXPORTED = (*IDS, *reversed(TIMES), *TEXTS[len(IDS) :], *NUMBERS, *DERIVED)
"""What an export has, in that order: what was sent, and then what is derived."""
