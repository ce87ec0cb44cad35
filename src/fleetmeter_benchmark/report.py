"""Prints the tables of a benchmark."""

import sys
from collections.abc import Sequence
from math import inf
from typing import Any

from rich.console import Console
from rich.table import Table

from fleetmeter_benchmark import answers, columnstore, detection, file_results, scoring
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.pairs import Compared
from fleetmeter_benchmark.table_cells import (
    answers_of,
    at_least,
    digits,
    hundredths,
    limits_of,
    target_of,
    tenths,
)


def show(lines: Sequence[Measured], on: dict[str, Any]) -> None:
    """Print the table of ingest."""
    table = Table(
        title=_title(on),
        caption="CPU: seconds per million readings. RSS: peak of the service.",
    )
    table.add_column("scenario")
    for heading in (
        "readings/s",
        "ratio",
        "p50 ms",
        "p99 ms",
        "RSS MiB",
        "CPU service",
        "CPU database",
        "CPU load",
    ):
        table.add_column(heading, justify="right")
    table.add_column("to")
    table.add_column("answers")
    for line in lines:
        table.add_row(
            line.scenario,
            f"{line.rate:,.0f}" if line.rate else "",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            f"{line.p50_ms:.1f}" if line.p50_ms else "",
            f"{line.p99_ms:.1f}" if line.p99_ms else "",
            f"{line.rss_mib:.0f}" if line.rss_mib else "",
            f"{line.service_cpu_s:.1f}" if line.service_cpu_s else "",
            "" if line.database_cpu_s is None else f"{line.database_cpu_s:.1f}",
            f"{line.load_cpu_s:.1f}" if line.load_cpu_s else "",
            line.compared_with,
            answers_of(line),
        )
    _print(table)


