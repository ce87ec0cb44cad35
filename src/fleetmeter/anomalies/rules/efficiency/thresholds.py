"""Defines what both efficiency rules expect of a session, with sources."""

from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds, require

LOSSES = (
    "ADAC measured four cars in 2022: 12.7 to 24.2 % lost at a 2.3 kW socket, 6.3 to 9.7 % at an "
    "11 kW wallbox, where 100 to 300 W of control electronics weigh less; the powers between "
    "follow from such a constant loss. Cold: VEIC found the difference between slow and fast AC "
    "charging to grow below 12 °C; 0.4 points per °C below 15 °C is deliberately generous."
)
"""Sources of `EXPECTED` and of the allowance for cold."""

# DC ÷ AC of a healthy vehicle by the AC power at which it charges, kW.
EXPECTED = (
    (0.5, 0.40),
    (1.4, 0.64),
    (2.3, 0.76),
    (3.0, 0.81),
    (3.7, 0.84),
    (5.0, 0.88),
    (7.4, 0.91),
    (11.0, 0.94),
    (22.0, 0.94),
)


class Efficiency(Thresholds, frozen=True, kw_only=True):
    """Thresholds of sessions that can be judged, and their expected efficiency."""

    reopen_within_h: ReopenWithin = 96.0
    expected: Annotated[
        tuple[tuple[float, float], ...],
        Meta(
            min_length=1,
            max_length=20,
            description="Pairs of AC power, kW, and DC ÷ AC expected; between in straight lines.",
        ),
    ] = EXPECTED
    cold_below_c: Annotated[
        float,
        Meta(ge=-40, le=40, description="Batteries colder than this may take more, °C."),
    ] = 15.0
    cold_per_c: Annotated[
        float,
        Meta(ge=0, le=0.05, description="Efficiency that each °C below may cost."),
    ] = 0.004
    cold_at_most: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description="Most efficiency that cold may cost; all of it is allowed where no "
            "temperature is measured.",
        ),
    ] = 0.14
    minimum_kwh: Annotated[
        float,
        Meta(ge=0.5, le=1000, description="Least AC that must have been compared, kWh."),
    ] = 3.0

    def __post_init__(self) -> None:
        powers = [power for power, _ in self.expected]
        require(
            all(low < high for low, high in pairwise(powers)),
            "expected: the powers must increase",
        )
        require(
            all(power >= 0 and 0 < value <= 1 for power, value in self.expected),
            "expected: a power must not be negative, an efficiency lies between 0 and 1",
        )

    @property
    def expectation(self) -> tuple[object, ...]:
        """Return the thresholds that affect the measurement; equal ones share one result."""
        return (
            self.expected,
            self.cold_below_c,
            self.cold_per_c,
            self.cold_at_most,
            self.minimum_kwh,
        )
