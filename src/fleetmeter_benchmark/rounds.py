"""Takes the medians of figures that were measured in several rounds."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TypeVar

import msgspec

_Line = TypeVar("_Line", bound=msgspec.Struct)


def medians(
    rounds: Sequence[Sequence[_Line]], names: Iterable[str], peaks: Iterable[str] = ()
) -> list[_Line]:
    """Return each line with the medians of its named figures over the rounds, and its peaks.

    Figures that a line lacks stay None.
    """
    names = tuple(names)
    return [
        msgspec.structs.replace(
            same[0],
            **{
                name: median(getattr(line, name) for line in same)
                for name in names
                if getattr(same[0], name) is not None
            },
            **{name: max(getattr(line, name) for line in same) for name in peaks},
        )
        for same in zip(*rounds, strict=True)
    ]
