"""From what happens to a vehicle or a meter to what it reports of it."""

from collections.abc import Iterable
from math import cos, pi
from random import Random
from typing import Any

from fleetmeter.simulate.chance import (
    JITTER_US,
    STANDBY_NOISE_MWH,
    TABLE,
    VOLTAGE_NOISE_MV,
    seeded,
)
from fleetmeter.simulate.injection import Injection, strongest
from fleetmeter.simulate.link import MINUTE_US, Arrival, Link
from fleetmeter.simulate.meter_faults import (
    dips,
    exaggerated,
    lost,
    lumped,
    restarted,
    unit,
    voltages,
)
from fleetmeter.simulate.profiles import MeterProfile, VehicleProfile
from fleetmeter.simulate.readings import Kind
from fleetmeter.simulate.registers import Counted, Exchange, Register, SessionCounter
from fleetmeter.simulate.vehicle import HOUR, Minutes

_AWAKE_MIN = 20
"""How long a modem that sleeps is awake after its vehicle was used."""
_EXCHANGED_AFTER_US = 1_000_000
_SWING_MV = 2000
_DROP_MV_PER_MWH = 60 / 1_000_000 * 60
"""60 mV for each kW that is drawn."""


def supply_mv(minute: int) -> int:
    """How far the voltage of the supply is off then: high in the morning, low in the evening."""
    return round(_SWING_MV * cos((minute / 60 - 6) / 12 * pi))


