"""Measures what the rules find in simulated fleets: the faults that were put in, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from fleetmeter.settings import Settings
from fleetmeter_benchmark.jobs import pause_jobs
from fleetmeter_benchmark.options import AnomalyOptions, Progress
from fleetmeter_benchmark.processes import fresh_database
from fleetmeter_benchmark.scoring import Scored, together
from fleetmeter_benchmark.watched_fleet import WatchedFleet, watched
from fleetmeter_simulator.faults.kinds import per_kind
from fleetmeter_simulator.fleet import Fleet


class Detected(msgspec.Struct, kw_only=True):
    """Holds the result of all fleets together, and what it took."""

    scores: list[Scored]
    seeds: tuple[int, ...]
    vehicles: int
    days: int
    readings: int
    stored_s: float
    evaluated_s: float


async def measure(
    server_url: str, settings: Settings, options: AnomalyOptions, progress: Progress
) -> Detected:
    """Run a fleet for each seed, each in a database of its own, side by side."""

    async def measured(seed: int) -> tuple[list[Scored], WatchedFleet]:
        async with fresh_database(server_url, 0) as url:
            rolls_up = await pause_jobs(url)
            async with watched(url, settings, _fleet(seed, options), rolls_up) as watch:
                await watch.live(f"anomalies: fleet {seed}", options.days, progress)
                return await watch.score(), watch

    fleets = await asyncio.gather(*map(measured, options.seeds))
    return Detected(
        scores=together([scores for scores, _ in fleets]),
        seeds=options.seeds,
        vehicles=options.vehicles,
        days=options.days,
        readings=sum(watch.readings for _, watch in fleets),
        stored_s=sum(watch.stored_s for _, watch in fleets),
        evaluated_s=sum(watch.evaluated_s for _, watch in fleets),
    )


def _fleet(seed: int, options: AnomalyOptions) -> Fleet:
    """Create a fleet whose month ends today, so that a service accepts its readings."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=options.days)
    return Fleet(
        seed,
        options.vehicles,
        start,
        options.days,
        season="winter",
        faults=per_kind(options.faults),
    )
