"""Writes the results of a benchmark as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fleetmeter_benchmark import scenarios
from fleetmeter_benchmark.options import Options
from fleetmeter_benchmark.pairs import Compared


def write(path: Path, figures: scenarios.Round, on: dict[str, Any], options: Options) -> None:
    """Write the results of all scenarios."""
    document = {
        "machine": on,
        "options": options,
        "results": figures.ingest,
        "answers": figures.answers,
        "columnstore": figures.columnstore,
        "files": figures.files,
        "keys": figures.keys,
        "influx": figures.influx,
        "detected": figures.detected,
    }
    _write(path, document)


def write_compared(
    path: Path, lines: Sequence[Compared], on: dict[str, Any], options: Options
) -> None:
    """Write the comparison of two versions."""
    _write(path, {"machine": on, "options": options, "compared": lines})


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
