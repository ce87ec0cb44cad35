"""Defines what a benchmark measures, and how much of it."""

from collections.abc import Callable

import msgspec

SCENARIOS = (
    *("bulk", "formats", "singles", "ages", "resend", "late", "overload", "latency"),
    *("known", "keys", "influx", "mqtt", "ocpp", "import", "export"),
    *("answers", "columnstore", "anomalies"),
)

COMPARED = ("bulk", "singles", "answers", "columnstore")
"""Scenarios by which two versions are compared."""

Progress = Callable[[str, int, int], None]
"""Receives the scenario, and how many readings (or answers) are done and will be."""


class AnswersOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Says how much history the answers are about, and how often each is asked for."""

    fleet: int = 10_000
    """Vehicles, and as many meters."""

    hours: int = 26
    """Hours of the whole fleet. Windows are two hours shorter, so that either edge can cut an hour.
    """

    history_fleet: int = 500
    """Vehicles of the database whose history grows, and as many meters."""

    history_days: tuple[int, int, int] = (1, 10, 31)
    """Days of history at first, after it has grown, and for the daily series."""

    runs: int = 300
    """Runs of an answer about one vehicle."""

    fleet_runs: int = 10


class ColumnstoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Says how much history is packed."""

    devices: int = 1000
    """Vehicles, and as many meters, that report for a day."""


class AnomalyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Describes the simulated fleets with faults, and the large one that is timed."""

    vehicles: int = 200
    days: int = 30
    faults: int = 20
    """Faults of each kind."""

    seeds: tuple[int, ...] = (101,)
    """Seeds of the fleets; thresholds were tuned on none of them."""

    evaluated: int = 10_000
    """Vehicles, and as many meters, of the fleet that is timed."""

    runs: int = 9


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Says how much to measure."""

    devices: int = 10_000
    readings: int = 1_000_000
    """Readings in each scenario that runs at full speed."""

    exported: int = 10
    """Readings in an export, as a multiple of `readings`."""

    seconds: float = 30.0
    """Length of each scenario that runs at a given rate."""

    pairs: int = 40
    """Rounds in which two services are measured at once."""

    charge_points: int = 10_000
    """Charge points that are connected, most of them idle."""

    soak_s: float = 0.0
    workers: int = 1
    answers: AnswersOptions = AnswersOptions()
    columnstore: ColumnstoreOptions = ColumnstoreOptions()
    anomalies: AnomalyOptions = AnomalyOptions()
    only: tuple[str, ...] = SCENARIOS
