"""Checks of the server: its versions, settings, limits, clock, disk and roles."""

from collections.abc import Iterator
from datetime import timedelta

from fleetmeter.database.migrations import OLDEST_SERVER
from fleetmeter.operations.amounts import duration, size
from fleetmeter.operations.doctor.facts import Facts, Finding, error, ok, warning
from fleetmeter.operations.doctor.versions import (
    LAST_LINE,
    breaks_jobs,
    mended_version,
    server_version,
)

SMALL_FLEET = 1_000
"""Devices that plain PostgreSQL is meant for: its rollups are views, slower as history grows."""

_DANGEROUS = {
    "fsync": "a crash of the machine can destroy the whole database",
    "full_page_writes": "a crash of the machine can destroy pages of the database",
    "synchronous_commit": "a crash loses readings that were acknowledged",
}
"""Settings that must not be off, and what happens otherwise."""

_CLOCK_WARNING_S, _CLOCK_ERROR_S = 2.0, 60.0
"""Differences between the clocks; readings may be stamped 5 minutes ahead."""

_FREE_WARNING, _FREE_ERROR = 2 << 30, 256 << 20
_DAYS_WARNING, _DAYS_ERROR = 30, 3
_DAYS_TO_ESTIMATE = 3
"""History from which its growth can be told, days."""

_WORKERS_BESIDE = 2
"""Background workers that PostgreSQL and TimescaleDB have running all the time."""

_WORKERS_FOR_JOBS = 2
"""Workers that jobs need at the least: one that lasts must not hold up the others."""


def versions(facts: Facts) -> Iterator[Finding]:
    """Check that PostgreSQL is supported, and works with this TimescaleDB."""
    server, version = facts.server, server_version(facts.server.version_num)
    major = server.version_num // 10_000
    if major < OLDEST_SERVER:
        yield error(
            "server",
            f"PostgreSQL {version} is not supported",
            f"upgrade it to PostgreSQL {OLDEST_SERVER} or newer",
        )
        return
    name = f"PostgreSQL {version}"
    if server.timescaledb is None:
        yield ok("server", name)
        return
    name += f" with TimescaleDB {server.timescaledb}"
    if breaks_jobs(server.version_num, server.timescaledb):
        yield error(
            "server",
            f'{name}: every scheduled job fails ("cannot drop portal")',
            f"update TimescaleDB to {mended_version(server.version_num, server.timescaledb)}",
        )
    elif major in LAST_LINE:
        line = ".".join(map(str, LAST_LINE[major]))
        yield warning(
            "server",
            f"{name}: {line} is its last line for PostgreSQL {major}",
            "plan an upgrade to PostgreSQL 17",
        )
    else:
        yield ok("server", name)


def engine(facts: Facts) -> Iterator[Finding]:
    """Check that the engine suits the fleet, and that TimescaleDB has the licence it needs."""
    if facts.schema.engine == "timescaledb":
        if facts.server.licence != "timescale":
            yield error(
                "engine",
                f"TimescaleDB has the licence {facts.server.licence}",
                "set timescaledb.license = 'timescale' in postgresql.conf and restart the server: "
                "rollups, columnstore and retention need it",
            )
        else:
            yield ok("engine", "timescaledb, licence timescale")
        return
    if facts.schema.engine is None:
        return
    name = "postgresql, embedded" if facts.embedded else "postgresql"
    devices = facts.fleet.devices if facts.fleet else 0
    if devices > SMALL_FLEET:
        yield warning(
            "engine",
            f"{name}, with {devices:,} devices: answers get slow",
            "move to TimescaleDB: fleetmeter export, and fleetmeter import into a new database",
        )
    elif facts.server.has_timescaledb:
        yield warning(
            "engine",
            f"{name}, although the server has TimescaleDB",
            "see its licence and shared_preload_libraries; an engine is chosen at the first "
            "migration: fleetmeter export, and fleetmeter import into a new database",
        )
    else:
        yield ok("engine", name)


def settings(facts: Facts) -> Iterator[Finding]:
    """Check settings that lose data or slow the database down."""
    found = False
    for name, harm in _DANGEROUS.items():
        if facts.settings.get(name) == "off":
            found = True
            yield error("settings", f"{name} is off: {harm}", f"set {name} = on")
    if facts.settings.get("autovacuum") == "off":
        found = True
        text = "autovacuum is off: tables grow, and plans go by old statistics"
        yield warning("settings", text, "set autovacuum = on")
    telemetry = facts.settings.get("timescaledb.telemetry_level", "off")
    if telemetry != "off":
        found = True
        text = f"timescaledb.telemetry_level is {telemetry}: the server reports to its makers"
        yield warning("settings", text, "set timescaledb.telemetry_level = off")
    if not found:
        yield ok("settings", "writes are safe from a crash, autovacuum is on")


def workers(facts: Facts) -> Iterator[Finding]:
    """Check that jobs of TimescaleDB find a background worker: each database takes one."""
    names = ("max_worker_processes", "timescaledb.max_background_workers")
    limits = [int(facts.settings[name]) for name in names if name in facts.settings]
    if facts.server.timescaledb is None or len(limits) < len(names):
        return
    processes, of_timescaledb = limits
    left = min(processes - _WORKERS_BESIDE, of_timescaledb) - facts.server.databases
    text = (
        f"max_worker_processes {processes} and timescaledb.max_background_workers "
        f"{of_timescaledb} for {facts.server.databases} databases"
    )
    if left < _WORKERS_FOR_JOBS:
        report = error if left < 1 else warning
        yield report(
            "workers",
            f"{text} leave {max(left, 0)} to jobs",
            "raise both (32 and 16 are enough for most) and restart the server",
        )
    else:
        yield ok("workers", f"{text} are enough")


