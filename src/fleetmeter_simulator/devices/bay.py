"""Simulates a meter and the vehicles that charge there."""

from collections.abc import Callable, Iterator
from datetime import date
from operator import add

from fleetmeter.anomalies.model import Subject
from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.client.link import Arrival, Link
from fleetmeter_simulator.devices.meter_reports import ReportedMeter, supply_mv
from fleetmeter_simulator.devices.plan import phases
from fleetmeter_simulator.devices.profiles import BayProfile
from fleetmeter_simulator.devices.registers import Counted, Exchange
from fleetmeter_simulator.devices.vehicle import HOUR, Ended, Minutes, Vehicle
from fleetmeter_simulator.devices.vehicle_reports import ReportedVehicle
from fleetmeter_simulator.faults.injection import Injection


class Bay:
    """Advances hour by hour: first its vehicles, then what its devices report."""

    def __init__(
        self,
        profile: BayProfile,
        seed: int,
        first_day: date,
        begin: int,
        day_us: int,
        air_c: float,
        faults: list[Injection],
    ) -> None:
        """Create the bay; `begin` is its first minute since the first midnight, `day_us` that day's
        time.
        """
        self.profile = profile
        self._faults = faults
        self._now: list[Injection] = []
        self._minutes: list[Minutes] = []
        self._vehicles = [
            Vehicle(vehicle, seed, phases(seed, vehicle, first_day), begin, air_c)
            for vehicle in profile.vehicles
        ]

        def link(kind: str, device_id: str, number: int, loses: float) -> Link:
            rng = seeded(seed, "link", kind, number)
            return Link(device_id, rng, loses, day_us, faults)

        self._reported = [
            ReportedVehicle(
                vehicle,
                profile.meter,
                seed,
                link("vehicle", vehicle.vehicle_id, vehicle.number, vehicle.loses),
                day_us,
            )
            for vehicle in profile.vehicles
        ]
        meter = profile.meter
        # of one that sends a single reading in an hour, hardly any is lost
        loses = meter.loses / meter.interval_min if meter.on_the_hour else meter.loses
        self._meter = ReportedMeter(
            meter, seed, link("meter", meter.meter_id, meter.number, loses), day_us
        )
        self.drawn: list[list[float]] = []
        """Energy drawn at the meter in each minute of the hour, by any vehicle."""

    def live(self, begin: int, air_c: float) -> None:
        """Simulate the hour from a minute on."""
        self._now = []
        if self._faults:
            self._now = [each for each in self._faults if each.lasts(begin, begin + HOUR)]
        self._minutes = [
            vehicle.advance(begin, air_c, self._of(vehicle.profile.vehicle_id))
            for vehicle in self._vehicles
        ]
        self.drawn = [minutes.ac_mwh for minutes in self._minutes if not minutes.idle]

    def leaves(self, vehicle_id: str, begin: int, end: int) -> list[float] | None:
        """Take out what a vehicle draws at another meter between two minutes of the hour."""
        for profile, minutes in zip(self.profile.vehicles, self._minutes, strict=True):
            if profile.vehicle_id == vehicle_id and not minutes.idle:
                own, whole = self.drawn, minutes.ac_mwh
                elsewhere = [taken if begin <= n < end else 0.0 for n, taken in enumerate(whole)]
                here = [taken - gone for taken, gone in zip(whole, elsewhere, strict=True)]
                self.drawn = [here if drawn is whole else drawn for drawn in own]
                return elsewhere
        return None

    def report(self, begin: int, out: list[Arrival]) -> None:
        """Return what the devices report of the hour, as it arrives, in any order."""
        for profile, minutes, reported in zip(
            self.profile.vehicles, self._minutes, self._reported, strict=True
        ):
            reported.report(begin, minutes, self._of(profile.vehicle_id), out)
        drawn = None
        for taken in self.drawn:
            drawn = taken if drawn is None else list(map(add, drawn, taken))
        supply = (supply_mv(begin), supply_mv(begin + HOUR))
        meter_id = self.profile.meter.meter_id
        self._meter.report(begin, drawn, supply, self._of(meter_id), out)

    def counted(self) -> Iterator[Counted]:
        """Return what the registers had really counted at their readings of the hour."""
        for reported in self._reported:
            yield from reported.register.counted
        yield from self._meter.register.counted

    def exchanged(self, report: Callable[[Exchange], None]) -> None:
        """Report each exchange of the meter, once."""
        for exchange in self._meter.register.exchanges:
            report(exchange)
        self._meter.register.exchanges.clear()

    def unstable(self, report: Callable[[Subject, int, int], None]) -> None:
        """Report each register that dropped out twice within a day, with the times, once."""
        devices = [
            *(Subject("vehicle", vehicle.vehicle_id) for vehicle in self.profile.vehicles),
            Subject("meter", self.profile.meter.meter_id),
        ]
        registers = [*(reported.register for reported in self._reported), self._meter.register]
        for subject, register in zip(devices, registers, strict=True):
            for first_us, last_us in register.unstable:
                report(subject, first_us, last_us)
            register.unstable.clear()

    def ended(self, report: Callable[[str, Ended], None]) -> None:
        """Report each finished charging session and its vehicle, once."""
        for vehicle in self._vehicles:
            for session in vehicle.ended:
                report(vehicle.profile.vehicle_id, session)
            vehicle.ended.clear()

    def long_offline(self, report: Callable[[str, int, int], None]) -> None:
        """Report each long offline time that lies ahead, once."""
        for link in (*(reported.link for reported in self._reported), self._meter.link):
            for begin, end in link.long_offline:
                report(link.device_id, begin, end)
            link.long_offline.clear()

    def _of(self, device_id: str) -> list[Injection]:
        if not self._now:
            return self._now
        return [each for each in self._now if device_id in each.devices]