def show_answers(lines: Sequence[answers.Answered], on: dict[str, Any]) -> None:
    """Print the table of answers."""
    table = Table(title=_title(on), caption="Limits are of the median; a ratio is of two medians.")
    table.add_column("answers")
    for heading in ("readings in history", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    table.add_column("limit")
    table.add_column("ratio", justify="right")
    table.add_column("to")
    for line in lines:
        table.add_row(
            line.scenario,
            f"{line.readings:,}",
            f"{line.p50_ms:.2f}",
            f"{line.p99_ms:.2f}",
            limits_of(line),
            "" if line.ratio is None else f"{line.ratio:.2f}",
            line.compared_with,
        )
    _print(table)


def show_columnstore(lines: Sequence[columnstore.Packed], on: dict[str, Any]) -> None:
    """Print the table of the columnstore."""
    table = Table(
        title=_title(on),
        caption="B: bytes a reading, with indexes. µs: a reading, of 1 % that comes again or late, "
        "in rows and in the columnstore.",
    )
    table.add_column("a day of readings")
    for heading in (
        *("readings", "rows B", "columnstore B", "limit B", "and 1 % late B", "taken in B"),
        *("rewritten B", "again µs, rows", "columnstore", "late µs, rows", "columnstore"),
    ):
        table.add_column(heading, justify="right")
    for line in lines:
        limit = tenths(line.limit_bytes)
        if (line.columnstore_bytes or 0) > (line.limit_bytes or inf):
            limit += " OVER"
        table.add_row(
            line.scenario,
            f"{line.readings:,}",
            *map(tenths, (line.rows_bytes, line.columnstore_bytes)),
            limit,
            *map(tenths, (line.late_bytes, line.updated_bytes, line.rewritten_bytes)),
            *map(tenths, (line.rows_resend_us, line.resend_us)),
            *map(tenths, (line.rows_late_us, line.late_us)),
        )
    _print(table)


def show_files(lines: Sequence[file_results.Moved], on: dict[str, Any]) -> None:
    """Print the table of files."""
    table = Table(
        title=_title(on),
        caption=" ".join(
            ["RSS: peak of the import's or the service's process. CPU: seconds per million."]
            + [line.note for line in lines if line.note]
        ),
    )
    table.add_column("files")
    for heading in ("readings", "MB", "readings/s", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("target")
    table.add_column("to")
    for heading in ("RSS MiB", "ratio to fewer", "limit", "CPU process", "CPU database"):
        table.add_column(heading, justify="right")
    for line in lines:
        target = "" if line.target_ratio is None else f"{line.target_ratio:g}"
        if line.ratio is not None and line.ratio < (line.target_ratio or 0):
            target += " UNDER"
        limit = "" if line.limit_rss_ratio is None else f"{line.limit_rss_ratio:g}"
        if (line.rss_ratio or 0) > (line.limit_rss_ratio or inf):
            limit += " OVER"
        table.add_row(
            line.scenario,
            f"{line.readings:,}",
            f"{line.bytes / 1e6:,.1f}",
            f"{line.rate:,.0f}" if line.rate else "",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            target,
            line.compared_with,
            f"{line.rss_mib:.0f}",
            "" if line.rss_ratio is None else f"{line.rss_ratio:.2f}",
            limit,
            *map(tenths, (line.process_cpu_s, line.database_cpu_s)),
        )
    _print(table)


def show_detected(found: detection.Detected, on: dict[str, Any]) -> None:
    """Print the table of anomalies."""
    fleets = len(found.seeds)
    table = Table(
        title=_title(on),
        caption=f"{fleets} simulated fleet{'s' if fleets > 1 else ''} (seeds "
        f"{', '.join(map(str, found.seeds))}) of {found.vehicles} vehicles, {found.days} days of "
        f"winter each; {found.readings:,} readings, stored in {found.stored_s:,.0f} s, evaluated "
        f"in {found.evaluated_s:,.0f} s. Delay: from when the evidence was complete; median.",
    )
    table.add_column("kind")
    for heading in ("faults", "found", "recall", "anomalies", "right", "precision", "cause right"):
        table.add_column(heading, justify="right")
    for heading in ("delay h", "within 2 h"):
        table.add_column(heading, justify="right")
    for line in found.scores:
        table.add_row(
            line.kind,
            *map(str, (line.faults, line.recalled)),
            at_least(line.recall, scoring.RECALL),
            *map(str, (line.anomalies, line.right)),
            at_least(line.precision, scoring.PRECISION),
            ""
            if not line.causes
            else at_least((line.causes_right or 0) / line.causes, scoring.CAUSES_RIGHT),
            f"{line.delay_h:.1f}",
            f"{line.in_time:.2f}",
        )
    _print(table)


def show_compared(lines: Sequence[Compared], on: dict[str, Any]) -> None:
    """Print the table of two versions."""
    table = Table(
        title=_title(on),
        caption=f"Old: {on['old']}. New: {on['new']}. Medians of pairs that were measured in turn; "
        "of the pairs' ratios, too.",
    )
    table.add_column("figure")
    table.add_column("unit")
    for heading in ("old", "new", "new ÷ old"):
        table.add_column(heading, justify="right")
    table.add_column("to reach")
    table.add_column("pairs", justify="right")
    for line in lines:
        table.add_row(
            line.figure,
            line.unit,
            *map(digits, (line.old, line.new)),
            "" if line.ratio is None else f"{line.ratio:.2f}",
            target_of(line),
            str(line.pairs),
        )
    _print(table)


def show_sides(lines: Sequence[Compared], on: dict[str, Any], sides: tuple[str, str]) -> None:
    """Print the table of two services that were measured at once."""
    table = Table(
        title=_title(on),
        caption="Medians of pairs that were measured at once; half of the pairs' ratios lie within "
        "the quartiles. Least: ratio of the least figures.",
    )
    table.add_column("CPU of the service")
    table.add_column("unit")
    for heading in (*sides, "ratio", "quartiles", "least"):
        table.add_column(heading, justify="right")
    table.add_column("to reach")
    table.add_column("pairs", justify="right")
    for line in lines:
        table.add_row(
            line.figure,
            line.unit,
            *map(digits, (line.old, line.new)),
            hundredths(line.ratio),
            f"{hundredths(line.low)} to {hundredths(line.high)}",
            hundredths(line.ratio_of_least),
            target_of(line),
            str(line.pairs),
        )
    _print(table)


def _title(on: dict[str, Any]) -> str:
    engine = f"TimescaleDB {on['timescaledb']}, " if on["timescaledb"] else ""
    return (
        f"{engine}PostgreSQL {on['postgresql']}, Python {on['python']}, "
        f"{on['cores']} cores, {on['cpu']}"
    )


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else 200).print(table)
