"""Simulates a fleet: its devices, and what they send hour by hour, in order of arrival."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import msgspec
from msgspec import structs

from fleetmeter.anomalies.model import Subject
from fleetmeter.readings.model import EPOCH, MICROSECOND
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.devices.bay import Bay
from fleetmeter_simulator.devices.climate import Climate, Season, season_of
from fleetmeter_simulator.devices.profiles import BayProfile, bays
from fleetmeter_simulator.devices.registers import Counted, Exchange
from fleetmeter_simulator.devices.vehicle import HOUR, Ended
from fleetmeter_simulator.faults.injection import Injection
from fleetmeter_simulator.faults.kinds import Acceptable, Charged, Fault, Wanted
from fleetmeter_simulator.faults.placing import Placing
from fleetmeter_simulator.fleet_devices import devices_of

_HOUR = timedelta(hours=1)
_LEARNED = 4
"""After this many charges, and the silences between them, a rule can know that a vehicle reports
only while it charges.
"""
_SILENT_INTERVALS = 30
_ALWAYS = timedelta(days=3660)
_arrives = itemgetter(0)


class Fleet:
    """Gives the same readings for the same arguments; a device is the same in a larger fleet."""

    def __init__(
        self,
        seed: int,
        vehicles: int,
        start: datetime,
        days: float,
        *,
        season: Season | None = None,
        faults: Sequence[Wanted] = (),
        prefix: str = "",
    ) -> None:
        """Create the fleet and place its faults.

        `start` is a full hour, `days` the time in which faults are placed, `season` by default that
        of the start. Raises ValueError for a start or a fault that is not possible.
        """
        start = start.astimezone(UTC)
        if start != start.replace(minute=0, second=0, microsecond=0):
            raise ValueError(f"a fleet begins at a full hour, not at {start}")
        self.start = start
        self._next = start
        self._midnight = start.replace(hour=0)
        self._day_us = (self._midnight - EPOCH) // MICROSECOND
        begin = start.hour * 60
        season = season or season_of(start)
        self._climate = Climate(seed, season)
        profiles = list(bays(seed, vehicles, prefix, season == "winter"))
        placing = Placing(seed, profiles, self._midnight, begin, begin + round(days * 24 * 60))
        placing.place(faults)
        self._injections = placing.injections
        self.faults: list[Fault] = [injection.fault for injection in placing.injections]
        self._habits = {
            vehicle.vehicle_id: _Habit(_SILENT_INTERVALS * vehicle.interval_min)
            for bay in profiles
            for vehicle in bay.vehicles
            if vehicle.only_while_charging and not vehicle.says_so
        }
        self.acceptable: list[Acceptable] = placing.acceptable + _unsaid(profiles, start)
        self.unplaced: list[Wanted] = placing.unplaced
        """Faults for which there was no place where they would show."""

        self.devices = devices_of(profiles, start)
        air = self._climate.at(begin)
        first_day = self._midnight.date()
        self._bays = [
            Bay(profile, seed, first_day, begin, self._day_us, air, self._faults_of(profile))
            for profile in profiles
        ]
        self._bay_of = {bay.profile.meter.meter_id: bay for bay in self._bays}
        self._bay_of |= {
            vehicle.vehicle_id: bay for bay in self._bays for vehicle in bay.profile.vehicles
        }
        self._late: list[Arrival] = []
        self.exchanges: list[Exchange] = []
        """Exchanges of meters so far."""

    def arrivals(self, hour: datetime) -> list[Arrival]:
        """Return the arrivals of an hour in order: (microseconds since EPOCH, kind, row).

        Hours must be asked for one after the other, from the start on. Raises ValueError otherwise.
        """
        if hour != self._next:
            raise ValueError(f"the next hour is {self._next}, not {hour}")
        self._next += _HOUR
        begin = (hour - self._midnight) // timedelta(minutes=1)
        air = self._climate.at(begin + HOUR // 2)
        for bay in self._bays:
            bay.live(begin, air)
        self._reroute(begin)
        arrivals = self._late
        for bay in self._bays:
            bay.report(begin, arrivals)
            bay.ended(self._charged)
            bay.exchanged(self.exchanges.append)
            bay.unstable(self._unstable)
            bay.long_offline(self._offline)
        arrivals.sort(key=_arrives)
        until = (self._next - EPOCH) // MICROSECOND
        cut = bisect_left(arrivals, until, key=_arrives)
        self._late = arrivals[cut:]
        del arrivals[cut:]
        return arrivals

    def counted(self) -> Iterator[Counted]:
        """Return what registers had really counted at their readings of the last hour.

        Readings need not arrive; those that show something else, as in a dip, are left out.
        """
        for bay in self._bays:
            yield from bay.counted()

    def active(self, at: datetime) -> Iterator[Fault]:
        """Return the faults that are active at a time."""
        return (fault for fault in self.faults if fault.start <= at < fault.end)

    def _faults_of(self, profile: BayProfile) -> list[Injection]:
        ids = {profile.meter.meter_id, *(vehicle.vehicle_id for vehicle in profile.vehicles)}
        return [injection for injection in self._injections if injection.devices & ids]

    def _reroute(self, begin: int) -> None:
        """Let vehicles charge at other meters than their assigned ones."""
        for injection in self._injections:
            if injection.reroutes and injection.lasts(begin, begin + HOUR):
                moved = [
                    (
                        meter_id,
                        self._bay_of[vehicle_id].leaves(
                            vehicle_id, injection.begin - begin, injection.end - begin
                        ),
                    )
                    for vehicle_id, meter_id in injection.reroutes
                ]
                for meter_id, drawn in moved:
                    if drawn is not None:
                        self._bay_of[meter_id].drawn.append(drawn)

    def _charged(self, vehicle_id: str, session: Ended) -> None:
        self._learn(vehicle_id, session)
        for injection in self._injections:
            if vehicle_id in injection.fault.vehicle_ids and injection.lasts(
                session.begin, session.end
            ):
                injection.fault.charged.append(
                    Charged(
                        vehicle_id,
                        self._time(session.begin),
                        self._time(session.end),
                        round(session.dc_kwh, 6),
                        round(session.soc_gain, 2),
                    )
                )

    def _learn(self, vehicle_id: str, session: Ended) -> None:
        """End what may be taken for silence, once a rule can know better."""
        habit = self._habits.get(vehicle_id)
        if habit is None:
            return
        if habit.ended is None or session.begin - habit.ended > habit.silent_min:
            habit.charges += 1
        habit.ended = session.end
        if habit.charges >= _LEARNED:
            del self._habits[vehicle_id]
            self.acceptable = [
                structs.replace(each, end=self._time(session.end))
                if each.why == _UNSAID and each.subject.device_id == vehicle_id
                else each
                for each in self.acceptable
            ]

    def _unstable(self, subject: Subject, first_us: int, last_us: int) -> None:
        begin, end = (EPOCH + timedelta(microseconds=at) for at in (first_us, last_us))
        why = "it dropped out twice within a day"
        self.acceptable.append(Acceptable("register_unstable", subject, begin, end, why))

    def _offline(self, device_id: str, begin: int, end: int) -> None:
        vehicle = device_id != self._bay_of[device_id].profile.meter.meter_id
        self.acceptable.append(
            Acceptable(
                "vehicle_silent" if vehicle else "meter_silent",
                Subject("vehicle" if vehicle else "meter", device_id),
                self._time(begin),
                self._time(end),
                "offline; what it kept comes later",
            )
        )

    def _time(self, minute: int) -> datetime:
        return self._midnight + timedelta(minutes=minute)


class _Habit(msgspec.Struct):
    """Holds what can be seen of a vehicle that reports only while it charges."""

    silent_min: int
    charges: int = 0
    ended: int | None = None
    """Minute in which the last of them ended."""


_UNSAID = "it reports seldom, and nobody has said so"
_SLEEPS = "its modem sleeps; what it kept comes later"


def _unsaid(profiles: Sequence[BayProfile], start: datetime) -> list[Acceptable]:
    """Yield silences of vehicles that report seldom without a setting that says so.

    They last until a rule can know better, or forever.
    """
    return [
        Acceptable(
            "vehicle_silent",
            Subject("vehicle", vehicle.vehicle_id),
            start,
            start + _ALWAYS,
            _SLEEPS if vehicle.sleeps == "late" else _UNSAID,
        )
        for bay in profiles
        for vehicle in bay.vehicles
        if vehicle.sleeps == "late"
        or ((vehicle.only_while_charging or vehicle.sleeps == "silent") and not vehicle.says_so)
    ]
