"""Knows when bays charge and have faults, and so whether a fault would show there at a time."""

from datetime import date
from typing import NamedTuple

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter_simulator.devices.plan import DAY, PlannedSession, sessions
from fleetmeter_simulator.devices.profiles import BayProfile, VehicleProfile, is_usual
from fleetmeter_simulator.faults.magnitudes import CLEAN_DAYS, Needs

_APART = DAY
_SAME_APART = 6 * DAY
_SITE_DEVICES = 5
"""Minimum number of devices that always report for the silence of their site to mean something."""


class Place(NamedTuple):
    """A vehicle, and the place of its bay among all bays."""

    bay: int
    vehicle: VehicleProfile


class Timetable:
    """Knows the charging sessions of vehicles and the faults of bays; times are in minutes."""

    def __init__(
        self, seed: int, bays: list[BayProfile], first_day: date, begin: int, end: int
    ) -> None:
        """Create a timetable without faults; `begin` and `end` are minutes since that day began.

        Whoever places faults may change `bays`.
        """
        self._seed = seed
        self._bays = bays
        self._first_day = first_day
        self._begin, self._end = begin, end
        self._faults: dict[int, list[tuple[int, int, AnomalyKind]]] = {}
        self._sessions: dict[str, list[PlannedSession]] = {}
        self.places = [
            Place(number, vehicle) for number, bay in enumerate(bays) for vehicle in bay.vehicles
        ]

    def add_fault(self, bay: int, begin: int, end: int, kind: AnomalyKind) -> None:
        """Note that a bay has a fault, or has to be without another one, in that time."""
        self._faults.setdefault(bay, []).append((begin, end, kind))

    def count_faults(self, bay: int) -> int:
        """Return how many faults a bay has."""
        return len(self._faults.get(bay, ()))

    def shows(
        self, place: Place, needs: Needs, kind: AnomalyKind, begin: int, end: int, bays: list[int]
    ) -> bool:
        """Return whether a fault at a place would show, and hide no other in these bays."""
        clean = begin - CLEAN_DAYS * DAY if needs.before else begin
        if not all(self._is_free(bay, clean, end, kind) for bay in bays):
            return False
        if kind == "site_silent" and sum(map(self._reporting, bays)) < _SITE_DEVICES:
            return False
        if not needs.sessions:
            return True
        least = max(needs.kwh, needs.gain * place.vehicle.capacity_kwh)
        during = self._sessions_of(place.vehicle, begin, end)
        before = self._sessions_of(place.vehicle, max(clean, self._begin), begin)
        enough, before = (
            [
                session
                for session in some
                if session.kwh >= least
                and session.steady_kwh >= needs.steady_kwh
                and session.end - session.begin >= needs.lasting_min
            ]
            for some in (during, before)
        )
        return len(enough) >= needs.sessions and len(before) >= needs.before

    def partner(self, place: Place, begin: int, end: int, *, strict: bool) -> Place | None:
        """Find a meter to charge at by mistake: one whose vehicle charges at other times."""
        site = self._bays[place.bay].meter.site
        best, least = None, None
        for other in self.places:
            bay = self._bays[other.bay]
            if other.bay == place.bay or (strict and not self._is_free(other.bay, begin, end)):
                continue
            if strict and (bay.meter.site != site or len(bay.vehicles) > 1):
                continue
            if strict and not is_usual(bay.meter):
                continue
            overlap = sum(
                max(0, min(mine.end, its.end) - max(mine.begin, its.begin))
                for mine in self._sessions_of(place.vehicle, begin, end)
                for its in self._sessions_of(other.vehicle, begin, end)
            )
            key = (bay.meter.site != site, overlap)
            if least is None or key < least:
                best, least = other, key
        return best

    def _is_free(self, bay: int, begin: int, end: int, kind: AnomalyKind | None = None) -> bool:
        return not any(
            first - apart < end and begin < last + apart
            for first, last, other in self._faults.get(bay, ())
            for apart in (_SAME_APART if other == kind else _APART,)
        )

    def _sessions_of(self, vehicle: VehicleProfile, begin: int, end: int) -> list[PlannedSession]:
        """Return the sessions of a vehicle that lie wholly in that time."""
        planned = self._sessions.get(vehicle.vehicle_id)
        if planned is None:
            planned = sessions(self._seed, vehicle, self._first_day, self._end)
            self._sessions[vehicle.vehicle_id] = planned
        return [session for session in planned if begin <= session.begin and session.end <= end]

    def _reporting(self, number: int) -> int:
        """Count the devices of a bay that always report."""
        bay = self._bays[number]
        seldom = [v.only_while_charging or v.sleeps != "never" for v in bay.vehicles]
        return seldom.count(False) + (not bay.meter.only_while_charging)
