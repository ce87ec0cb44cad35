"""Holds the result of an ingest scenario, and the median of several rounds."""

from collections import Counter
from collections.abc import Sequence
from statistics import median, quantiles

import msgspec

from fleetmeter_benchmark.load_job import Result


class Measured(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table; rates in readings a second, CPU in seconds per million."""

    scenario: str
    rate: float
    compared_with: str = ""
    ratio: float | None = None
    p50_ms: float
    p99_ms: float
    answers: dict[str, int]
    missing: int = 0
    """Readings acknowledged as new but missing from history."""

    unacknowledged: int = 0
    """Readings in history that were not acknowledged: the answer was lost or too late."""

    rss_mib: float = 0.0
    """Peak of the service."""

    rss_by_minute_mib: list[float] = []
    service_cpu_s: float = 0.0
    database_cpu_s: float | None = None
    load_cpu_s: float = 0.0


def medians(rounds: Sequence[Sequence[Measured]]) -> list[Measured]:
    """Return each line's median over the rounds; failures are added up, memory is the peak."""
    lines = []
    for same in zip(*rounds, strict=True):
        answers: Counter[str] = Counter()
        for line in same:
            answers.update(line.answers)
        middle = {
            name: median(values)
            for name in ("rate", "ratio", "p50_ms", "p99_ms", *_CPU)
            if (values := [v for line in same if (v := getattr(line, name)) is not None])
        }
        lines.append(
            msgspec.structs.replace(
                same[0],
                answers=dict(answers),
                missing=sum(line.missing for line in same),
                unacknowledged=sum(line.unacknowledged for line in same),
                rss_mib=max(line.rss_mib for line in same),
                **middle,
            )
        )
    return lines


_CPU = ("service_cpu_s", "database_cpu_s", "load_cpu_s")


def quantile(result: Result, percent: int) -> float:
    """Return a quantile of the latencies, in milliseconds."""
    if len(result.latencies_ms) < 2:
        return result.latencies_ms[0]
    return quantiles(result.latencies_ms, n=100, method="inclusive")[percent - 1]
