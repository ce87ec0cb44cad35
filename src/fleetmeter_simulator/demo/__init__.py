"""The fleet of `fleetmeter demo`: 200 vehicles at four depots, with a history."""
