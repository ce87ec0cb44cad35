"""`fleetmeter bench`: how fast readings are stored and energy is answered for."""