class Reporter:
    """What a vehicle and a meter have in common: when they take readings, and of which time."""

    def __init__(
        self, rng: Random, interval_min: int, first_us: int, *, on_the_hour: bool = False
    ) -> None:
        self._rng = rng
        self._interval = interval_min
        self._first_us = first_us
        """When minute 0 ends for it."""
        self._on_the_hour = on_the_hour

    def stamps(self, begin: int) -> list[int]:
        """When it takes the readings of the hour from a minute on."""
        at = int(self._rng.random() * TABLE)
        step = self._interval
        first = self._first_us + (begin + step - 1) * MINUTE_US
        times = range(first, first + HOUR * MINUTE_US, step * MINUTE_US)
        if self._on_the_hour:
            return list(times)
        return [
            time + jitter
            for time, jitter in zip(times, JITTER_US[at : at + HOUR // step], strict=True)
        ]

    def summed(self, minutes: list[int]) -> list[int]:
        """Of the minutes since the reading before."""
        step = self._interval
        if step == 1:
            return minutes
        return [sum(minutes[at : at + step]) for at in range(0, HOUR, step)]

    def at(self, minutes: list[Any]) -> list[Any]:
        """As it is when a reading is taken."""
        return minutes if self._interval == 1 else minutes[self._interval - 1 :: self._interval]


def clock_times(stamps: list[int], begin: int, faults: list[Injection]) -> list[int]:
    """What the device's clock shows at those times."""
    wrong = [each for each in faults if "behindS" in each.fault.numbers]
    if not wrong:
        return stamps
    step = HOUR // len(stamps)
    times = []
    for number, stamp in enumerate(stamps):
        minute = begin + number * step
        behind = sum(
            each.fault.numbers["behindS"] for each in wrong if each.begin <= minute < each.end
        )
        times.append(stamp - int(behind) * 1_000_000)
    return times


class OnlyWhile:
    """Which readings a device sends that reports only while something goes on, and a bit longer."""

    def __init__(self, after: int = 3) -> None:
        self._after = after
        self._left = 0

    def kept(self, going_on: Iterable[object]) -> list[bool]:
        """Of the readings of an hour; `going_on`: whether it does, of each."""
        kept = []
        for each in going_on:
            self._left = self._after if each else max(self._left - 1, 0)
            kept.append(self._left > 0)
        return kept


class ReportedVehicle:
    """Its readings."""

    def __init__(
        self, profile: VehicleProfile, meter: MeterProfile, seed: int, link: Link, day_us: int
    ) -> None:
        rng = seeded(seed, "reports", "vehicle", profile.number)
        first_us = day_us + MINUTE_US + meter.phase_us + rng.randrange(0, 6000) * 1000
        self.link = link
        self._reporter = Reporter(rng, profile.interval_min, first_us)
        self._total_mwh = rng.randrange(1_000, 50_000) * 1_000_000 if profile.sends_register else 0
        self._register = Register(seed, "vehicle", profile.number, profile.register)
        self._sessions = SessionCounter(profile.vehicle_id, self._total_mwh // 5000)
        self._kind: Kind = "vehicle_registers" if profile.sends_register else "vehicles"
        self._profile = profile
        self._meter_id = meter.meter_id if profile.declares_meter else None
        self._charging = OnlyWhile()
        self._awake = OnlyWhile(_AWAKE_MIN // profile.interval_min)
        self._soc = 0.0
        self._stuck_bp: int | None = None
        self._counted_mwh = 0
        self.counted: list[Counted] = []
        """At the readings of the hour that show it."""

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
        names: list[str | None] = [None] * len(energies)
        if profile.sends_register:
            energies, names = self._registers(energies, times)
        socs = self._socs(begin, reporter.at(minutes.soc), faults)
        vehicle_id, meter_id = profile.vehicle_id, self._meter_id
        rows: list[Any] = [
            (vehicle_id, time, energy, soc, temp, meter_id, name)
            for time, energy, soc, temp, name in zip(
                times, energies, socs, reporter.at(temps), names, strict=True
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
        """Readings of which time its modem sleeps: it neither drives nor takes energy."""
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
        """What it shows as its state of charge, bp."""
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

    def _registers(
        self, energies: list[int], times: list[int]
    ) -> tuple[list[int], list[str | None]]:
        """What its register shows, and the sessions that it names."""
        register, sessions = self._register, self._sessions
        profile = self._profile.register
        totals: list[int] = []
        names: list[str | None] = []
        self.counted = []
        for energy, time in zip(energies, times, strict=True):
            self._total_mwh += energy
            self._counted_mwh += energy
            if profile.of_sessions:
                totals.append(sessions.shown(energy))
                self._note(time, 0)
            else:
                totals.append(register.shown(self._total_mwh))
                if register.is_true:
                    self._note(time, register.resolution_mwh)
            names.append(sessions.session_id if profile.names_sessions else None)
        return totals, names

    def _note(self, time: int, resolution_mwh: int) -> None:
        counted = Counted(self._profile.vehicle_id, time, self._counted_mwh, resolution_mwh)
        self.counted.append(counted)

    def _with_faults(
        self, begin: int, dc: list[int], temps: list[int], faults: list[Injection]
    ) -> tuple[list[int], list[int]]:
        """What it reports that is not so."""
        dc, temps = list(dc), list(temps)
        for number in range(HOUR):
            if (wrong := strongest(faults, "energy", begin + number)) is not None:
                dc[number] = int(dc[number] * wrong.fault.numbers["energyFactor"])
            if (hot := strongest(faults, "battery_hot", begin + number)) is not None:
                rising = temps[number] + 200 * (begin + number - hot.begin + 1)
                temps[number] = min(rising, int(hot.fault.numbers["temperatureC"] * 100))
        return dc, temps


class ReportedMeter:
    """Its readings."""

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
        self._total_mwh = self._rng.randrange(1_000, 50_000) * 1_000_000
        self._shown_mwh = self._total_mwh
        self._register = Register(seed, "meter", profile.number, profile.register)
        self._sessions = SessionCounter(profile.meter_id, self._total_mwh // 5000)
        self._held_mwh = 0
        self._charging = OnlyWhile()
        self._counted_mwh = 0
        self.counted: list[Counted] = []
        """At the readings of the hour that show it."""
        self.exchanges: list[Exchange] = []
        """Of which nobody has heard yet."""
        self._kind: Kind = "meter_registers" if profile.sends_register else "meters"
        self._profile = profile

    def report(
        self,
        begin: int,
        ac_mwh: list[float] | None,
        supply: tuple[int, int],
        faults: list[Injection],
        out: list[Arrival],
    ) -> None:
        """`ac_mwh`: what its vehicles take, if any do; `supply`: how far the supply's voltage is
        off when the hour begins and when it ends, mV."""
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
        names: list[str | None] = [None] * len(energies)
        if profile.sends_register and profile.register.of_sessions:
            charged = [0] * HOUR if ac_mwh is None else list(map(int, ac_mwh))
            energies, names = self._of_sessions(reporter.summed(charged), times)
        elif profile.sends_register:
            energies = self._totals(energies, times, begin, step, faults)
        meter_id = profile.meter_id
        rows: list[Any] = [
            (meter_id, time, value, mv, name)
            for time, value, mv, name in zip(times, energies, shown, names, strict=True)
        ]
        taken_at = list(stamps)
        if faults and ac_mwh is not None:
            kept = lost(reporter.summed([int(mwh) for mwh in ac_mwh]), begin, step, faults)
            rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
            taken_at = [stamp for stamp, keep in zip(taken_at, kept, strict=True) if keep]
        if profile.only_while_charging:
            charging = (
                [0] * len(stamps) if ac_mwh is None else reporter.summed(list(map(int, ac_mwh)))
            )
            times_kept = {
                s for s, keep in zip(stamps, self._charging.kept(charging), strict=True) if keep
            }
            rows = [row for row, at in zip(rows, taken_at, strict=True) if at in times_kept]
            taken_at = [at for at in taken_at if at in times_kept]
        self.link.deliver(begin, self._kind, taken_at, rows, out)

    def _of_sessions(
        self, charged: list[int], times: list[int]
    ) -> tuple[list[int], list[str | None]]:
        """What a counter of sessions shows, and the sessions that it names."""
        totals: list[int] = []
        names: list[str | None] = []
        self.counted = []
        for energy, time in zip(charged, times, strict=True):
            totals.append(self._sessions.shown(energy))
            self._counted_mwh += energy
            self._note(time, 0)
            names.append(
                self._sessions.session_id if self._profile.register.names_sessions else None
            )
        return totals, names

    def _totals(
        self,
        energies: list[int],
        times: list[int],
        begin: int,
        step: int,
        faults: list[Injection],
    ) -> list[int]:
        """What its register shows."""
        register = self._register
        exchanged_at = self._profile.register.exchanged_at
        totals = []
        self.counted = []
        for number, (energy, time) in enumerate(zip(energies, times, strict=True)):
            minute = begin + number * step
            self._total_mwh += energy
            self._counted_mwh += energy
            total = restarted(self._total_mwh, self._shown_mwh, minute, step, faults)
            if total == 0:
                self._total_mwh = 0
            self._shown_mwh = total
            dipped = dips(minute, step, faults)
            totals.append(0 if dipped else register.shown(total) * unit(minute, faults))
            if register.is_true and not dipped:
                self._note(time, register.resolution_mwh)
            if exchanged_at is not None and minute <= exchanged_at < minute + step:
                self._exchange(time)
        return totals

    def _note(self, time: int, resolution_mwh: int) -> None:
        counted = Counted(self._profile.meter_id, time, self._counted_mwh, resolution_mwh)
        self.counted.append(counted)

    def _exchange(self, last_us: int) -> None:
        """Another meter takes its place, just after a reading."""
        exchange = self._register.exchanged(
            self._profile.meter_id,
            last_us + _EXCHANGED_AFTER_US,
            self._total_mwh,
            is_stated=self._profile.register.exchange_is_stated,
        )
        self.exchanges.append(exchange)
        # what the old one had not shown yet is no energy that is lost
        self._total_mwh += exchange.first_mwh - exchange.last_mwh
