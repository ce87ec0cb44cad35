"""`python -m fleetmeter` is the command `fleetmeter`."""

from fleetmeter.cli import main

main()
