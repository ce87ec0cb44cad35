"""Readings as simulated devices take them: whole numbers, in the units of history."""

from typing import Literal

Kind = Literal["vehicles", "meters", "vehicle_registers", "meter_registers"]
"""Whose it is, and whether its energy is of an interval or what a register shows."""

VehicleRow = tuple[str, int, int, int, int, str | None, str | None]
"""Id, time, energy (mWh), state of charge (basis points), battery temperature (hundredths of °C),
the meter that it names itself, and the session."""

MeterRow = tuple[str, int, int, int, str | None]
"""Id, time, energy (mWh), voltage (mV), and the session."""

Row = VehicleRow | MeterRow
"""Times are microseconds since EPOCH."""
