"""Data quality of an answer: how much was measured, and what can be compared."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleetmeter.readings.model import kwh

COMPLETE = 0.95
"""Coverage of both sides from which an answer counts as complete."""

Status = Literal["complete", "partial", "no_meter", "no_data"]


class Coverage(msgspec.Struct):
    """Time that readings cover ÷ time of the window that has passed, 0…1."""

    dc: Annotated[float, Meta(description="Vehicle readings.")]
    ac: Annotated[float, Meta(description="Meter readings.")]
    compared: Annotated[
        float,
        Meta(description="Time that both sides cover; efficiency and loss are based on it."),
    ]
    charging: Annotated[
        float | None,
        Meta(
            description="Time that both sides cover ÷ charging time, in which either side "
            "measured 500 W or more. Null if neither did."
        ),
    ]


class Quality(msgspec.Struct):
    """The reliability of the figures, and what limits it."""

    status: Status
    coverage: Coverage
    reasons: list[str]


class Compared(msgspec.Struct, kw_only=True):
    """Energy, and the part of it that both sides cover, in stored units; in all sums."""

    dc_mwh: int = 0
    ac_mwh: int | None = None
    unattributed_mwh: int = 0
    """AC that no vehicle took."""

    compared_dc_mwh: int = 0
    compared_ac_mwh: int | None = None
    covered_dc_s: float = 0.0
    covered_ac_s: float = 0.0
    compared_s: float = 0.0
    charging_s: float | None = None
    charging_compared_s: float | None = None
    dc_while_charging: bool | None = False
    """Whether all vehicles report only while they charge."""

    ac_while_charging: bool | None = False
    """Whether all meters or all vehicles do: time without charging need not be covered."""

    @property
    def efficiency_ratio(self) -> float | None:
        """DC ÷ AC; None when no AC can be compared."""
        return self.compared_dc_mwh / self.compared_ac_mwh if self.compared_ac_mwh else None

    @property
    def loss_mwh(self) -> int | None:
        """AC − DC; None when no AC can be compared."""
        return None if self.compared_ac_mwh is None else self.compared_ac_mwh - self.compared_dc_mwh


def coverage(sums: Compared, expected_dc_s: float, expected_ac_s: float) -> Coverage:
    """Return coverage as shares of what could have been covered, to four digits."""
    return Coverage(
        dc=_share(sums.covered_dc_s, expected_dc_s),
        ac=_share(sums.covered_ac_s, expected_ac_s),
        compared=_share(sums.compared_s, expected_dc_s),
        charging=(
            _share(sums.charging_compared_s or 0.0, sums.charging_s) if sums.charging_s else None
        ),
    )


def quality(
    sums: Compared, cover: Coverage, *, has_vehicles: bool, has_meters: bool, about: list[str]
) -> Quality:
    """Return the status that follows from coverage, and the reasons, those in `about` first."""
    lacks_dc, lacks_ac = cover.dc < COMPLETE, cover.ac < COMPLETE
    reasons = list(about)
    if cover.charging is not None and (sums.dc_while_charging or sums.ac_while_charging):
        # whoever reports only while charging lacks nothing of the time without
        if cover.charging >= COMPLETE:
            lacks_dc = lacks_dc and not sums.dc_while_charging
            lacks_ac = lacks_ac and not sums.ac_while_charging
        else:
            reasons.append(f"both sides cover {cover.charging:.1%} of the charging time")
    if has_vehicles and lacks_dc:
        reasons.append(f"vehicle readings cover {cover.dc:.1%} of the window")
    if has_meters and lacks_ac:
        reasons.append(f"meter readings cover {cover.ac:.1%} of the window")
    reasons += comparison(sums, has_both=has_vehicles and has_meters)
    return Quality("partial" if lacks_dc or lacks_ac else "complete", cover, reasons)


def comparison(sums: Compared, *, has_both: bool) -> list[str]:
    """Return reasons about efficiency and loss: what they leave out, and what is impossible."""
    dc, ac = sums.compared_dc_mwh, sums.compared_ac_mwh
    if ac is None:
        none = "vehicle and meter cover no time in common; there is nothing to compare"
        return [none] if has_both else []
    reasons = []
    left_dc, left_ac = sums.dc_mwh - dc, (sums.ac_mwh or 0) - sums.unattributed_mwh - ac
    left_out = [
        f"{kwh(energy):g} kWh of {side}"
        for side, energy in (("DC", left_dc), ("AC", left_ac))
        if energy > 0
    ]
    if left_out:
        reasons.append(
            f"efficiency and loss leave out {' and '.join(left_out)}, since the other side does "
            "not cover that time"
        )
    if dc > ac:
        reasons.append(
            "more DC was delivered than AC was metered: check the meter assignment and the clocks"
        )
    elif not ac:
        reasons.append("no AC was metered while vehicles charged; there is nothing to compare")
    return reasons


def reset_reasons(resets: int) -> list[str]:
    """Return a sentence about registers that were reset, dipped or exchanged, if any were."""
    if not resets:
        return []
    times = "once" if resets == 1 else f"{resets} times"
    return [
        f"a register was reset, was exchanged, or dropped out and came back {times}; what it "
        "counted before a reset is not known, what it counted in a dip is spread evenly over it"
    ]


def _share(covered: float, expected: float) -> float:
    return round(min(covered / expected, 1.0), 4) if expected > 0 else 0.0
