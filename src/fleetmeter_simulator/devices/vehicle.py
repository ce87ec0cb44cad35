"""Simulates a vehicle minute by minute: what it does, what its battery gets, what that takes."""

from collections.abc import Iterator
from typing import NamedTuple

from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.charging import (
    COOLED_BELOW_C,
    COOLING,
    DRIVING_K,
    HELD_ABOVE_C,
    PREHEAT_BELOW_C,
    PREHEAT_KW,
    PREHEATED_C,
    ac_kw,
    charging_heat_k,
    efficiency,
    heating_k,
)
from fleetmeter_simulator.devices.plan import Phase
from fleetmeter_simulator.devices.profiles import VehicleProfile
from fleetmeter_simulator.faults.injection import Injection, strongest

HOUR = 60
_KEPT = [(1 - COOLING) ** minutes for minutes in range(HOUR + 1)]
"""Share of a difference in temperature that is left after this many minutes."""
_SESSION_NOISE = 0.005
_LEAST_SOC = 0.02
_WARMED_C = 18.0
"""Battery temperature at which preconditioning stops."""
_CHILL = 1 / 15
"""Share of the difference to a wrong coldness that is gone in a minute."""


class Minutes(NamedTuple):
    """Holds an hour of a vehicle, with a value for each minute."""

    dc_mwh: list[int]
    ac_mwh: list[float]
    soc: list[float]
    """State of charge from 0 to 1, at the end of the minute."""

    temp_cdeg: list[int]
    idle: bool
    """True if it takes nothing from the grid."""


class Ended(NamedTuple):
    """Describes a finished charging session."""

    begin: int
    end: int
    dc_kwh: float
    soc_gain: float


