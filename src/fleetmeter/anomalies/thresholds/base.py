"""Defines what all thresholds have in common; each rule adds its own, with limits and defaults.

A value outside its limits, and a threshold to clear on the wrong side of the one to open, are
refused when a struct is decoded (msgspec.ValidationError).
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import AnomalyKind

ReopenWithin = Annotated[
    float,
    Meta(
        ge=0,
        le=744,
        description="An anomaly that comes back within this many hours of its end is reopened.",
    ),
]


def require(holds: bool, sentence: str) -> None:
    """Raise ValueError with a sentence that says what must hold, if it does not."""
    if not holds:
        raise ValueError(sentence)


class Thresholds(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The thresholds of a rule; a subclass names the rule by its `kind`."""

    kind: ClassVar[AnomalyKind]

    enabled: Annotated[bool, Meta(description="Whether the rule is applied at all.")] = True
    reopen_within_h: ReopenWithin = 24.0
