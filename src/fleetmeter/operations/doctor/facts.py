"""Facts about a database and its server, as they were found, for the checks to judge."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from fleetmeter.database.migrations import Engine

SETTINGS = (
    *("fsync", "full_page_writes", "synchronous_commit", "autovacuum"),
    *("max_worker_processes", "timescaledb.max_background_workers", "timescaledb.telemetry_level"),
    "archive_mode",
)
"""Settings of the server that the checks look at."""

Status = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check found, and what to do about it."""

    check: str
    status: Status
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """Report that nothing is wrong."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str) -> Finding:
    """Report what should be looked at, or may become an error."""
    return Finding(check, "warning", text, advice)


def error(check: str, text: str, advice: str) -> Finding:
    """Report what does not work, or may lose readings."""
    return Finding(check, "error", text, advice)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server and its connections; see the query server_facts for what may be null."""

    now: datetime
    version_num: int
    """As PostgreSQL counts: 170006 is 17.6."""

    timescaledb: str | None
    """Version of the extension in this database."""

    has_timescaledb: bool
    """Whether the server has the extension to install."""

    licence: str | None
    database_bytes: int
    usable_connections: int
    """Connections that are not reserved for superusers."""

    other_connections: int
    databases: int
    last_archived_at: datetime | None
    archive_failed_at: datetime | None
    """When archiving the write-ahead log failed last, if it has not succeeded since."""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """The connected role, and what fleetmeter_reader may read of secrets."""

    name: str
    is_superuser: bool
    is_owner: bool
    """Whether it owns the tables."""

    has_reader: bool
    readable_secrets: list[str]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What the database was migrated to."""

    engine: Engine | None
    """None: it was not migrated."""

    missing: list[str]
    unknown: list[str]
    """Migrations that this version does not have."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the database; last_run is None when it never ran."""

    id: int
    job: str
    every: timedelta
    paused: bool
    running: bool
    last_run: datetime | None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An access key that was not revoked."""

    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored, and how far the work on it has come."""

    devices: int
    newest_reading: datetime | None
    oldest_reading: datetime | None
    rollup_lag_s: float
    late_hours: int
    evaluated_until: datetime | None
    disabled_webhooks: list[int]
    """Their ids."""

    migrated_at: datetime
    """When the database was first migrated."""

    failing_jobs: list[tuple[str, str | None]]
    """Name and newest error."""

    jobs: list[Job]
    keys: list[Key]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the checks judge."""

    server: Server
    settings: Mapping[str, str]
    """Those of SETTINGS that the server has."""

    role: Role
    schema: Schema
    fleet: Fleet | None
    """None: its tables or routines are not there, as schema says."""

    clock_ahead_s: float
    """How far the database's clock is ahead of this machine's, seconds; less is negative."""

    clock_error_s: float
    """How far off that may be: half of the time that the question took."""

    embedded: bool
    free_bytes: int | None
    """Free space of the disk with the data, where it is known."""

    pool_size: int
    processes: int
    loopback: bool
    """Whether the service listens on loopback only."""
