"""Looks at a database as `fleetmeter doctor` does: asks for facts, and judges them."""
