"""Turns what is drawn at a meter into what it reports."""

from math import cos, pi
from typing import Any

from fleetmeter_simulator.chance import STANDBY_NOISE_MWH, TABLE, VOLTAGE_NOISE_MV, seeded
from fleetmeter_simulator.client.link import MINUTE_US, Arrival, Link
from fleetmeter_simulator.devices.counting import Counting, Shown
from fleetmeter_simulator.devices.profiles import MeterProfile
from fleetmeter_simulator.devices.readings import RowKind
from fleetmeter_simulator.devices.reporting import OnlyWhile, Reporter, clock_times
from fleetmeter_simulator.devices.vehicle import HOUR
from fleetmeter_simulator.faults.injection import Injection
from fleetmeter_simulator.faults.meter_faults import (
    dips,
    exaggerated,
    lost,
    lumped,
    restarted,
    unit,
    voltages,
)

_SWING_MV = 2000
_DROP_MV_PER_MWH = 60 / 1_000_000 * 60
"""60 mV for each kW that is drawn."""


def supply_mv(minute: int) -> int:
    """Return the deviation of the supply's voltage: high in the morning, low in the evening."""
    return round(_SWING_MV * cos((minute / 60 - 6) / 12 * pi))


class ReportedMeter:
    """Takes the readings of a meter."""

    def __init__(self, profile: MeterProfile, seed: int, link: Link, day_us: int) -> None:
        self._rng = seeded(seed, "reports", "meter", profile.number)
        first_us = day_us + MINUTE_US + profile.phase_us + self._rng.randrange(0, 6000) * 1000
        self.link = link
        self._reporter = Reporter(
            self._rng,
            profile.interval_min,
            day_us + MINUTE_US if profile.on_the_hour else first_us,
            on_the_hour=profile.on_the_hour,
        )
        total_mwh = self._rng.randrange(1_000, 50_000) * 1_000_000
        self.register = Counting(
            seed, "meter", profile.number, profile.meter_id, profile.register, total_mwh
        )
        self._shown_mwh = total_mwh
        self._held_mwh = 0
        self._charging = OnlyWhile()
        self._kind: RowKind = "meter_registers" if profile.sends_register else "meters"
        self._profile = profile

    def report(
        self,
        begin: int,
        ac_mwh: list[float] | None,
        supply: tuple[int, int],
        faults: list[Injection],
        out: list[Arrival],
    ) -> None:
        """Return the readings of an hour.

        `ac_mwh` is what vehicles take, if any do; `supply` is the deviation of the supply's voltage
        at the start and the end of the hour, mV.
        """
        profile, reporter, draw = self._profile, self._reporter, self._rng.random
        at = int(draw() * TABLE)
        noise = STANDBY_NOISE_MWH[at : at + HOUR]
        standby = profile.standby_mwh
        first = profile.voltage_mv + supply[0]
        rising = supply[1] - supply[0]
        at = int(draw() * TABLE)
        millivolts = [
            first + rising * number // HOUR + noise_mv
            for number, noise_mv in enumerate(VOLTAGE_NOISE_MV[at : at + HOUR])
        ]
        if ac_mwh is None:
            energy = [standby + off for off in noise]
        else:
            energy = [int(taken) + standby + off for taken, off in zip(ac_mwh, noise, strict=True)]
            millivolts = [
                mv - int(taken * _DROP_MV_PER_MWH)
                for mv, taken in zip(millivolts, ac_mwh, strict=True)
            ]
        for fault in faults:
            if "watts" in fault.fault.numbers:
                extra = int(fault.fault.numbers["watts"] * 1000 / 60)
                for number in range(max(fault.begin - begin, 0), min(fault.end - begin, HOUR)):
                    energy[number] += extra
        stamps = reporter.stamps(begin)
        times = clock_times(stamps, begin, faults) if faults else stamps
        energies, shown = reporter.summed(energy), reporter.at(millivolts)
        step = profile.interval_min
        if faults:
            shown = voltages(shown, begin, step, faults)
            energies = exaggerated(energies, begin, step, faults)
            energies, self._held_mwh = lumped(energies, begin, step, faults, self._held_mwh)
        charged = reporter.summed([0] * HOUR if ac_mwh is None else list(map(int, ac_mwh)))
        read: list[Shown] = [(energy, None) for energy in energies]
        if profile.sends_register:
            self.register.counted.clear()
            if profile.register.of_sessions:
                read = list(self.register.of_sessions(charged, times))
            else:
                read = self._totals(energies, times, begin, step, faults)
        meter_id = profile.meter_id
        rows: list[Any] = [
            (meter_id, time, value, mv, name)
            for time, (value, name), mv in zip(times, read, shown, strict=True)
        ]
        taken_at = list(stamps)
        if faults and ac_mwh is not None:
            kept = lost(charged, begin, step, faults)
            rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
            taken_at = [stamp for stamp, keep in zip(taken_at, kept, strict=True) if keep]
        if profile.only_while_charging:
            times_kept = {
                s for s, keep in zip(stamps, self._charging.kept(charged), strict=True) if keep
            }
            rows = [row for row, at in zip(rows, taken_at, strict=True) if at in times_kept]
            taken_at = [at for at in taken_at if at in times_kept]
        self.link.deliver(begin, self._kind, taken_at, rows, out)

    def _totals(
        self,
        energies: list[int],
        times: list[int],
        begin: int,
        step: int,
        faults: list[Injection],
    ) -> list[Shown]:
        """Return what the register shows."""
        register, exchanged_at = self.register, self._profile.register.exchanged_at
        read: list[Shown] = []
        for number, (energy, time) in enumerate(zip(energies, times, strict=True)):
            minute = begin + number * step
            total = restarted(register.add(energy), self._shown_mwh, minute, step, faults)
            if total == 0:
                register.total_mwh = 0
            self._shown_mwh = total
            if dips(minute, step, faults):
                read.append((0, None))
            else:
                read.append((register.show(time, total) * unit(minute, faults), None))
            if exchanged_at is not None and minute <= exchanged_at < minute + step:
                register.exchange(time)
        return read
