"""Every metric of the service, as Prometheus reads them at /metrics; docs/metrics.md lists them.

Labels are bounded: routes, outcomes and codes of this program, never ids. With several processes,
each counts in files of PROMETHEUS_MULTIPROC_DIR (set before this is imported), which are added up
when somebody asks.
"""

from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

Protocol = Literal["http", "influx", "mqtt", "ocpp"]
"""How readings come in; each is a value of the label `protocol`."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series of each counter, which nothing here asks for

REGISTRY = CollectorRegistry()

READINGS = Counter(
    "fleetmeter_readings",
    "Readings that got an outcome: accepted, duplicate or rejected.",
    ["outcome", "protocol"],
    registry=REGISTRY,
)

REJECTED = Counter(
    "fleetmeter_rejected_readings",
    "Rejected readings by the code of their rejection.",
    ["code"],
    registry=REGISTRY,
)

UNTAKEN = Counter(
    "fleetmeter_untaken_messages",
    "Messages and fields of other programs that no rule of the mapping takes, by reason.",
    ["protocol", "reason"],
    registry=REGISTRY,
)

MQTT_MESSAGES = Counter(
    "fleetmeter_mqtt_messages",
    "Messages of MQTT that are done with: taken, untaken, malformed, or failed for a defect.",
    ["outcome"],
    registry=REGISTRY,
)

STORED = Counter(
    "fleetmeter_stored_readings",
    "Readings that writers took: appended (newer than all of their device) or merged (late ones).",
    ["path"],
    registry=REGISTRY,
)

COMMIT_SECONDS = Histogram(
    "fleetmeter_commit_seconds",
    "Time that a writer took to commit, tries included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)

COMMIT_READINGS = Histogram(
    "fleetmeter_commit_readings",
    "Readings that were committed together.",
    buckets=(1, 10, 100, 500, 1000, 2500, 5000, 10_000, 25_000),
    registry=REGISTRY,
)

COMMIT_FAILURES = Counter(
    "fleetmeter_commit_failures",
    "Commits that failed; their requests got 503, or went alone.",
    registry=REGISTRY,
)

REQUESTS = Counter(
    "fleetmeter_http_requests",
    "Requests by route and status; 499 is a client that was gone before it was answered.",
    ["method", "route", "status"],
    registry=REGISTRY,
)

REQUEST_SECONDS = Histogram(
    "fleetmeter_http_request_seconds",
    "Time from the head of a request to the end of its answer.",
    ["route"],
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)

Denial = Literal[
    "unauthenticated",
    "attempts",
    "scope",
    "reach",
    "site",
    "csrf",
    "rate",
    "connections",
    "malformed",
    "slow",
]
"""Why requests are turned away; each is a value of the label `reason`."""

_DENIED = Counter(
    "fleetmeter_denied_requests",
    "Requests and connections that were turned away, by the reason; docs/limits.md has them.",
    ["reason"],
    registry=REGISTRY,
)

WEBHOOKS = Counter(
    "fleetmeter_webhook_deliveries",
    "Deliveries to webhooks: accepted or failed.",
    ["outcome"],
    registry=REGISTRY,
)

STREAM_DROPPED = Counter(
    "fleetmeter_stream_dropped",
    "Clients of the stream that were dropped because they read too slowly.",
    registry=REGISTRY,
)

BACKGROUND_FAILURES = Counter(
    "fleetmeter_background_failures",
    "Rounds of background work that failed.",
    ["work"],
    registry=REGISTRY,
)


def _gauge(name: str, text: str, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
    return Gauge(f"fleetmeter_{name}", text, multiprocess_mode=mode, registry=REGISTRY)


QUEUE_READINGS = _gauge("queue_readings", "Readings that wait for their commit.")
QUEUE_BYTES = _gauge("queue_bytes", "Bytes of request bodies in progress.")
QUEUE_AGE = _gauge("queue_age_seconds", "Age of the oldest request that waits.", "livemax")
CONNECTIONS = _gauge("database_connections", "Open connections to the database.")
CONNECTIONS_IDLE = _gauge("database_connections_idle", "Open connections that nothing uses.")
MQTT_CONNECTED = _gauge("mqtt_connected", "Processes that are connected to the MQTT broker.")
MQTT_WAITING = _gauge("mqtt_waiting_messages", "Messages of MQTT that are not stored yet.")
STREAM_CLIENTS = _gauge("stream_clients", "Clients of the stream.")
CHARGE_POINTS = _gauge("charge_points", "Charge points that are connected by OCPP.")
LOOP_LAG = _gauge(
    "event_loop_lag_seconds", "Longest delay of the event loop in the last 15 seconds.", "livemax"
)
PROCESSES = _gauge("processes", "Processes that serve.")
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory of all processes.")
OPEN_FILES = _gauge("process_open_fds", "Open files and connections of all processes.")

CPU_SECONDS = Counter(
    "fleetmeter_process_cpu_seconds", "CPU time of all processes.", registry=REGISTRY
)


# Shown from the start, as 0: a rate needs two values.
for _label in ("accepted", "duplicate", "rejected"):
    READINGS.labels(_label, "http")
for _label in ("appended", "merged"):
    STORED.labels(_label)
for _label in ("accepted", "failed"):
    WEBHOOKS.labels(_label)
_denied = {reason: _DENIED.labels(reason) for reason in get_args(Denial)}


def count_denied(reason: Denial) -> None:
    """Count a request that is turned away."""
    _denied[reason].inc()
