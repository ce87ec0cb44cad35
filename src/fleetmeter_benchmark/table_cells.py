"""Formats the cells of the tables."""

from fleetmeter_benchmark import answers
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.pairs import Compared


def digits(value: float) -> str:
    """Return a figure with the digits that matter."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def target_of(line: Compared) -> str:
    """Return the target of a comparison, and whether it was not reached."""
    if (target := line.target) is None:
        return ""
    bounds = [("≤", target.at_most), ("≥", target.at_least)]
    said = " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    return f"{target.of} {said}{'' if target.reached(line) else ' NOT REACHED'}"


def at_least(share: float, limit: float) -> str:
    """Return a share, marked if it is under its limit."""
    return f"{share:.3f}{' UNDER' if share < limit else ''}"


def tenths(value: float | None) -> str:
    """Return a figure with one decimal."""
    return "" if value is None else f"{value:.1f}"


def hundredths(value: float | None) -> str:
    """Return a ratio with two decimals."""
    return "" if value is None else f"{value:.2f}"


def limits_of(line: answers.Answered) -> str:
    """Return the limits of an answer, each marked if it was exceeded."""
    limits = (
        ("", line.p50_ms, line.limit_ms, " ms"),
        ("ratio ", line.ratio, line.limit_ratio, ""),
    )
    return ", ".join(
        f"{kind}{limit:g}{unit}{' OVER' if value > limit else ''}"
        for kind, value, limit, unit in limits
        if value is not None and limit is not None
    )


def answers_of(line: Measured) -> str:
    """Return how often each status was answered, and what is missing or too much."""
    counts = [f"{status}: {count:,}" for status, count in sorted(line.answers.items())]
    if line.missing:
        counts.append(f"MISSING: {line.missing:,}")
    if line.unacknowledged:
        counts.append(f"stored, not acknowledged: {line.unacknowledged:,}")
    return ", ".join(counts)
