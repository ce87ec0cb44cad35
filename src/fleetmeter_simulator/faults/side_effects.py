"""Says what else is true while there is a fault."""

from collections.abc import Iterator
from datetime import timedelta

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter_simulator.faults.kinds import Acceptable, Fault

_EFFICIENCY: tuple[Kind, ...] = ("efficiency_low", "efficiency_drop")


def side_effects_of(fault: Fault, partner: str | None) -> Iterator[Acceptable]:
    """Yield what else rules may rightly find; `partner` is who charges at the other meter."""

    # what a clock that is ahead tells lies as far after the fault, if it is taken at all
    ahead = timedelta(seconds=max(0.0, -fault.numbers.get("behindS", 0.0)))
    if fault.kind == "readings_refused":
        ahead = timedelta()

    def acceptable(why: str, subject: Subject, *kinds: Kind) -> Iterator[Acceptable]:
        for kind in kinds:
            yield Acceptable(kind, subject, fault.start, fault.end + ahead, why)

    here = [Subject("vehicle", vehicle) for vehicle in fault.vehicle_ids + fault.bystanders]
    meter = Subject("meter", fault.meter_id or "")
    factor = fault.numbers.get("energyFactor")
    match fault.variant or fault.kind:
        case "efficiency_low" | "efficiency_drop":
            yield from acceptable("less arrives", fault.subject, *_EFFICIENCY)
            for vehicle in here[1:]:
                yield from acceptable("shares what is lost at its meter", vehicle, *_EFFICIENCY)
        case "wrong-meter" if partner is not None and fault.other_meter_id is not None:
            other, there = Subject("vehicle", partner), Subject("meter", fault.other_meter_id)
            why = "another vehicle charges at its meter"
            yield from acceptable(why, other, *_EFFICIENCY, "dc_exceeds_ac")
            yield from acceptable("another vehicle charges here", there, "standby_loss")
            yield from acceptable("another vehicle charges here", there, "dc_exceeds_ac")
            # with whatever power it takes
            yield from acceptable("another vehicle charges here", there, "power_implausible")
            yield from acceptable("another vehicle charges here", meter, "power_implausible")
            yield from acceptable("charges elsewhere", fault.subject, *_EFFICIENCY)
            yield from acceptable("its vehicle charges elsewhere", meter, "standby_loss")
        case "clock-offset" | "time-zone" | "behind" | "ahead":
            why = "energy is told of another time"
            for vehicle in here:
                yield from acceptable(why, vehicle, *_EFFICIENCY, "dc_exceeds_ac", "clock_skew")
            yield from acceptable(why, meter, "standby_loss", "dc_exceeds_ac", "clock_skew")
            # once the clock is right, a time is missing in which nothing was told
            gap = "its clock jumped"
            yield from acceptable(gap, here[0], "vehicle_silent")
            yield from acceptable(gap, meter, "meter_silent")
        case "year" | "minutes" | "unit":
            # what is refused does not come, and what is sent again minutes later may be taken
            why = "what it sends is refused"
            kind = fault.subject.device_kind
            silent: Kind = "vehicle_silent" if kind == "vehicle" else "meter_silent"
            yield from acceptable(why, fault.subject, silent, "clock_skew")
            for vehicle in here:
                yield from acceptable(why, vehicle, *_EFFICIENCY, "dc_exceeds_ac")
            yield from acceptable(why, meter, "standby_loss")
        case "reporting-lag" | "register-reset" | "missing-ac":
            for vehicle in here:
                yield from acceptable("its meter misses energy", vehicle, "dc_exceeds_ac")
            yield from acceptable("it misses energy", meter, "dc_exceeds_ac")
            if fault.variant == "register-reset":
                yield from acceptable("its register restarts", meter, "register_unstable")
        case "register_unstable":
            for vehicle in here:
                yield from acceptable("its meter loses a minute at times", vehicle, "dc_exceeds_ac")
        case "wh" | "double":
            for vehicle in here:
                yield from acceptable("its meter tells too much", vehicle, *_EFFICIENCY)
            yield from acceptable("it tells too much", meter, "standby_loss")
        case "soc_stuck" | "soc_scale":
            yield from acceptable("a wrong state of charge", fault.subject, "soc_mismatch")
        case "standby_loss":
            for vehicle in here:
                yield from acceptable("its meter loses energy", vehicle, *_EFFICIENCY)
        case "energy" if factor is not None:
            kinds: tuple[Kind, ...] = ("dc_exceeds_ac",) if factor > 1 else _EFFICIENCY
            for vehicle in here:
                yield from acceptable("a wrong counter of energy", vehicle, *kinds)
