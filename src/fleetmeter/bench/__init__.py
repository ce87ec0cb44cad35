"""`fleetmeter bench`: how fast the service stores readings, beside the database's own limit."""
