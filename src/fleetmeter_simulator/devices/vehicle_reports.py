"""Turns what happens to a vehicle into what it reports."""

from typing import Any

from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.client.link import MINUTE_US, Arrival, Link
from fleetmeter_simulator.devices.counting import Counting, Shown
from fleetmeter_simulator.devices.profiles import MeterProfile, VehicleProfile
from fleetmeter_simulator.devices.readings import RowKind
from fleetmeter_simulator.devices.reporting import OnlyWhile, Reporter, clock_times
from fleetmeter_simulator.devices.vehicle import HOUR, Minutes
from fleetmeter_simulator.faults.injection import Injection, strongest

_AWAKE_MIN = 20
"""Minutes that a sleeping modem stays awake after its vehicle was used."""


class ReportedVehicle:
    """Takes the readings of a vehicle."""

    def __init__(
        self, profile: VehicleProfile, meter: MeterProfile, seed: int, link: Link, day_us: int
    ) -> None:
        rng = seeded(seed, "reports", "vehicle", profile.number)
        first_us = day_us + MINUTE_US + meter.phase_us + rng.randrange(0, 6000) * 1000
        self.link = link
        self._reporter = Reporter(rng, profile.interval_min, first_us)
        total_mwh = rng.randrange(1_000, 50_000) * 1_000_000 if profile.sends_register else 0
        self.register = Counting(
            seed, "vehicle", profile.number, profile.vehicle_id, profile.register, total_mwh
        )
        self._kind: RowKind = "vehicle_registers" if profile.sends_register else "vehicles"
        self._profile = profile
        self._meter_id = meter.meter_id if profile.declares_meter else None
        self._charging = OnlyWhile()
        self._awake = OnlyWhile(_AWAKE_MIN // profile.interval_min)
        self._soc = 0.0
        self._stuck_bp: int | None = None

    def report(
        self, begin: int, minutes: Minutes, faults: list[Injection], out: list[Arrival]
    ) -> None:
        profile, reporter = self._profile, self._reporter
        dc, temps = minutes.dc_mwh, minutes.temp_cdeg
        if faults:
            dc, temps = self._with_faults(begin, dc, temps, faults)
        stamps = reporter.stamps(begin)
        times = clock_times(stamps, begin, faults) if faults else stamps
        energies = reporter.summed(dc)
        shown: list[Shown] = [(energy, None) for energy in energies]
        if profile.sends_register:
            shown = self._registers(energies, times)
        socs = self._socs(begin, reporter.at(minutes.soc), faults)
        vehicle_id, meter_id = profile.vehicle_id, self._meter_id
        rows: list[Any] = [
            (vehicle_id, time, energy, soc, temp, meter_id, name)
            for time, (energy, name), soc, temp in zip(
                times, shown, socs, reporter.at(temps), strict=True
            )
        ]
        taken_at = list(stamps)
        asleep = self._asleep(minutes, stamps) if profile.sleeps != "never" else frozenset()
        if profile.sleeps == "silent":
            rows = [row for row, at in zip(rows, taken_at, strict=True) if at not in asleep]
            taken_at = [at for at in taken_at if at not in asleep]
        if profile.only_while_charging:
            kept = self._charging.kept(reporter.summed(minutes.dc_mwh))
            rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
            taken_at = [stamp for stamp, keep in zip(taken_at, kept, strict=True) if keep]
        self.link.deliver(begin, self._kind, taken_at, rows, out, asleep)

    def _asleep(self, minutes: Minutes, stamps: list[int]) -> frozenset[int]:
        """Return which readings fall into its modem's sleep: it neither drives nor takes energy."""
        used = [
            taken > 0 or soc != before
            for taken, soc, before in zip(
                minutes.ac_mwh, minutes.soc, [self._soc, *minutes.soc], strict=False
            )
        ]
        self._soc = minutes.soc[-1]
        step = HOUR // len(stamps)
        awake = self._awake.kept(any(used[at : at + step]) for at in range(0, HOUR, step))
        return frozenset(at for at, is_awake in zip(stamps, awake, strict=True) if not is_awake)

    def _socs(self, begin: int, socs: list[float], faults: list[Injection]) -> list[int]:
        """Return the states of charge that it reports, in basis points."""
        step, scale = self._profile.soc_step_bp, 10_000 / self._profile.soc_step_bp
        shown = [int(soc * scale) * step for soc in socs]
        for fault in faults:
            if fault.what in ("soc_stuck", "soc_scale"):
                for number in range(len(shown)):
                    minute = begin + number * (HOUR // len(shown))
                    if fault.begin <= minute < fault.end:
                        if self._stuck_bp is None:
                            self._stuck_bp = shown[number]
                        stuck = fault.what == "soc_stuck"
                        shown[number] = self._stuck_bp if stuck else shown[number] // 100
        return shown

    def _registers(self, energies: list[int], times: list[int]) -> list[Shown]:
        """Return what its register shows, and the sessions that it names."""
        register = self.register
        register.counted.clear()
        if self._profile.register.of_sessions:
            return list(register.of_sessions(energies, times))
        return [
            (register.show(time, register.add(energy)), None)
            for energy, time in zip(energies, times, strict=True)
        ]

    def _with_faults(
        self, begin: int, dc: list[int], temps: list[int], faults: list[Injection]
    ) -> tuple[list[int], list[int]]:
        """Apply its faults to what it reports."""
        dc, temps = list(dc), list(temps)
        for number in range(HOUR):
            if (wrong := strongest(faults, "energy", begin + number)) is not None:
                dc[number] = int(dc[number] * wrong.fault.numbers["energyFactor"])
            if (hot := strongest(faults, "battery_hot", begin + number)) is not None:
                rising = temps[number] + 200 * (begin + number - hot.begin + 1)
                temps[number] = min(rising, int(hot.fault.numbers["temperatureC"] * 100))
        return dc, temps
