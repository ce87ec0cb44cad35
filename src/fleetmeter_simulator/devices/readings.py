"""Defines readings as simulated devices take them: whole numbers in the units of history."""

from typing import Literal

RowKind = Literal["vehicles", "meters", "vehicle_registers", "meter_registers"]
"""Kind of device, and whether its energy belongs to an interval or is what a register shows."""

VehicleRow = tuple[str, int, int, int, int, str | None, str | None]
"""Id, time, energy (mWh), state of charge (basis points), battery temperature (hundredths of °C),
the meter it names, and the session.
"""

MeterRow = tuple[str, int, int, int, str | None]
"""Id, time, energy (mWh), voltage (mV), and the session."""

Row = VehicleRow | MeterRow
"""A reading of either kind; times are microseconds since EPOCH."""
