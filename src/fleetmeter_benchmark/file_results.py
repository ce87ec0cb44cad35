"""What the scenarios of files came to: an import, an export."""

from collections.abc import Sequence
from statistics import median

import msgspec

BULK_RATIO = 0.5
"""What an import is to reach of what the service takes in bulk."""

RSS_RATIO = 1.2
"""What "flat" means: how much more memory ten times the readings may take."""

SAMPLE_S = 0.1
"""How often the memory of a process is looked at that may end soon."""


class Moved(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the table of files; rates in readings a second, CPU in seconds per million."""

    scenario: str
    readings: int
    bytes: int
    """Of the file, or of the body of the answer."""

    rate: float
    """From the start of the import's process to its end, or from the request to its last byte."""

    rss_mib: float
    """Peak of the process that imports, or of the service that exports."""

    process_cpu_s: float
    """Of the same process."""

    database_cpu_s: float | None = None
    compared_with: str = ""
    ratio: float | None = None
    """Of the rates."""

    target_ratio: float | None = None
    """What it is to reach at least."""

    rss_ratio: float | None = None
    """To the line before, with a tenth of the readings."""

    limit_rss_ratio: float | None = None
    note: str = ""


_FIGURES = ("rate", "process_cpu_s", "database_cpu_s", "ratio", "rss_ratio")


def grown(small: Moved, whole: Moved) -> list[Moved]:
    """Both lines; the second says how much more memory it took."""
    ratio = whole.rss_mib / small.rss_mib
    return [
        small,
        msgspec.structs.replace(whole, rss_ratio=ratio, limit_rss_ratio=RSS_RATIO),
    ]


def compared(line: Moved, other: str, rate: float, target: float | None = None) -> Moved:
    """The line, with the ratio of its rate to another."""
    return msgspec.structs.replace(
        line, compared_with=other, ratio=line.rate / rate, target_ratio=target
    )


def medians(rounds: Sequence[Sequence[Moved]]) -> list[Moved]:
    """Each line's median over the rounds; memory is the peak."""
    return [
        msgspec.structs.replace(
            same[0],
            rss_mib=max(line.rss_mib for line in same),
            **{
                name: median(getattr(line, name) for line in same)
                for name in _FIGURES
                if getattr(same[0], name) is not None
            },
        )
        for same in zip(*rounds, strict=True)
    ]
