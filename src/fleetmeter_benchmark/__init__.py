"""Measures how fast readings are stored and energy questions answered: `fleetmeter bench`."""
