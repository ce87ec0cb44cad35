"""FleetMeter: energy accounting for electric fleets."""

__version__ = "0.1.0"
