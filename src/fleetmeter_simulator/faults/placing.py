"""Where and when the faults of a fleet are, so that each of them shows and none hides another."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from fleetmeter.anomalies.model import Kind
from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.plan import DAY, Session, sessions
from fleetmeter_simulator.devices.profiles import BayProfile, VehicleProfile, is_usual
from fleetmeter_simulator.devices.register_profiles import PLAIN
from fleetmeter_simulator.faults.injection import Injection
from fleetmeter_simulator.faults.kinds import CAUSES, VARIANTS, Acceptable, Fault, Wanted
from fleetmeter_simulator.faults.magnitudes import CLEAN_DAYS, NEEDS, Needs, numbers_of
from fleetmeter_simulator.faults.side_effects import side_effects_of
from fleetmeter_simulator.faults.targets import target_of

_FIRST: tuple[str, ...] = (
    *("efficiency_drop", "site_silent", "dc_exceeds_ac", "soc_mismatch"),
    *("power_implausible", "soc_stuck", "soc_scale"),
)
"""What is hardest to find a place for comes first."""
_APART = DAY
_SAME_APART = 6 * DAY
_EARLIEST, _LATEST = 12 * 60, 6 * 60
"""Minutes after the start and before the end in which nothing begins or ends by itself."""
_TRIES = 12
_SITE_DEVICES = 5
"""So many devices that report always make a site of which silence says something."""


class UnknownDeviceError(ValueError):
    """A fault is wanted of what the fleet does not have."""


class _Place(NamedTuple):
    bay: int
    vehicle: VehicleProfile


class Placing:
    """Finds places for one fault after the other."""

    def __init__(
        self, seed: int, bays: list[BayProfile], midnight: datetime, begin: int, end: int
    ) -> None:
        """`begin`, `end`: minutes since that midnight. `bays` is changed where a fault needs it."""
        self._seed = seed
        self._bays = bays
        self._midnight = midnight
        self._begin, self._end = begin, end
        self._busy: dict[int, list[tuple[int, int, Kind]]] = {}
        self._sessions: dict[str, list[Session]] = {}
        self._interval_energy: set[int] = set()
        """Bays with faults that a register would hide."""
        self._places = [
            _Place(number, vehicle) for number, bay in enumerate(bays) for vehicle in bay.vehicles
        ]
        self.injections: list[Injection] = []
        self.acceptable: list[Acceptable] = []
        self.unplaced: list[Wanted] = []

    def place(self, wanted: Sequence[Wanted]) -> None:
        """All of them; those without room are `unplaced`. Raises UnknownDeviceError."""
        numbered = sorted(
            enumerate(wanted),
            key=lambda item: (
                item[1].device is None,
                _FIRST.index(item[1].kind) if item[1].kind in _FIRST else len(_FIRST),
                item[0],
            ),
        )
        for number, fault in numbered:
            rng = seeded(self._seed, "fault", number, fault.kind, fault.variant)
            if not self._place(fault, rng):
                self.unplaced.append(fault)
        self.injections.sort(key=lambda injection: (injection.begin, injection.fault.subject))

    def _place(self, wanted: Wanted, rng: Random) -> bool:
        if wanted.variant is None and wanted.kind in VARIANTS:
            wanted = replace(wanted, variant=rng.choice(VARIANTS[wanted.kind]))
        needs = NEEDS.get(wanted.variant or "") or NEEDS[wanted.kind]
        places = self._named(wanted) if wanted.device else self._free(needs, rng)
        for place in places:
            for attempt in range(_TRIES):
                begin, end = self._window(wanted, needs, rng)
                strict = wanted.start is None and not (
                    wanted.device is not None and attempt == _TRIES - 1
                )
                partner = None
                if wanted.variant == "wrong-meter":
                    partner = self._partner(place, begin, end, strict=strict)
                    if partner is None:
                        continue
                concerned = self._concerned(wanted.kind, place, partner)
                if strict and not self._shows(place, needs, wanted.kind, begin, end, concerned):
                    continue
                self._inject(wanted, rng, place, partner, begin, end, concerned, needs)
                return True
        return False

    def _named(self, wanted: Wanted) -> list[_Place]:
        """The vehicle; or of a meter or site, its first one."""
        device = wanted.device
        for place in self._places:
            meter = self._bays[place.bay].meter
            if device in (place.vehicle.vehicle_id, meter.meter_id, meter.site):
                return [place]
        first, last = self._bays[0], self._bays[-1]
        raise UnknownDeviceError(
            f"there is no {device} in this fleet; it has vehicles "
            f"{first.vehicles[0].vehicle_id} to {last.vehicles[-1].vehicle_id}, meters "
            f"{first.meter.meter_id} to {last.meter.meter_id}, sites {first.meter.site} to "
            f"{last.meter.site}"
        )

    def _free(self, needs: Needs, rng: Random) -> Iterator[_Place]:
        """Those that it can be of, with the fewest faults first."""
        shuffled = list(self._places)
        rng.shuffle(shuffled)
        shuffled.sort(key=lambda place: len(self._busy.get(place.bay, ())))
        for place in shuffled:
            bay = self._bays[place.bay]
            seldom = place.vehicle.only_while_charging or place.vehicle.sleeps != "never"
            registers = bay.meter.sends_register or place.vehicle.sends_register
            if (
                place.vehicle.rated_kw >= needs.rated_kw
                and not (needs.alone and len(bay.vehicles) > 1)
                and not (needs.interval_energy and registers)
                and not (needs.makes_register and place.bay in self._interval_energy)
                and (needs.while_charging or not (bay.meter.only_while_charging or seldom))
                and (needs.any_meter or is_usual(bay.meter))
            ):
                yield place

    def _window(self, wanted: Wanted, needs: Needs, rng: Random) -> tuple[int, int]:
        """From a minute to another."""
        span = self._end - self._begin
        earliest = self._begin + min(_EARLIEST, span // 5)
        latest = self._end - min(_LATEST, span // 20)
        length = round(rng.uniform(*needs.hours) * 60)
        length = min(length, max((latest - earliest) * 7 // 10, 30))
        if wanted.length is not None:
            length = max(1, round(wanted.length.total_seconds() / 60))
        if wanted.start is not None:
            begin = self._begin + round(wanted.start.total_seconds() / 60)
            return begin, begin + length
        if needs.before:
            earliest = min(self._begin + (CLEAN_DAYS - 1) * DAY, max(latest - length, earliest))
        begin = round(rng.uniform(earliest, max(latest - length, earliest)))
        if length >= 2 * DAY:  # at noon, when few charge
            noon = begin // DAY * DAY + DAY // 2
            begin = noon if noon >= earliest else noon + DAY
        return begin, begin + length

    def _partner(self, place: _Place, begin: int, end: int, *, strict: bool) -> _Place | None:
        """Whose meter it may charge at by mistake: of one that charges when it does not."""
        site = self._bays[place.bay].meter.site
        best, least = None, None
        for other in self._places:
            bay = self._bays[other.bay]
            if other.bay == place.bay or (strict and not self._is_free(other.bay, begin, end)):
                continue
            if strict and (bay.meter.site != site or len(bay.vehicles) > 1):
                continue
            if strict and not is_usual(bay.meter):
                continue
            overlap = sum(
                max(0, min(mine.end, its.end) - max(mine.begin, its.begin))
                for mine in self._charging(place.vehicle, begin, end)
                for its in self._charging(other.vehicle, begin, end)
            )
            key = (bay.meter.site != site, overlap)
            if least is None or key < least:
                best, least = other, key
        return best

    def _charging(self, vehicle: VehicleProfile, begin: int, end: int) -> list[Session]:
        known = self._sessions.get(vehicle.vehicle_id)
        if known is None:
            known = sessions(self._seed, vehicle, self._midnight.date(), self._end)
            self._sessions[vehicle.vehicle_id] = known
        return [session for session in known if begin <= session.begin and session.end <= end]

    def _concerned(self, kind: Kind, place: _Place, partner: _Place | None) -> list[int]:
        """The bays."""
        if kind == "site_silent":
            site = self._bays[place.bay].meter.site
            return [number for number, bay in enumerate(self._bays) if bay.meter.site == site]
        return [place.bay] if partner is None else [place.bay, partner.bay]

    def _is_free(self, bay: int, begin: int, end: int, kind: Kind | None = None) -> bool:
        return not any(
            first - apart < end and begin < last + apart
            for first, last, other in self._busy.get(bay, ())
            for apart in (_SAME_APART if other == kind else _APART,)
        )

    def _shows(
        self, place: _Place, needs: Needs, kind: Kind, begin: int, end: int, bays: list[int]
    ) -> bool:
        clean = begin - CLEAN_DAYS * DAY if needs.before else begin
        if not all(self._is_free(bay, clean, end, kind) for bay in bays):
            return False
        if kind == "site_silent" and sum(map(self._reporting, bays)) < _SITE_DEVICES:
            return False
        if not needs.sessions:
            return True
        least = max(needs.kwh, needs.gain * place.vehicle.capacity_kwh)
        during = self._charging(place.vehicle, begin, end)
        before = self._charging(place.vehicle, max(clean, self._begin), begin)
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

    def _reporting(self, number: int) -> int:
        """How many devices of a bay report always."""
        bay = self._bays[number]
        seldom = [v.only_while_charging or v.sleeps != "never" for v in bay.vehicles]
        return seldom.count(False) + (not bay.meter.only_while_charging)

    def _inject(
        self,
        wanted: Wanted,
        rng: Random,
        place: _Place,
        partner: _Place | None,
        begin: int,
        end: int,
        concerned: list[int],
        needs: Needs,
    ) -> None:
        kind, variant = wanted.kind, wanted.variant
        if needs.interval_energy:
            self._interval_energy.add(place.bay)
        if needs.makes_register:
            bay = self._bays[place.bay]
            meter = replace(bay.meter, sends_register=True, register=PLAIN)
            self._bays[place.bay] = replace(bay, meter=meter)
        bay = self._bays[place.bay]
        meter, vehicle = bay.meter, place.vehicle
        subject, vehicle_ids, devices = target_of(
            wanted, bay, vehicle, [self._bays[number] for number in concerned], rng
        )
        fault = Fault(
            kind=kind,
            variant=variant,
            cause=CAUSES.get(variant or ""),
            subject=subject,
            site=meter.site,
            meter_id=None if kind == "site_silent" else meter.meter_id,
            vehicle_ids=vehicle_ids,
            bystanders=[
                each.vehicle_id for each in bay.vehicles if each.vehicle_id not in vehicle_ids
            ],
            start=self._time(begin),
            end=self._time(end),
            numbers=numbers_of(variant or kind, rng, vehicle, meter),
        )
        injection = Injection(fault, begin, end, devices, rng)
        if partner is not None:
            self._reroute(injection, place, partner)
        if kind == "voltage_out_of_range":
            injection.spans = list(_episodes(rng, begin, end))
        self.injections.append(injection)
        self.acceptable += side_effects_of(fault, partner.vehicle.vehicle_id if partner else None)
        for number in concerned:
            clean = begin - CLEAN_DAYS * DAY if needs.before else begin
            self._busy.setdefault(number, []).append((clean, end, kind))

    def _reroute(self, injection: Injection, place: _Place, partner: _Place) -> None:
        """Half of the wrong assignments are two that were swapped."""
        here, there = self._bays[place.bay].meter.meter_id, self._bays[partner.bay].meter.meter_id
        injection.fault.other_meter_id = there
        injection.reroutes = [(place.vehicle.vehicle_id, there)]
        if injection.rng.random() < 0.5:
            injection.reroutes.append((partner.vehicle.vehicle_id, here))
            injection.fault.numbers["swapped"] = 1.0
        injection.devices = set()

    def _time(self, minute: int) -> datetime:
        return self._midnight + timedelta(minutes=minute)


def _episodes(rng: Random, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end minutes of each episode of over- or undervoltage."""
    while begin < end:
        length = rng.randint(20, 90)
        yield begin, min(begin + length, end)
        begin += length + rng.randint(120, 480)
