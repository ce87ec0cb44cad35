"""What a benchmark measures, and how much of it."""

from collections.abc import Callable

import msgspec

SCENARIOS = (
    *("bulk", "formats", "singles", "ages", "resend", "late", "overload", "latency"),
    *("known", "import", "export", "answers", "columnstore", "anomalies"),
)

COMPARED = ("bulk", "singles", "answers", "columnstore")
"""What two versions are compared by."""

Progress = Callable[[str, int, int], None]
"""Told the scenario, the readings (or answers) that are done and those that there will be."""


class AnswersOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much history the answers are about, and how often each is asked for."""

    fleet: int = 10_000
    """Vehicles, and as many meters."""

    hours: int = 26
    """Of the whole fleet. Windows are two hours shorter, so that either edge can cut an hour."""

    history_fleet: int = 500
    """Vehicles of the database whose history grows, and as many meters."""

    history_days: tuple[int, int, int] = (1, 10, 31)
    """What it has at first, what it grows to, and what it has for the daily series."""

    runs: int = 300
    """Of an answer about one vehicle."""

    fleet_runs: int = 10


class ColumnstoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much history is packed."""

    devices: int = 1000
    """Vehicles, and as many meters, that report for a day."""


class AnomalyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated fleets whose faults are looked for, and the large one that takes time."""

    vehicles: int = 200
    days: int = 30
    faults: int = 20
    """Of each kind."""

    seeds: tuple[int, ...] = (101,)
    """None of those that thresholds were tuned on."""

    evaluated: int = 10_000
    """Vehicles, and as many meters, of the fleet that takes time."""

    runs: int = 9


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much to measure."""

    devices: int = 10_000
    readings: int = 1_000_000
    """Of each scenario that goes as fast as it can."""

    exported: int = 10
    """How many times as many readings an export has."""

    seconds: float = 30.0
    """Of each scenario that has a rate."""

    soak_s: float = 0.0
    workers: int = 1
    answers: AnswersOptions = AnswersOptions()
    columnstore: ColumnstoreOptions = ColumnstoreOptions()
    anomalies: AnomalyOptions = AnomalyOptions()
    only: tuple[str, ...] = SCENARIOS
