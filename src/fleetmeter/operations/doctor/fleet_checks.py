"""Checks of FleetMeter's own: schema, jobs, rollups, evaluation, webhooks and keys."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fleetmeter.operations.amounts import duration
from fleetmeter.operations.doctor.facts import Facts, Finding, Fleet, Job, error, ok, warning

_NO_SERVICE = "see that a service runs (fleetmeter serve), and what its log says"

_JOB_GRACE = timedelta(minutes=10)
_JOB_ROUNDS = 2
"""A job is overdue once it should have run that many times, and some minutes more."""

_ROLLUP_JOB = "policy_refresh_continuous_aggregate on quarter_hourly"

_ROLLUPS_WARNING, _ROLLUPS_ERROR = timedelta(hours=2), timedelta(days=1)
"""How far rollups may be behind the newest reading; normal is an hour and some minutes."""

_LATE_HOURS = 48
"""Hours that wait to be rolled up again; seconds after late readings there should be none."""

_EVALUATED_AFTER = timedelta(hours=1, minutes=5)
"""An hour is evaluated five minutes after it ends."""

_EVALUATION_WARNING, _EVALUATION_ERROR = timedelta(hours=2), timedelta(days=1)

_EXPIRES_SOON = timedelta(days=14)
_NEVER_USED = timedelta(days=7)


def migrations(facts: Facts) -> Iterator[Finding]:
    """Check that the schema is this version's."""
    schema = facts.schema
    if schema.unknown:
        yield error(
            "migrations",
            f"this version does not know {', '.join(schema.unknown)}: a newer one has migrated",
            "run the version that migrated the database, or a newer one",
        )
    if schema.missing:
        named = "the database was not migrated"
        if schema.engine is not None:
            named = f"not applied: {', '.join(schema.missing)}"
        yield error("migrations", named, "run: fleetmeter migrate")
    elif not schema.unknown and facts.fleet is None:
        yield error(
            "migrations",
            "routines of this version are missing, although all migrations were applied",
            "run: fleetmeter migrate",
        )
    elif not schema.unknown:
        yield ok("migrations", "all are applied")


def jobs(facts: Facts, fleet: Fleet) -> Iterator[Finding]:
    """Check that the database's own jobs succeed, and run when they should."""
    found = False
    for name, reason in fleet.failing_jobs:
        found = True
        text = f"{name} fails: {reason or 'its error is shown to its owner only'}"
        yield error("jobs", text, "see timescaledb_information.job_errors, and docs/operations.md")
    failing = {name for name, _ in fleet.failing_jobs}
    for job in fleet.jobs:
        if job.paused:
            found = True
            text, advice = f"{job.job} is paused", f"select alter_job({job.id}, scheduled => true)"
            yield warning("jobs", text, advice)
        elif job.job not in failing and is_overdue(job, fleet.migrated_at, facts.server.now):
            found = True
            last = "has never run" if job.last_run is None else f"ran last at {_time(job.last_run)}"
            yield error(
                "jobs",
                f"{job.job} {last}, although it is due every {duration(job.every)}",
                "see that background workers are free (the line on workers) and run: "
                "select _timescaledb_functions.start_background_workers()",
            )
    if not found:
        count = len(fleet.jobs)
        yield ok(
            "jobs",
            f"{count} run as they should"
            if count
            else "none in this database: the service does their work",
        )


def is_overdue(job: Job, since: datetime, now: datetime) -> bool:
    """Return whether a job has not run for longer than it may; `since` when it could first."""
    waits = now - (job.last_run or since)
    return not job.running and waits > _JOB_ROUNDS * job.every + _JOB_GRACE


