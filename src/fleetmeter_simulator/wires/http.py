"""Sends readings as requests of the service's own API."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.msgpack import CONTENT_TYPE, body
from fleetmeter_simulator.client.service import Answer, Service
from fleetmeter_simulator.wires.wire import OpenWire, Outcome


class _Rejection(msgspec.Struct):
    code: str
    detail: str


class _More(msgspec.Struct):
    code: str
    count: int


class _Answered(msgspec.Struct, rename="camel"):
    """The outcomes of a request, also in a problem if all were rejected."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[_Rejection] = []
    more_rejected: list[_More] = []


_answered = msgspec.json.Decoder(_Answered)


class Http:
    """Posts batches to /v1/ingest."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def send(self, batch: Sequence[Arrival]) -> Outcome:
        """Send readings until they are acknowledged. Raises StoppedError, FleetMeterError."""

        def post(some: Sequence[Arrival]) -> Answer:
            return self._service.until_answered("POST", "/v1/ingest", body(some), CONTENT_TYPE)

        return in_halves(batch, post, _outcome)

    def close(self) -> None:
        """Close the connection."""
        self._service.close()


def over_http(url: str, key: str | None) -> OpenWire:
    """Return what opens a wire to the service at a URL."""
    return lambda stopped, waiting: Http(Service(url, stopped, waiting, key))


def in_halves(
    batch: Sequence[Arrival],
    post: Callable[[Sequence[Arrival]], Answer],
    read: Callable[[Answer, int], Outcome | None],
) -> Outcome:
    """Post a batch, or if it is too large, its halves; return what `read` makes of the answers.

    Raises FleetMeterError for an answer that `read` knows nothing about (None).
    """
    answer = post(batch)
    if answer.status == 413 and len(batch) > 1:
        half = len(batch) // 2
        first, second = (in_halves(some, post, read) for some in (batch[:half], batch[half:]))
        return Outcome(
            first.accepted + second.accepted,
            first.duplicates + second.duplicates,
            first.codes + second.codes,
            second.example or first.example,
        )
    outcome = read(answer, len(batch))
    if outcome is None:
        raise FleetMeterError(f"the service refuses the readings, {answer.said}")
    return outcome


def _outcome(answer: Answer, count: int) -> Outcome | None:
    if answer.status not in (200, 207, 422):
        return None
    said = _answered.decode(answer.body)
    codes = Counter(each.code for each in said.rejected)
    for more in said.more_rejected:
        codes[more.code] += more.count
    example = said.rejected[-1].detail if said.rejected else ""
    return Outcome(said.accepted, said.duplicates, codes, example)
