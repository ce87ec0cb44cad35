"""Runs the evaluation: each hour once it is over, late devices again, clocks every minute.

One replica at a time evaluates, in one session that holds an advisory lock. Hours, what the rules
remember, what they found and how far they are are stored in one transaction, so that whatever
interrupts it, the next run goes on where the last one ended. History is read before that, in no
transaction: its locks would make the database's policies wait, and all ingest behind them.

An hour is evaluated five minutes after its end. A later change of history is noted in late_devices
by the transaction that makes it, which decides by its own start time: from four minutes after the
end of an hour, a change of it counts as late. A transaction that began before and is still running
would be missed, so hours wait for those that have already written something, half an hour at most.
The only gap is a transaction that takes longer than a minute from its start to its first write.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import add
from time import perf_counter
from typing import NamedTuple

import structlog

from fleetmeter.anomalies.evaluation import reader
from fleetmeter.anomalies.evaluation.decide import evaluate_clocks
from fleetmeter.anomalies.evaluation.evaluate_hour import evaluate_hour, hours_at_once
from fleetmeter.anomalies.evaluation.late import WARMUP, Late, evaluate_late, forget_late
from fleetmeter.anomalies.evaluation.reader import HOUR, floor_hour
from fleetmeter.anomalies.evaluation.rejections import evaluate_rejections
from fleetmeter.anomalies.evaluation.state_store import all_states, store_states
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.model import Change, Hour, Subject
from fleetmeter.anomalies.overrides import all_overrides, rulebook_now
from fleetmeter.anomalies.rules.clock_skew import smallest_skews
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.background import stopped
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.queries import EvaluationProgressRow
from fleetmeter.database.sql import queries
from fleetmeter.readings.model import EPOCH

CLOSED_AFTER = timedelta(minutes=5)
"""Time from the end of an hour to its evaluation."""

LATE_AFTER = timedelta(minutes=4)
"""Time after the end of an hour from which a change is late; evaluated_before() in SQL."""

CLOCKS_EVERY = timedelta(minutes=1)
"""Interval at which clocks and removed devices are checked."""

_TURN_S = 5.0
"""Length of a turn, seconds; the remaining hours wait for the next one."""

_log = structlog.get_logger()


class Ran(NamedTuple):
    """The work done in a run."""

    hours: int = 0
    """Hours evaluated for the first time."""

    late_devices: int = 0
    """Late devices evaluated again."""

    events: tuple[int, ...] = ()
    """What was found in hours evaluated for the first time."""


def closed_until(now: datetime) -> datetime:
    """Return the time up to which hours are ready for the rules."""
    return floor_hour(now - CLOSED_AFTER)


class Evaluator:
    """Runs the evaluation on request; remembers when it checked clocks and how long it rests."""

    def __init__(self, database: Database, *, rests: bool = True) -> None:
        """`rests` leaves half of the time to everybody else."""
        self._database = database
        self._rests = rests
        self._clocks_at: datetime | None = None
        self._rests_until = 0.0

    async def run(self, now: datetime | None = None) -> Ran | None:
        """Evaluate everything that is due; return None while another process does.

        `now` is the time in a simulation. Raises DatabaseUnavailableError: what was not committed
        is done by the next run.
        """
        done = Ran()
        while True:
            if now is None:
                await asyncio.sleep(self._rests_until - perf_counter())
            async with self._database.connection() as connection:
                progress = await queries.evaluation_progress(connection)
            # of each turn: hours that are over meanwhile do not wait for a backlog
            at = now or progress["now"]
            if not self._is_due(progress, at):
                return done
            began = perf_counter()
            async with self._database.session() as connection:  # which frees the lock at its end
                if not await queries.begin_evaluation(connection):
                    return None if done == Ran() else done
                ran, is_last = await self._run(connection, at)
                took_s = perf_counter() - began
                took = timedelta(seconds=took_s)
                await queries.evaluation_ran(connection, at=at, took=took)
            if self._rests:  # whoever waits for the lock goes first
                self._rests_until = perf_counter() + took_s
            done = Ran(*map(add, done, ran))
            if is_last:
                return done

    async def look_at_clocks(self, at: datetime) -> None:
        """Check only the clocks, in a simulation. Raises DatabaseUnavailableError."""
        async with self._database.session() as connection:
            await _evaluate_clocks(connection, self._clocks_at or at - CLOCKS_EVERY, at)
        self._clocks_at = at

    def _is_due(self, progress: EvaluationProgressRow, at: datetime) -> bool:
        until = progress["evaluated_until"]
        is_closed = until is None or until < closed_until(at)
        return is_closed or progress["is_late"] or self._clocks_are_due(at)

    def _clocks_are_due(self, at: datetime) -> bool:
        before = self._clocks_at
        return before is None or not timedelta() <= at - before < CLOCKS_EVERY

    async def _run(self, connection: Connection, at: datetime) -> tuple[Ran, bool]:
        """Evaluate hours that are over, then late devices, as much as a turn holds, and clocks.

        Return what was done, and whether nothing is left.
        """
        progress = await queries.evaluation_progress(connection)
        until, closed = progress["evaluated_until"], await _closed_until(connection, at)
        if until is None:
            until = await _first_hour(connection, at, closed)
        clocks_are_due = self._clocks_are_due(at)
        if clocks_are_due or until < closed:
            await _retire(connection, at)
        start, late, found = until, Late(0, [], True), tuple[int, ...]()
        if until < closed:
            until, found = await _evaluate_hours(self._database, connection, until, closed)
        if until >= closed and progress["is_late"]:
            late = await evaluate_late(connection, until)
            await _log_found(connection, late.events)
        if clocks_are_due:
            await _evaluate_clocks(connection, self._clocks_at or at - CLOCKS_EVERY, at)
            self._clocks_at = at
        ran = Ran((until - start) // HOUR, late.devices, found)
        return ran, until >= closed and late.is_last


async def _first_hour(connection: Connection, at: datetime, closed: datetime) -> datetime:
    """Begin at the first hour that anything is stored of.

    An empty database is left as it is: the first import may bring it a history.
    """
    first = await queries.first_hour(connection, since=floor_hour(at - WARMUP))
    if first is None and await queries.first_hour(connection, since=EPOCH) is None:
        return closed
    until = min(first or closed, closed)
    await queries.evaluated(connection, until=until)
    await forget_late(connection, until)  # all hours are evaluated with what is here by now
    return until


async def _closed_until(connection: Connection, at: datetime) -> datetime:
    """Return the time up to which hours are over, so that whatever still comes counts as late."""
    closed = closed_until(at)
    oldest = await queries.oldest_write(connection)
    return closed if oldest is None else min(closed, floor_hour(oldest - LATE_AFTER))


async def _retire(connection: Connection, at: datetime) -> None:
    """End the anomalies of removed devices, and drop their states."""
    gone = {Subject(*row) async for row in queries.gone_subjects(connection)}
    if gone:
        async with connection.transaction():
            await store_states(connection, "hours", {}, gone)
            await store_states(connection, "clock", {}, gone)
            await store.close_removed(connection, gone, at)


async def _evaluate_hours(
    database: Database, connection: Connection, start: datetime, closed: datetime
) -> tuple[datetime, tuple[int, ...]]:
    """Evaluate hours of the whole fleet, from `start` to `closed` or as far as a turn goes.

    Of a backlog, the next hours are read on a second connection while the rules judge those before.
    Return how far that is, and the events.
    """
    turn_ends = perf_counter() + _TURN_S
    devices = await reader.roster(connection)
    states = await all_states(connection, "hours")
    step = hours_at_once(len(devices)) * HOUR

    async def read_ahead(begin: datetime) -> list[Hour]:
        async with database.connection() as beside:
            return await reader.hours(beside, begin, min(closed, begin + step), devices)

    hours = await reader.hours(connection, start, min(closed, start + step), devices)
    found = list[int]()
    while True:
        until = hours[-1].ends
        is_last = until == closed or perf_counter() > turn_ends
        ahead = [] if is_last else [asyncio.create_task(read_ahead(until))]
        try:
            found += await _judge(connection, hours, states)
            if is_last:
                return until, tuple(found)
            hours = await ahead[0]
        finally:
            await stopped(ahead)


async def _judge(
    connection: Connection, hours: Sequence[Hour], states: dict[Subject, DeviceState]
) -> list[int]:
    """Evaluate some hours, and store all that follows in one transaction; return the events."""
    changes: list[Change] = []
    touched: set[Subject] = set()
    rulebook = await rulebook_now(connection)
    for hour in hours:
        findings = await evaluate_hour(connection, hour, states, rulebook)
        changes += findings.changes
        touched |= findings.touched
    async with connection.transaction():
        await store_states(connection, "hours", states, touched)
        events = await store.apply(connection, changes, rulebook)
        await queries.evaluated(connection, until=hours[-1].ends)
    await _log_found(connection, events)
    return events


async def _evaluate_clocks(connection: Connection, since: datetime, at: datetime) -> None:
    """Check the clocks of devices that reported since then, and refused readings."""
    async with connection.transaction():
        overrides = await all_overrides(connection)
        rulebook = Rulebook(overrides)
        states = await all_states(connection, "clock")
        samples = await reader.clock_samples(connection, smallest_skews(overrides), since, states)
        findings = evaluate_clocks(samples, at, states, rulebook)
        await store_states(connection, "clock", states, findings.touched)
        events = await store.apply(connection, findings.changes, rulebook)
        events += await evaluate_rejections(connection, at, rulebook)
    await _log_found(connection, events)


async def _log_found(connection: Connection, events: Sequence[int]) -> None:
    """Log the number of findings by kind."""
    if events:
        rows = queries.kinds_found(connection, ids=events)
        if found := {row["kind"]: row["anomalies"] async for row in rows}:
            _log.info("anomalies found", **found)
