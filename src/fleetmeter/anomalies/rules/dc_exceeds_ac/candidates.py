"""Finds other meters that may feed a vehicle that takes more than its own meter metered."""

from collections.abc import Mapping, Sequence

from fleetmeter.anomalies.rules.dc_exceeds_ac.state import Suspicion
from fleetmeter.anomalies.rules.shared.hour import ObservedHour

EFFICIENCY = 0.9
"""Efficiency assumed for vehicles that charge at a meter, to see what is left for another."""

_LEFT_MWH = 100_000
"""Energy below this is not a charge."""

_SURPLUS = (0.9, 2.0)
"""AC for a vehicle's DC at the meter at which it may charge in truth: between these times as
much."""


def surpluses(hour: ObservedHour, metered: Mapping[str, int]) -> dict[str, float]:
    """Return by meter the AC that no vehicle there took by its own account, mWh."""
    found = {
        row.meter_id: float(row.unattributed_mwh)
        for row in hour.meter_rows
        if row.unattributed_mwh > _LEFT_MWH
    }
    for meter_id, mwh in metered.items():
        left = mwh - hour.delivered_mwh(meter_id) / EFFICIENCY
        if left > _LEFT_MWH:
            found[meter_id] = left
    return found


def candidates(
    hour: ObservedHour,
    number: int,
    meter_id: str,
    suspects: Sequence[str],
    surplus: Mapping[str, float],
    metered: Mapping[str, int],
    suspicion: Suspicion | None,
) -> list[str]:
    """Find other meters that may feed one of the vehicles, the closest by energy: first of
    energy that nobody there claims, then of all, since two vehicles may have changed places."""
    unclaimed: dict[str, float] = {}
    claimed: dict[str, float] = {}
    for row in hour.at_meter.get(meter_id, ()):
        if row.vehicle_id in suspects:
            _close(unclaimed, surplus, row.dc_mwh)
            _close(claimed, metered, row.dc_mwh)
    before = suspicion.candidates if suspicion else []
    closest = [
        other
        for found in (unclaimed, claimed)
        for other in sorted(found, key=lambda each: (found[each], each))
        if other != meter_id
    ]
    return list(dict.fromkeys([*before, *closest]))[:number]


def _close(
    found: dict[str, float], energies: Mapping[str, float] | Mapping[str, int], dc_mwh: int
) -> None:
    """Add meters whose energy may be a vehicle's, and how far it is off what is usual."""
    least, most = _SURPLUS
    for other, mwh in energies.items():
        if least * dc_mwh <= mwh <= most * dc_mwh:
            off = abs(mwh * EFFICIENCY / dc_mwh - 1)
            found[other] = min(off, found.get(other, off))
