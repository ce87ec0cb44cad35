"""Defines the job of the process that generates the load, and its result."""

import msgspec

from fleetmeter_benchmark.fleet import Traffic

WARM_UP = 0.1
"""Share of the work done before the clock starts; each device has reported by then."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Says what to do: as fast as answers come, or at a rate."""

    target: str
    """host:port of the service, or the URL of the database."""

    traffic: Traffic
    readings: int
    """Readings to send if there is no rate."""

    rate: float = 0.0
    """Readings a second, whatever becomes of them."""

    seconds: float = 0.0
    connections: int = 0
    """At a rate: most requests in flight; otherwise each group has one connection."""

    transaction: int = 0
    """Rows per transaction when sent straight into the database, without HTTP."""


class Result(msgspec.Struct, kw_only=True):
    """Holds the result of a load."""

    readings: int
    """Readings acknowledged, duplicates included."""

    handled: int
    """The same with the warm-up."""

    accepted: int
    """Readings reported as new, with the warm-up."""

    seconds: float
    latencies_ms: list[float]
    """Latency of each acknowledged request."""

    answers: dict[str, int]
    """Requests by status; `unsent` found no free connection, `lost` got no answer."""

    cpu_s: float
