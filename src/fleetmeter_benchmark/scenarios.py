"""Runs the scenarios of a benchmark, one after another."""

import msgspec

from fleetmeter.settings import Settings
from fleetmeter_benchmark import (
    answers,
    columnstore,
    detection,
    evaluation,
    export_file,
    file_results,
    import_file,
    influx,
    keys,
)
from fleetmeter_benchmark.ingest import Ingest
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared
from fleetmeter_benchmark.processes import database_process


class Round(msgspec.Struct):
    """Holds what was measured, in the order of the tables."""

    ingest: list[Measured]
    answers: list[answers.Answered]
    columnstore: list[columnstore.Packed]
    files: list[file_results.Moved]
    keys: list[Compared]
    influx: list[Compared]
    detected: detection.Detected | None = None


async def measure(
    server_url: str, settings: Settings, options: Options, progress: Progress
) -> Round:
    """Measure everything that was asked for, once. Raises FleetMeterError."""
    database = await database_process(server_url)
    ingest = Ingest(server_url, database, settings, options, progress)
    done = Round([], [], [], [], [], [])
    for scenario in options.only:
        match scenario:
            case "keys":
                done.keys = await keys.measure(server_url, options, progress)
            case "influx":
                done.influx = await influx.measure(server_url, options, progress)
            case "import":
                bulk = [await ingest.bulk(batch) for batch in (1000, 5000)]
                done.files += await import_file.measure(
                    server_url, database, options, progress, max(bulk, key=lambda line: line.rate)
                )
            case "export":
                done.files += await export_file.measure(server_url, database, options, progress)
            case "answers":
                done.answers += await answers.measure(
                    server_url, database, options.answers, progress
                )
            case "columnstore":
                done.columnstore = await columnstore.measure(
                    server_url, options.columnstore, progress
                )
            case "anomalies":
                done.answers += await evaluation.measure(server_url, options.anomalies, progress)
                done.detected = await detection.measure(server_url, options.anomalies, progress)
            case _:
                await ingest.measure(scenario)
    if options.soak_s:
        await ingest.measure("soak")
    done.ingest = ingest.lines
    return done
