"""Turns minutes of the demo into readings: one a quarter hour of history, one a minute live."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
import numpy as np

from fleetmeter_simulator.demo.depots import Fleet
from fleetmeter_simulator.demo.minutes import Depots, Ints, Minute

_MWH_PER_KWH = 1_000_000
QUARTER = 15
"""Minutes of a reading of history."""


class VehicleReading(msgspec.Struct, rename="camel", gc=False):
    """A vehicle's reading, as it is sent."""

    vehicle_id: str
    timestamp: datetime
    kwh_delivered_dc_total: float
    soc: float
    battery_temp: float
    power_kw: float
    odometer_km: float


class MeterReading(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A meter's reading, as it is sent."""

    meter_id: str
    timestamp: datetime
    kwh_consumed_ac_total: float
    voltage: float
    power_kw: float
    kwh_exported_ac_total: float | None = None


Reading = VehicleReading | MeterReading


class Recorder:
    """Steps through the minutes of a fleet, and reads its devices after some of them."""

    def __init__(self, fleet: Fleet, depots: Depots) -> None:
        self._fleet = fleet
        self.depots = depots
        self._read: Minute | None = None

    def readings(self, minutes: int, times: Sequence[datetime]) -> Iterator[tuple[int, Reading]]:
        """Yield what the devices read after some minutes, vehicles first, with their numbers.

        `times` has the time of each device's reading. What is silent does not report.
        """
        for _ in range(minutes):
            now = self.depots.step()
        before, self._read = self._read or now, now
        yield from self._vehicles(now, _mean_kw(now.dc_mwh - before.dc_mwh, minutes), times)
        metered = (now.ac_mwh - before.ac_mwh) - (now.exported_mwh - before.exported_mwh)
        yield from self._meters(now, _mean_kw(metered, minutes), times)

    def _vehicles(
        self, now: Minute, kw: list[float], times: Sequence[datetime]
    ) -> Iterator[tuple[int, Reading]]:
        shown = zip(
            self._fleet.vehicles,
            now.vehicle_reports.tolist(),
            (now.dc_mwh / _MWH_PER_KWH).tolist(),
            np.minimum(np.round(now.soc * 100, 1), 100).tolist(),
            np.round(now.temp_c, 1).tolist(),
            kw,
            np.round(now.odometer_m / 1000, 1).tolist(),
            times,
            strict=False,
        )
        for number, (vehicle, reports, total, soc, temp, power, km, time) in enumerate(shown):
            if reports:
                reading = VehicleReading(vehicle.vehicle_id, time, total, soc, temp, power, km)
                yield number, reading

    def _meters(
        self, now: Minute, kw: list[float], times: Sequence[datetime]
    ) -> Iterator[tuple[int, Reading]]:
        first = len(self._fleet.vehicles)
        shown = zip(
            self._fleet.meters,
            now.meter_reports.tolist(),
            (now.ac_mwh / _MWH_PER_KWH).tolist(),
            np.round(now.volts, 1).tolist(),
            kw,
            (now.exported_mwh / _MWH_PER_KWH).tolist(),
            times[first:],
            strict=True,
        )
        for number, (meter, reports, total, volts, power, exported, time) in enumerate(
            shown, first
        ):
            if reports:
                back = exported if meter.role == "site" else None
                yield number, MeterReading(meter.meter_id, time, total, volts, power, back)


def _mean_kw(mwh: Ints, minutes: int) -> list[float]:
    """Return the mean power of each device."""
    return [round(kw, 3) for kw in (mwh * (60 / minutes / _MWH_PER_KWH)).tolist()]
