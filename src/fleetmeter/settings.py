"""Reads the settings from environment variables FLEETMETER_*, once, into a frozen Struct."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fleetmeter.errors import SettingsError
from fleetmeter.proxies import Proxies
from fleetmeter.webhook_networks import Networks

PREFIX = "FLEETMETER_"

FILE_SUFFIX = "_FILE"
"""FLEETMETER_X_FILE names a file with the value of FLEETMETER_X."""

_MAX_FILE_BYTES = 64 * 1024
"""Maximum size of such a file, bytes: secrets are small, and /dev/zero is not a secret."""

SAFE_URL = r"^(https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])([:/]\S*)?)$"
"""URLs that nobody on the way can change: HTTPS, or this machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `FLEETMETER_PORT=3001` sets `port`."""

    database_url: Annotated[str, Meta(pattern=r"^postgres(ql)?://")] | None = None
    """PostgreSQL or TimescaleDB to use; without one, an embedded PostgreSQL in `data_dir`."""

    data_dir: Path = Path("data")
    """Folder of the embedded PostgreSQL; created if it is missing."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on; other than loopback only if there is a key."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 3000
    """TCP port to listen on; 0 takes any free one."""

    admin_key: str | None = None
    """Key with all scopes, added at the start: `fm_<id>_<secret>`."""

    ingest_key: str | None = None
    """Key with the scope `ingest`, added at the start."""

    metrics_key: str | None = None
    """Key with the scope `metrics`, added at the start."""

    key_requests_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    """Requests that each key may send per second, per process; 0 for any number."""

    key_readings_per_s: Annotated[int, Meta(ge=0, le=100_000_000)] = 200_000
    """Readings that each key may send per second, per process; 0 for any number."""

    key_bytes_per_s: Annotated[int, Meta(ge=0, le=1 << 40)] = 64 * 1024 * 1024
    """Bytes of unpacked bodies of each key per second, per process; 0 for any number."""

    key: str | None = None
    """Key that the commands send which talk to a running service."""

    oidc_issuer: Annotated[str, Meta(pattern=SAFE_URL)] | None = None
    """OIDC issuer whose bearer tokens are accepted, exactly as its tokens say in `iss`."""

    oidc_audience: Annotated[str, Meta(min_length=1)] | None = None
    """What its tokens must have in `aud`."""

    oidc_scopes_claim: Annotated[str, Meta(min_length=1)] = "roles"
    """Claim whose values become scopes: a name, or a path with dots."""

    oidc_scopes: str = (
        "fleetmeter-ingest=ingest,fleetmeter-read=read,fleetmeter-operate=operate,"
        "fleetmeter-metrics=metrics,fleetmeter-admin=admin"
    )
    """Scopes of each value of that claim: VALUE=SCOPE+SCOPE, separated by commas."""

    oidc_sites_claim: Annotated[str, Meta(min_length=1)] | None = None
    """Claim with the sites that a person reaches, `*` for all; if unset, everybody reaches all."""

    oidc_client_id: Annotated[str, Meta(min_length=1)] | None = None
    """Client at the issuer by which people sign in to the live page; if unset, with keys alone."""

    oidc_client_secret: Annotated[str, Meta(min_length=1)] | None = None
    """Secret of that client; unset for a public client."""

    sign_in_idle_s: Annotated[int, Meta(ge=60, le=31_536_000)] = 8 * 3600
    """Time without a request after which a browser is signed out, seconds."""

    sign_in_longest_s: Annotated[int, Meta(ge=60, le=31_536_000)] = 7 * 86400
    """Time after which a browser is signed out in any case, seconds."""

    proxies: Proxies = Proxies()
    """Networks of the proxies in front of the service, whose headers are believed."""

    client_cert_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """Header in which they send the subject of a client's certificate."""

    pool_size: Annotated[int, Meta(ge=2, le=200)] = 10
    """Maximum number of database connections."""

    queries_waiting: Annotated[int, Meta(ge=0, le=100_000)] = 200
    """Requests that may wait for one of the database connections, per process."""

    database_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Longest wait for a connection or for one statement, seconds."""

    retention_days: Annotated[int, Meta(ge=4, le=36500)] = 400
    """Maximum age of an accepted reading, days; raw readings are kept at least that long."""

    reporting_interval_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    """Expected reporting interval of a device without a setting of its own, seconds."""

    coverage_tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Maximum difference in coverage at which the AC and DC of an hour are compared."""

    session_gap_s: Annotated[int, Meta(ge=1, le=86400)] = 900
    """Time without energy after which a charging session is over, seconds."""

    migrate: bool = True
    """Whether `fleetmeter serve` migrates the database before it starts."""

    mapping: Path | None = None
    """File that says which messages of other programs are readings of which device."""

    mqtt_url: str | None = None
    """MQTT broker whose messages are taken: mqtt://host:1883, or mqtts://host:8883 for TLS."""

    mqtt_user: Annotated[str, Meta(min_length=1)] | None = None
    """User name for the broker."""

    mqtt_password: Annotated[str, Meta(min_length=1)] | None = None
    """Password for the broker."""

    mqtt_ca: Path | None = None
    """File of the certificates that the broker's must come from; by default those of the system."""

    mqtt_cert: Path | None = None
    """File of the certificate that is shown to the broker."""

    mqtt_cert_key: Path | None = None
    """File of that certificate's private key, if it is not in the same file."""

    mqtt_version: Literal["5", "3.1.1"] = "5"
    """Version of MQTT."""

    mqtt_client_id: Annotated[str, Meta(pattern=r"^[!-~]{1,60}$")] | None = None
    """Client id, to which each process adds its number; by default that of the installation."""

    mqtt_share: Annotated[str, Meta(pattern=r"^[^\s/+#]{1,60}$")] | None = None
    """Group in which all processes share the messages; without one, one process takes them all."""

    mqtt_session_s: Annotated[int, Meta(ge=0, le=0xFFFF_FFFE)] = 7 * 86400
    """Time that the broker is to keep messages for a process that is away, seconds."""

    mqtt_in_flight: Annotated[int, Meta(ge=1, le=65_535)] = 10_000
    """Messages that each process takes before the first of them is acknowledged."""

    ocpp_sample_s: Annotated[int, Meta(ge=0, le=86400)] = 60
    """How often chargers are told to measure by OCPP, seconds; 0 to tell them nothing."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 16 * 1024 * 1024
    """Maximum size of a request body, compressed and unpacked, bytes."""

    body_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Maximum time for a request body to arrive, seconds."""

    connections: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    """Maximum number of connections, per process."""

    connections_per_address: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """Maximum number of connections from one address, per process."""

    max_head_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 32 * 1024
    """Maximum size of a request's head, bytes."""

    head_timeout_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """Maximum time from the start of a connection, or its last answer, to a request, seconds."""

    answer_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Maximum time for a client to take 64 KiB of an answer, or the rest of it, seconds."""

    answer_bytes: Annotated[int, Meta(ge=1024, le=1 << 32)] = 64 * 1024 * 1024
    """Maximum size of all answers that wait for slow clients, per process, bytes."""

    max_batch: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    """Maximum number of readings in one request."""

    writers: Annotated[int, Meta(ge=1, le=32)] = 2
    """Concurrent transactions that store readings, per process."""

    commit_readings: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    """Maximum number of readings in a transaction that several requests share."""

    commit_wait_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """Maximum time that a request waits for its commit before it is answered 503, seconds."""

    queue_readings: Annotated[int, Meta(ge=1, le=10_000_000)] = 50_000
    """Readings that may wait for their commit, per process; more are answered 503 at once."""

    queue_bytes: Annotated[int, Meta(ge=1024, le=1 << 32)] = 32 * 1024 * 1024
    """Maximum size of all request bodies in progress, per process, bytes."""

    stream_clients: Annotated[int, Meta(ge=0, le=10_000)] = 300
    """Maximum number of concurrent stream clients, per process."""

    stream_states_per_s: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Live states that the stream samples per second, per process."""

    webhook_networks: Networks = Networks("public")
    """Networks that webhooks may be sent to: `public`, 10.0.0.0/8, …; separated by commas."""

    webhook_attempts: Annotated[int, Meta(ge=1, le=1000)] = 20
    """Failures in a row after which a webhook is disabled; twenty take some hours."""

    public_url: Annotated[str, Meta(pattern=r"^https?://\S+[^\s/]$")] = "http://127.0.0.1:3000"
    """Public URL of the service: for links in webhooks, and for the issuer to send people back."""

    log_format: Literal["json", "console"] = "json"
    """Log format: one JSON object per line, or coloured text for people."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from `environ`; an empty value counts as not set.

    FLEETMETER_X_FILE names a file with the value of FLEETMETER_X: UTF-8, at most 64 KiB; one
    newline at its end is dropped.

    Raises SettingsError for a value that cannot be used, for a file that cannot be read, for X and
    X_FILE together, and for an unknown FLEETMETER_ name (FLEETMETER_TEST_* is left to the test
    suite).
    """
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_") and value
    }
    given = {
        name.removeprefix(PREFIX).lower(): value for name, value in _with_files_read(given).items()
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
        raise SettingsError(f"{names}: unknown setting; the README lists all settings") from None


def _with_files_read(given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in `given`, with the content of each X_FILE as the value of X."""
    values = dict(given)
    for name, path in given.items():
        setting = name.removesuffix(FILE_SUFFIX)
        if setting != name and setting.removeprefix(PREFIX).lower() in Settings.__struct_fields__:
            if setting in given:
                raise SettingsError(f"{setting} and {name} are both set; set only one of them")
            del values[name]
            if content := _content_of(name, path):
                values[setting] = content
    return values


def _content_of(name: str, path: str) -> str:
    """Return the text in a file, without the newline at its end."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise SettingsError(f"{name}: {path} has more than {_MAX_FILE_BYTES} bytes")
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: {path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: {path} cannot be read: {error}") from None


def _of_text(kind: type, value: str) -> Any:
    """Convert a text to a type that msgspec does not know: Path, Networks, Proxies."""
    return kind(value)
