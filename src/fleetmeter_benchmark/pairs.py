"""Compares figures of two versions that were measured in turn. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Literal

import msgspec


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Says what a figure is to reach."""

    of: Literal["ratio", "new"] = "ratio"
    """New ÷ old, or the new version's figure."""

    at_most: float | None = None
    at_least: float | None = None

    def reached(self, line: "Compared") -> bool:
        """Return whether it is reached, in the hundredths that are shown."""
        value = line.new if self.of == "new" else line.ratio
        if value is None:
            return False
        value = round(value, 2)
        return not (
            (self.at_most is not None and value > self.at_most)
            or (self.at_least is not None and value < self.at_least)
        )


class Compared(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table: medians over the pairs."""

    figure: str
    unit: str
    pairs: int
    old: float
    new: float
    ratio: float | None
    """Median of the pairs' new ÷ old; None if the old figure was 0.

    It is not the ratio of the medians: what disturbs a machine for a while disturbs both of a pair.
    """

    low: float | None = None
    high: float | None = None
    """Quartiles of the pairs' new ÷ old, between which half of them lie."""

    ratio_of_least: float | None = None
    """Least new ÷ least old figure: those of the rounds that were disturbed least."""

    target: Target | None = None


class Pairs:
    """Collects what was measured of both versions, by figure, in the order of the first pairs."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, figure: str, unit: str, old: float | None, new: float | None) -> None:
        """Add a pair; figures that only one version has are left out."""
        if old is not None and new is not None:
            self._pairs.setdefault((figure, unit), []).append((old, new))

    def lines(self, targets: Mapping[str, Target]) -> list[Compared]:
        """Return the table."""
        return [
            _compared(figure, unit, pairs, targets.get(figure))
            for (figure, unit), pairs in self._pairs.items()
        ]


def _compared(
    figure: str, unit: str, pairs: Sequence[tuple[float, float]], target: Target | None
) -> Compared:
    olds, news = zip(*pairs, strict=True)
    line = Compared(
        figure=figure,
        unit=unit,
        pairs=len(pairs),
        old=median(olds),
        new=median(news),
        ratio=None,
        target=target,
    )
    if all(olds):
        ratios = [new / old for old, new in pairs]
        line.ratio = median(ratios)
        line.ratio_of_least = min(news) / min(olds)
        if len(ratios) > 1:
            line.low, _, line.high = quantiles(ratios, n=4, method="inclusive")
    return line
