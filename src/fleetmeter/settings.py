"""Settings: environment variables FLEETMETER_* read once into one frozen Struct."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fleetmeter.errors import SettingsError
from fleetmeter.networks import Networks

PREFIX = "FLEETMETER_"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. `FLEETMETER_PORT=3001` sets `port`."""

    database_url: Annotated[str, Meta(pattern=r"^postgres(ql)?://")] | None = None
    """PostgreSQL or TimescaleDB to use; without one, an embedded PostgreSQL in `data_dir`."""

    data_dir: Path = Path("data")
    """Folder of the embedded PostgreSQL; made when it is missing."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on. There is no authentication yet: keep to loopback or behind a proxy."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 3000
    """TCP port to listen on; 0 takes any free one."""

    pool_size: Annotated[int, Meta(ge=2, le=200)] = 10
    """Database connections at most."""

    database_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Longest wait for a connection or for one statement, seconds."""

    retention_days: Annotated[int, Meta(ge=4, le=36500)] = 400
    """How old an accepted reading may be, days; raw readings are kept at least that long."""

    reporting_interval_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    """How often a device is expected to report when nothing is set for it, seconds."""

    coverage_tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """By how much the time that AC and DC readings of an hour cover may differ to be compared."""

    session_gap_s: Annotated[int, Meta(ge=1, le=86400)] = 900
    """Without energy for longer than this, a charging session is over, seconds."""

    migrate: bool = True
    """Whether `fleetmeter serve` migrates the database before it starts."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 16 * 1024 * 1024
    """Largest request body, bytes, as it is and unpacked."""

    body_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Longest that a request body may take to arrive, seconds."""

    max_batch: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    """Most readings in one request."""

    writers: Annotated[int, Meta(ge=1, le=32)] = 2
    """Transactions that store readings at the same time, in each process."""

    commit_readings: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Most readings that requests share one transaction for."""

    commit_wait_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """Longest that a request waits for its commit before it is answered 503, seconds."""

    queue_readings: Annotated[int, Meta(ge=1, le=10_000_000)] = 50_000
    """Readings that may wait for their commit, in each process; more are answered 503 at once."""

    queue_bytes: Annotated[int, Meta(ge=1024, le=1 << 32)] = 32 * 1024 * 1024
    """Most bytes of request bodies that are being worked on, in each process."""

    stream_clients: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """Clients that may listen to the stream at the same time, in each process."""

    stream_states_per_s: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Live states that the stream shows, of all that change, a second and in each process."""

    webhook_networks: Networks = Networks("public")
    """Where webhooks may be sent to: `public`, and networks as 10.0.0.0/8, separated by commas."""

    webhook_attempts: Annotated[int, Meta(ge=1, le=1000)] = 20
    """After so many failures in a row a webhook is disabled; twenty take some hours."""

    public_url: Annotated[str, Meta(pattern=r"^https?://\S+[^\s/]$")] = "http://127.0.0.1:3000"
    """Where people reach the service, for the links in webhooks."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or coloured text for people."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from `environ`; an empty value counts as not set.

    Raises SettingsError: a value that cannot be used, or a FLEETMETER_ name that does not exist
    (FLEETMETER_TEST_* is left to the test suite).
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_") and value
    }
    try:
        return msgspec.convert(given, Settings, strict=False, dec_hook=_of_text)
    except msgspec.ValidationError as error:
        text = str(error)
        reason, _, path = text.partition(" - at `$.")
        if path:
            raise SettingsError(f"{PREFIX}{path.rstrip('`').upper()}: {reason}") from None
        unknown = sorted(set(given) - set(Settings.__struct_fields__))
        names = ", ".join(f"{PREFIX}{name.upper()}" for name in unknown) or text
        raise SettingsError(f"{names}: there is no such setting; see the README's table") from None


def _of_text(kind: type, value: str) -> Any:
    """The types that msgspec does not know itself: Path, Networks."""
    return kind(value)
