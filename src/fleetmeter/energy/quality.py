"""How much of an answer was really measured, and what may be compared."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

COMPLETE = 0.95
"""Coverage of both sides from which an answer counts as complete."""

Status = Literal["complete", "partial", "no_meter", "no_data"]


class Coverage(msgspec.Struct):
    """Time that readings cover ÷ time of the window that has passed, 0…1."""

    dc: Annotated[float, Meta(description="Vehicle readings.")]
    ac: Annotated[float, Meta(description="Meter readings.")]
    compared: Annotated[
        float,
        Meta(description="Quarter hours that both sides cover alike: what efficiency is taken of."),
    ]


class Quality(msgspec.Struct):
    """How far the figures can be trusted, and why not further."""

    status: Status
    coverage: Coverage
    reasons: list[str]


class Compared(msgspec.Struct, kw_only=True):
    """Sums over quarter hours that both sides cover alike, stored units; part of all sums."""

    compared_dc_mwh: int = 0
    compared_ac_mwh: int | None = None
    quarters_left_out: int = 0
    """Quarter hours of a vehicle with energy whose sides do not cover the same time."""

    covered_dc_s: float = 0.0
    covered_ac_s: float = 0.0
    compared_s: float = 0.0

    @property
    def efficiency_ratio(self) -> float | None:
        """DC ÷ AC; None when no AC can be compared."""
        return self.compared_dc_mwh / self.compared_ac_mwh if self.compared_ac_mwh else None

    @property
    def loss_mwh(self) -> int | None:
        """AC − DC; None when no AC can be compared."""
        return None if self.compared_ac_mwh is None else self.compared_ac_mwh - self.compared_dc_mwh


def coverage(sums: Compared, expected_dc_s: float, expected_ac_s: float) -> Coverage:
    """Of what could have been covered, to four digits."""
    return Coverage(
        dc=_share(sums.covered_dc_s, expected_dc_s),
        ac=_share(sums.covered_ac_s, expected_ac_s),
        compared=_share(sums.compared_s, expected_dc_s),
    )


def quality(
    sums: Compared, cover: Coverage, *, has_vehicles: bool, has_meters: bool, about: list[str]
) -> Quality:
    """The status that follows from coverage, and the reasons, those of `about` first."""
    reasons = list(about)
    if has_vehicles and cover.dc < COMPLETE:
        reasons.append(f"vehicle readings cover {cover.dc:.1%} of the window")
    if has_meters and cover.ac < COMPLETE:
        reasons.append(f"meter readings cover {cover.ac:.1%} of the window")
    if sums.quarters_left_out:
        left_out = sums.quarters_left_out
        quarters = "1 quarter hour" if left_out == 1 else f"{left_out} quarter hours"
        reasons.append(
            f"in {quarters} with energy the readings of vehicle and meter do not cover the same "
            "time; efficiency and loss leave them out"
        )
    elif has_vehicles and has_meters and not sums.compared_ac_mwh:
        reasons.append("no AC was metered while vehicles charged; there is nothing to compare")
    if sums.compared_ac_mwh is not None and sums.compared_dc_mwh > sums.compared_ac_mwh:
        reasons.append(
            "more DC was delivered than AC was metered: check the meter assignment and the clocks"
        )
    complete = cover.dc >= COMPLETE and cover.ac >= COMPLETE
    return Quality("complete" if complete else "partial", cover, reasons)


def resets_told(resets: int) -> list[str]:
    """A sentence about registers that did more than rise."""
    if not resets:
        return []
    times = "once" if resets == 1 else f"{resets} times"
    return [
        f"a register was reset, was exchanged, or dropped out and came back {times}; what it "
        "counted before a reset is not known, what it counted in a dip is spread evenly over it"
    ]


def _share(covered: float, expected: float) -> float:
    return round(min(covered / expected, 1.0), 4) if expected > 0 else 0.0
