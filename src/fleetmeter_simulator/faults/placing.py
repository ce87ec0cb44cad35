"""Places the faults of a fleet so that each of them shows and none hides another."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from msgspec.structs import replace

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.plan import DAY
from fleetmeter_simulator.devices.profiles import BayProfile, is_usual
from fleetmeter_simulator.devices.register_profiles import PLAIN
from fleetmeter_simulator.faults.injection import Injection
from fleetmeter_simulator.faults.kinds import CAUSES, VARIANTS, Acceptable, Fault, Wanted
from fleetmeter_simulator.faults.magnitudes import CLEAN_DAYS, NEEDS, Needs, numbers_of
from fleetmeter_simulator.faults.side_effects import side_effects
from fleetmeter_simulator.faults.targets import targets
from fleetmeter_simulator.faults.timetable import Place, Timetable

_FIRST: tuple[str, ...] = (
    *("efficiency_drop", "site_silent", "dc_exceeds_ac", "soc_mismatch"),
    *("power_implausible", "soc_stuck", "soc_scale"),
)
"""Kinds in the order of how hard it is to find a place for them."""
_EARLIEST, _LATEST = 12 * 60, 6 * 60
"""Minutes after the start and before the end in which no fault begins or ends."""
_TRIES = 12


class UnknownDeviceError(ValueError):
    """A fault was requested for a device that the fleet does not have."""


class Placing:
    """Finds places for faults, one after the other."""

    def __init__(
        self, seed: int, bays: list[BayProfile], midnight: datetime, begin: int, end: int
    ) -> None:
        """Prepare to place faults; `begin` and `end` are minutes since that midnight.

        `bays` is changed where a fault needs it.
        """
        self._seed = seed
        self._bays = bays
        self._timetable = Timetable(seed, bays, midnight.date(), begin, end)
        self._midnight = midnight
        self._begin, self._end = begin, end
        self._interval_energy: set[int] = set()
        """Bays with faults that a register would hide."""
        self.injections: list[Injection] = []
        self.acceptable: list[Acceptable] = []
        self.unplaced: list[Wanted] = []

    def place(self, wanted: Sequence[Wanted]) -> None:
        """Place all faults; those without room go to `unplaced`. Raises UnknownDeviceError."""
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
                    partner = self._timetable.partner(place, begin, end, strict=strict)
                    if partner is None:
                        continue
                concerned = self._concerned(wanted.kind, place, partner)
                if strict and not self._timetable.shows(
                    place, needs, wanted.kind, begin, end, concerned
                ):
                    continue
                self._inject(wanted, rng, place, partner, begin, end, concerned, needs)
                return True
        return False

    def _named(self, wanted: Wanted) -> list[Place]:
        """Find the named vehicle; for a meter or a site, its first vehicle."""
        device = wanted.device
        for place in self._timetable.places:
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

    def _free(self, needs: Needs, rng: Random) -> Iterator[Place]:
        """List the places that a fault could have, those with the fewest faults first."""
        shuffled = list(self._timetable.places)
        rng.shuffle(shuffled)
        shuffled.sort(key=lambda place: self._timetable.count_faults(place.bay))
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
        """Find the minutes in which the fault begins and ends."""
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

    def _concerned(self, kind: AnomalyKind, place: Place, partner: Place | None) -> list[int]:
        """List the affected bays."""
        if kind == "site_silent":
            site = self._bays[place.bay].meter.site
            return [number for number, bay in enumerate(self._bays) if bay.meter.site == site]
        return [place.bay] if partner is None else [place.bay, partner.bay]

    def _inject(
        self,
        wanted: Wanted,
        rng: Random,
        place: Place,
        partner: Place | None,
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
        subject, vehicle_ids, devices = targets(
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
        self.acceptable += side_effects(fault, partner.vehicle.vehicle_id if partner else None)
        for number in concerned:
            clean = begin - CLEAN_DAYS * DAY if needs.before else begin
            self._timetable.add_fault(number, clean, end, kind)

    def _reroute(self, injection: Injection, place: Place, partner: Place) -> None:
        """Reroute the vehicle; in half of the cases, swap it with its partner."""
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
    """Yield the start and end minutes of each over- or undervoltage episode."""
    while begin < end:
        length = rng.randint(20, 90)
        yield begin, min(begin + length, end)
        begin += length + rng.randint(120, 480)