class Vehicle:
    """Follows its plan, hour by hour."""

    def __init__(
        self, profile: VehicleProfile, seed: int, plan: Iterator[Phase], begin: int, air_c: float
    ) -> None:
        self.profile = profile
        self._plan = plan
        self._rng = seeded(seed, "charging", profile.number)
        self._phase = next(plan)
        while self._phase.end <= begin:
            self._phase = next(plan)
        self._soc = self._phase.soc
        self._temp = air_c + self._rng.uniform(0, 2)
        self._session: tuple[int, float] | None = None
        """Start of the session, and the state of charge then."""
        self._session_kwh = 0.0
        self._spread = 0.0
        self._preheating = False
        self._full = False
        self.ended: list[Ended] = []

    def advance(self, begin: int, air_c: float, faults: list[Injection]) -> Minutes:
        """Simulate the hour from a minute on."""
        hour = Minutes([], [], [], [], idle=True)
        minute, end = begin, begin + HOUR
        idle = True
        while minute < end:
            phase = self._phase
            until = min(end, phase.end)
            if phase.what == "plugged" and not self._full and phase.charge_from < until:
                self._rest(hour, max(phase.charge_from - minute, 0), air_c)
                idle = False
                self._charge(hour, max(phase.charge_from, minute), until, air_c, faults)
            elif phase.what == "driving":
                self._drive(hour, until - minute, air_c)
            elif phase.what == "preconditioning":
                idle = False
                self._precondition(hour, until - minute, air_c)
            else:
                self._rest(hour, until - minute, air_c)
            minute = until
            if minute == phase.end:
                self._end_session(minute)
                self._full = False
                self._phase = next(self._plan)
        return hour._replace(idle=idle)

    def _rest(self, hour: Minutes, minutes: int, air_c: float) -> None:
        if minutes:
            difference = self._temp - air_c
            kept = _KEPT[1 : minutes + 1]
            hour.temp_cdeg.extend([int((air_c + difference * share) * 100) for share in kept])
            hour.dc_mwh.extend([0] * minutes)
            hour.ac_mwh.extend([0.0] * minutes)
            hour.soc.extend([self._soc] * minutes)
            self._temp = air_c + difference * kept[-1]

    def _drive(self, hour: Minutes, minutes: int, air_c: float) -> None:
        phase = self._phase
        used = phase.kwh / (phase.end - phase.begin) / self._usable_kwh
        for _ in range(minutes):
            self._soc = max(self._soc - used, _LEAST_SOC)
            hour.soc.append(self._soc)
            warmed = self._temp + DRIVING_K - (self._temp - air_c) * COOLING
            self._temp = min(warmed, COOLED_BELOW_C)
            hour.temp_cdeg.append(int(self._temp * 100))
        hour.dc_mwh.extend([0] * minutes)
        hour.ac_mwh.extend([0.0] * minutes)

    def _precondition(self, hour: Minutes, minutes: int, air_c: float) -> None:
        energy_mwh = self._phase.kw * 1_000_000 / 60
        warming = heating_k(self._phase.kw / 60 * 0.3, self.profile.capacity_kwh)
        for _ in range(minutes):
            if self._temp < _WARMED_C:
                self._temp += warming
            self._temp -= (self._temp - air_c) * COOLING
            hour.temp_cdeg.append(int(self._temp * 100))
        hour.dc_mwh.extend([0] * minutes)
        hour.ac_mwh.extend([energy_mwh] * minutes)
        hour.soc.extend([self._soc] * minutes)

    @property
    def _usable_kwh(self) -> float:
        return self.profile.capacity_kwh * self.profile.health

    def _charge(
        self, hour: Minutes, minute: int, until: int, air_c: float, faults: list[Injection]
    ) -> None:
        """Charge up to a minute, or to the target and then rest."""
        profile = self.profile
        capacity = profile.capacity_kwh
        if self._session is None:
            self._session = (minute, self._soc)
            self._session_kwh = 0.0
            self._spread = profile.efficiency_spread + self._rng.gauss(0, _SESSION_NOISE)
            self._preheating = self._temp < PREHEAT_BELOW_C
        usable = self._usable_kwh
        soc, temp, spread = self._soc, self._temp, self._spread
        while minute < until:
            cold = strongest(faults, "battery_cold_charging", minute) if faults else None
            if cold is not None:
                self._preheating = False
                temp += (cold.fault.numbers["temperatureC"] - temp) * _CHILL
            if self._preheating:
                kw = min(PREHEAT_KW, profile.rated_kw)
                temp += heating_k(kw / 60, capacity) - (temp - air_c) * COOLING
                hour.dc_mwh.append(0)
                hour.ac_mwh.append(kw * 1_000_000 / 60)
                self._preheating = temp < PREHEATED_C
            else:
                kw = ac_kw(profile.rated_kw, soc)
                share = efficiency(kw, temp) + spread
                room = usable
                if faults:
                    share = max(share - _points_lost(faults, minute), 0.2)
                    if (wrong := strongest(faults, "soc", minute)) is not None:
                        room *= wrong.fault.numbers["capacityFactor"]
                dc_mwh = int(kw * share * 1_000_000 / 60)
                dc_kwh = dc_mwh / 1_000_000
                self._session_kwh += dc_kwh
                soc += dc_kwh / room
                temp += charging_heat_k(dc_kwh, capacity) - (temp - air_c) * COOLING
                if cold is None:
                    temp = min(max(temp, HELD_ABOVE_C), COOLED_BELOW_C)
                hour.dc_mwh.append(dc_mwh)
                hour.ac_mwh.append(dc_mwh / share)
            hour.soc.append(soc)
            hour.temp_cdeg.append(int(temp * 100))
            minute += 1
            if soc >= profile.target:
                break
        self._soc, self._temp = soc, temp
        if soc >= profile.target:
            self._end_session(minute)
            self._full = True
            self._rest(hour, until - minute, air_c)

    def _end_session(self, minute: int) -> None:
        if self._session is not None:
            begin, soc = self._session
            if self._session_kwh:
                gain = (self._soc - soc) * 100
                self.ended.append(Ended(begin, minute, self._session_kwh, gain))
            self._session = None


def _points_lost(faults: list[Injection], minute: int) -> float:
    """Return how many points of the efficiency are lost."""
    return sum(
        injection.fault.numbers["points"]
        for injection in faults
        if injection.fault.kind in ("efficiency_low", "efficiency_drop")
        and injection.begin <= minute < injection.end
    )