def rollups(facts: Facts, fleet: Fleet) -> Iterator[Finding]:
    """Check that rollups follow the newest readings, and late ones."""
    idle = timedelta()
    if fleet.newest_reading is not None:
        idle = max(idle, facts.server.now - fleet.newest_reading)
    behind = timedelta(seconds=fleet.rollup_lag_s) - idle
    found = False
    if behind > _ROLLUPS_WARNING:
        found = True
        text = f"quarter hours are {duration(behind)} behind the newest reading: answers are slow"
        if (when := _next_rollup(facts, fleet)) is not None:
            yield warning("rollups", text, f"wait, as after an import: the job that does it {when}")
        else:
            report = error if behind > _ROLLUPS_ERROR else warning
            yield report("rollups", text, "see the lines on jobs and workers")
    if fleet.late_hours > _LATE_HOURS:
        found = True
        yield warning(
            "rollups",
            f"{fleet.late_hours:,} hours wait for their late readings to be rolled up: answers are "
            "right, but slower",
            f"after an import, wait while a service runs, which does them; otherwise {_NO_SERVICE}",
        )
    if not found:
        yield ok("rollups", f"up to date; {fleet.late_hours:,} hours with late readings wait")


def _next_rollup(facts: Facts, fleet: Fleet) -> str | None:
    """Return when the job that rolls quarter hours up runs; None if it does not as it should."""
    failing = {name for name, _ in fleet.failing_jobs}
    for job in fleet.jobs:
        if job.job != _ROLLUP_JOB or job.paused or job.job in failing:
            continue
        if job.running:
            return "is running"
        if not is_overdue(job, fleet.migrated_at, facts.server.now):
            due = (job.last_run or facts.server.now) + job.every
            return f"runs every {duration(job.every)}, next at about {_time(due)}"
    return None


def evaluation(facts: Facts, fleet: Fleet) -> Iterator[Finding]:
    """Check that the rules have been run over the hours that are over."""
    if fleet.evaluated_until is None:
        yield ok("evaluation", "no hour was searched for anomalies yet")
        return
    behind = facts.server.now - fleet.evaluated_until - _EVALUATED_AFTER
    text = f"anomalies were looked for up to {_time(fleet.evaluated_until)}"
    if behind > _EVALUATION_WARNING:
        report = error if behind > _EVALUATION_ERROR else warning
        yield report("evaluation", text, _NO_SERVICE)
    else:
        yield ok("evaluation", text)


def webhooks(facts: Facts, fleet: Fleet) -> Iterator[Finding]:
    """Check that no webhook was disabled."""
    for each in fleet.disabled_webhooks:
        yield warning(
            "webhooks",
            f"webhook {each} is disabled after too many failures",
            f"see fleetmeter webhook list, mend it, and run: fleetmeter webhook enable {each}",
        )
    if not fleet.disabled_webhooks:
        yield ok("webhooks", "none is disabled")


def keys(facts: Facts, fleet: Fleet) -> Iterator[Finding]:
    """Check that only those with a key are let in, and that keys neither expire nor lie unused."""
    now = facts.server.now
    found = False
    if not any(key.expires_at is None or key.expires_at > now for key in fleet.keys):
        found = True
        if facts.loopback:
            yield ok("keys", "none, and the service listens on loopback only")
        else:
            yield error(
                "keys",
                "none, although FLEETMETER_HOST is not loopback: the service does not start",
                "run: fleetmeter key create",
            )
    for key in fleet.keys:
        if key.expires_at is not None and key.expires_at <= now:
            found = True
            text = f"{key.name} expired at {_time(key.expires_at)}"
            yield warning("keys", text, "rotate it if it is in use, otherwise revoke it")
        elif key.expires_at is not None and key.expires_at - now < _EXPIRES_SOON:
            found = True
            left = duration(key.expires_at - now)
            text = f"{key.name} expires in {left}, at {_time(key.expires_at)}"
            yield warning("keys", text, "make a new one before, and give it to who uses it")
        elif key.last_used_at is None and now - key.created_at > _NEVER_USED:
            found = True
            text = f"{key.name} was never used since {_time(key.created_at)}"
            yield warning("keys", text, "revoke it if nobody needs it")
    if not found:
        yield ok("keys", f"{len(fleet.keys)}, none expires within {_EXPIRES_SOON.days} days")


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
