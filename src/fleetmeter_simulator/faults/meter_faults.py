"""Changes what a meter with a fault shows.

Lists have a value for each reading of an hour, `step` minutes apart, the first one about the
minutes from `begin` on.
"""

from fleetmeter_simulator.faults.injection import Injection, strongest


def voltages(millivolts: list[int], begin: int, step: int, faults: list[Injection]) -> list[int]:
    """Add the sags and swells of the supply."""
    wrong = [each for each in faults if "volts" in each.fault.numbers]
    if not wrong:
        return millivolts
    shown = list(millivolts)
    for fault in wrong:
        level = int(fault.fault.numbers["volts"] * 1000)
        for number in range(len(shown)):
            minute = begin + number * step
            if any(first <= minute < last for first, last in fault.spans):
                shown[number] = level + millivolts[number] % 1000 - 500
    return shown


def exaggerated(energies: list[int], begin: int, step: int, faults: list[Injection]) -> list[int]:
    """Report too much energy."""
    wrong = [each for each in faults if "powerFactor" in each.fault.numbers]
    shown = list(energies) if wrong else energies
    for fault in wrong:
        for number, energy in enumerate(energies):
            if fault.begin <= begin + number * step < fault.end:
                shown[number] = int(energy * fault.fault.numbers["powerFactor"])
    return shown


def dips(minute: int, step: int, faults: list[Injection]) -> bool:
    """Return whether a register shows nothing for a moment."""
    fault = strongest(faults, "register_unstable", minute)
    return (
        fault is not None and (minute - fault.begin) % int(fault.fault.numbers["everyMin"]) < step
    )


def unit(minute: int, faults: list[Injection]) -> int:
    """Return the factor by which a register reads too high: milliwatt-hours, which never fit."""
    return 1 if strongest(faults, "unit", minute) is None else 1_000_000


def lumped(
    energies: list[int], begin: int, step: int, faults: list[Injection], held: int
) -> tuple[list[int], int]:
    """Report energy long after it was used; also return what is held back beyond the hour."""
    lagging = any(each.what == "reporting-lag" for each in faults)
    if not lagging and not held:
        return energies, held
    shown = []
    for number, energy in enumerate(energies):
        minute = begin + number * step
        fault = strongest(faults, "reporting-lag", minute)
        held += energy
        every = max(int(fault.fault.numbers["lagMin"]), step) if fault else step
        if fault is None or (minute - fault.begin) % every >= every - step:
            shown.append(held)
            held = 0
        else:
            shown.append(0)
    return shown, held


def restarted(total: int, shown: int, minute: int, step: int, faults: list[Injection]) -> int:
    """Let a register hang for a while, and then restart at zero."""
    fault = strongest(faults, "register-reset", minute)
    if fault is None:
        return total
    every, hangs = int(fault.fault.numbers["everyMin"]), int(fault.fault.numbers["hangsMin"])
    at = (minute - fault.begin) % every
    if at >= every - step:
        return 0
    return shown if at >= every - hangs else total


def lost(charging: list[int], begin: int, step: int, faults: list[Injection]) -> list[bool]:
    """Return which readings get through; `charging` is what vehicles take."""
    kept = [True] * len(charging)
    for fault in faults:
        if fault.what == "missing-ac":
            for number, energy in enumerate(charging):
                if energy and fault.begin <= begin + number * step < fault.end:
                    kept[number] = fault.rng.random() >= fault.fault.numbers["lost"]
    return kept
