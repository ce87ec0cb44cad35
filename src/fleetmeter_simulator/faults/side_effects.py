"""Lists the other anomalies that a fault also causes."""

from collections.abc import Iterator
from datetime import timedelta

from fleetmeter.anomalies.model import AnomalyKind, Subject
from fleetmeter_simulator.faults.kinds import Acceptable, Fault

_EFFICIENCY: tuple[AnomalyKind, ...] = ("efficiency_low", "efficiency_drop")


def side_effects(fault: Fault, partner: str | None) -> Iterator[Acceptable]:
    """Yield what rules may rightly report besides the fault itself.

    `partner` is the vehicle that charges at the other meter.
    """
    # readings from a clock that is ahead are stamped that far after the fault, if accepted at all
    ahead = timedelta(seconds=max(0.0, -fault.numbers.get("behindS", 0.0)))
    if fault.kind == "readings_refused":
        ahead = timedelta()

    def acceptable(why: str, subject: Subject, *kinds: AnomalyKind) -> Iterator[Acceptable]:
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
            why = "energy is reported at the wrong time"
            for vehicle in here:
                yield from acceptable(why, vehicle, *_EFFICIENCY, "dc_exceeds_ac", "clock_skew")
            yield from acceptable(why, meter, "standby_loss", "dc_exceeds_ac", "clock_skew")
            # once the clock is right again, there is a gap in the timestamps
            gap = "its clock jumped"
            yield from acceptable(gap, here[0], "vehicle_silent")
            yield from acceptable(gap, meter, "meter_silent")
        case "year" | "minutes" | "unit":
            # rejected readings are missing; some are accepted when resent minutes later
            why = "its readings are rejected"
            kind = fault.subject.device_kind
            silent: AnomalyKind = "vehicle_silent" if kind == "vehicle" else "meter_silent"
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
                yield from acceptable("its meter reports too much", vehicle, *_EFFICIENCY)
            yield from acceptable("it reports too much", meter, "standby_loss")
        case "soc_stuck" | "soc_scale":
            yield from acceptable("a wrong state of charge", fault.subject, "soc_mismatch")
        case "standby_loss":
            for vehicle in here:
                yield from acceptable("its meter loses energy", vehicle, *_EFFICIENCY)
        case "energy" if factor is not None:
            kinds: tuple[AnomalyKind, ...] = ("dc_exceeds_ac",) if factor > 1 else _EFFICIENCY
            for vehicle in here:
                yield from acceptable("a wrong counter of energy", vehicle, *kinds)
