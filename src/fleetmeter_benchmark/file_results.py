"""Holds the results of the file scenarios: imports and exports."""

from collections.abc import Sequence

import msgspec

from fleetmeter_benchmark import rounds as rounds_

BULK_RATIO = 0.5
"""Target of an import, relative to bulk ingest."""

RSS_RATIO = 1.2
"""Largest ratio of memory, with ten times the readings, that counts as flat."""

SAMPLE_S = 0.1
"""Seconds between samples of the memory of a process that may end soon."""


class Moved(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table of files; readings a second, and seconds of CPU per million."""

    scenario: str
    readings: int
    bytes: int
    """Size of the file, or of the body of the answer."""

    rate: float
    """Rate from the start of the import's process to its end, or from request to last byte."""

    rss_mib: float
    """Peak of the process that imports, or of the service that exports."""

    process_cpu_s: float
    """CPU of the same process."""

    database_cpu_s: float | None = None
    compared_with: str = ""
    ratio: float | None = None
    """Ratio of the rates."""

    target_ratio: float | None = None
    """Least ratio to reach."""

    rss_ratio: float | None = None
    """Memory relative to the line before, with a tenth of the readings."""

    limit_rss_ratio: float | None = None
    note: str = ""


_FIGURES = ("rate", "process_cpu_s", "database_cpu_s", "ratio", "rss_ratio")


def grown(small: Moved, whole: Moved) -> list[Moved]:
    """Return both lines, the second with how much more memory it took."""
    ratio = whole.rss_mib / small.rss_mib
    return [
        small,
        msgspec.structs.replace(whole, rss_ratio=ratio, limit_rss_ratio=RSS_RATIO),
    ]


def compared(line: Moved, other: str, rate: float, target: float | None = None) -> Moved:
    """Return the line with the ratio of its rate to another."""
    return msgspec.structs.replace(
        line, compared_with=other, ratio=line.rate / rate, target_ratio=target
    )


def medians(rounds: Sequence[Sequence[Moved]]) -> list[Moved]:
    """Return the median of each line over the rounds; memory is the peak."""
    return rounds_.medians(rounds, _FIGURES, peaks=("rss_mib",))