def connections(facts: Facts) -> Iterator[Finding]:
    """Check that the server takes the connections of all processes of the service."""
    wanted = facts.pool_size * facts.processes
    usable, others = facts.server.usable_connections, facts.server.other_connections
    noun = "process" if facts.processes == 1 else "processes"
    text = (
        f"{facts.processes} {noun} of {facts.pool_size} connections (FLEETMETER_POOL_SIZE), and "
        f"{others} of other programs now; the server takes {usable}"
    )
    advice = "raise max_connections, or lower FLEETMETER_POOL_SIZE or the number of processes"
    if wanted > usable:
        yield error("connections", text, advice)
    elif wanted + others > usable:
        yield warning("connections", text, advice)
    else:
        yield ok("connections", text)


def clock(facts: Facts) -> Iterator[Finding]:
    """Check that the clocks of the database and of this machine agree."""
    certain_s = max(0.0, abs(facts.clock_ahead_s) - facts.clock_error_s)
    if certain_s < _CLOCK_WARNING_S:
        yield ok("clock", "the database's clock agrees with this machine's")
        return
    way = "ahead of" if facts.clock_ahead_s > 0 else "behind"
    apart = duration(timedelta(seconds=abs(facts.clock_ahead_s)))
    report = error if certain_s >= _CLOCK_ERROR_S else warning
    yield report(
        "clock",
        f"the database's clock is {apart} {way} this machine's",
        "set both by NTP (timedatectl set-ntp true): hours end by the database's, and readings "
        "are accepted by the service's",
    )


def disk(facts: Facts) -> Iterator[Finding]:
    """Check the free space, and how many days it lasts at the mean growth so far."""
    bytes_ = facts.server.database_bytes
    text = f"the database takes {size(bytes_)}"
    if facts.free_bytes is None:
        yield ok("disk", f"{text}; the free space of its disk is not known here")
        return
    oldest = facts.fleet.oldest_reading if facts.fleet else None
    history = None if oldest is None else facts.server.now - oldest
    days = days_until_full(facts.free_bytes, bytes_, history)
    text += f", {size(facts.free_bytes)} are free"
    text += "" if days is None else f": enough for about {days:,.0f} days"
    advice = "make space, lower FLEETMETER_RETENTION_DAYS, or move to a larger disk"
    least = float("inf") if days is None else days
    if facts.free_bytes < _FREE_ERROR or least < _DAYS_ERROR:
        yield error("disk", text, advice)
    elif facts.free_bytes < _FREE_WARNING or least < _DAYS_WARNING:
        yield warning("disk", text, advice)
    else:
        yield ok("disk", text)


def days_until_full(free: int, used: int, history: timedelta | None) -> float | None:
    """Return for how many days `free` bytes last if `used` came evenly over the history.

    None: the history is too short to tell.
    """
    if history is None or history < timedelta(days=_DAYS_TO_ESTIMATE) or used <= 0:
        return None
    return free / (used / (history / timedelta(days=1)))


def roles(facts: Facts) -> Iterator[Finding]:
    """Check that the service may do no more than it needs, and the reader sees no secrets."""
    role = facts.role
    what = "a superuser" if role.is_superuser else "the owner of the tables"
    if facts.embedded:
        yield ok("roles", "the embedded server has one role, for its folder's owner")
    elif role.is_superuser or role.is_owner:
        yield warning(
            "roles",
            f"{role.name} is {what}, and may change more than rows",
            "give the service a role of its own (docs/operations.md#roles), unless you ran this "
            "command with another role than the service's",
        )
    else:
        yield ok("roles", f"{role.name} may read and write rows, but not change the schema")
    if role.readable_secrets:
        tables = ", ".join(role.readable_secrets)
        yield error(
            "roles",
            f"fleetmeter_reader may read secrets ({tables})",
            f"revoke it: revoke all on {tables} from fleetmeter_reader; see also the roles that it "
            "is a member of",
        )
    elif role.has_reader:
        yield ok("roles", "fleetmeter_reader may not read keys, webhooks or the audit log")


def backup(facts: Facts) -> Iterator[Finding]:
    """Check that archiving works, where it is on; when `fleetmeter backup` ran is not recorded."""
    if facts.settings.get("archive_mode", "off") == "off":
        text = "continuous archiving is off; when fleetmeter backup last ran is not recorded"
        yield ok("backup", text)
    elif facts.server.archive_failed_at is not None:
        yield error(
            "backup",
            f"archiving failed at {facts.server.archive_failed_at:%Y-%m-%d %H:%M} UTC, and has not "
            "succeeded since",
            "see the server's log for what archive_command says; the disk fills up meanwhile",
        )
    elif facts.server.last_archived_at is None:
        text = "archiving is on, and has archived nothing yet"
        yield warning("backup", text, "see that archive_command works: pg_switch_wal()")
    else:
        at = f"{facts.server.last_archived_at:%Y-%m-%d %H:%M} UTC"
        yield ok("backup", f"archived last at {at}")
