"""POST /v1/ingest: readings of both kinds, each with its own outcome.

It is a raw ASGI route: for a device that posts one reading, resolving a handler's arguments and
building its request and response would cost more than the work itself.
"""

from collections.abc import Generator

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_207_MULTI_STATUS,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from litestar.types import Receive, Scope, Send

from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.problems import problem
from fleetmeter.http.shared.summaries import IngestAnswer, answer_of
from fleetmeter.http.shared.taking_in import take_in
from fleetmeter.intake.door import Door, IngestOutcome
from fleetmeter.readings.decode import BatchDecoder, BodyFormat
from fleetmeter.settings import Settings

_FORMATS: dict[bytes, BodyFormat] = {
    b"": "json",
    b"application/json": "json",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
    b"application/msgpack": "msgpack",
    b"application/x-msgpack": "msgpack",
    b"application/vnd.msgpack": "msgpack",
}

_encode = msgspec.json.Encoder().encode

_MANY = 10_000
"""Rejections whose answer waits for its turn to be encoded."""


@asgi("/v1/ingest", copy_scope=False, opt={SCOPE: "ingest"})
async def ingest(scope: Scope, receive: Receive, send: Send) -> None:
    """Decode, validate and commit readings, and answer with each one's outcome."""
    if scope.get("method") != "POST":
        raise MethodNotAllowedException(headers={"Allow": "POST"})
    state = scope["litestar_app"].state
    settings: Settings = state["settings"]
    headers = dict(scope["headers"])
    decoder = BatchDecoder(_format(headers), settings.max_batch)
    taken = await take_in(scope, receive, headers, decoder, "http", _explained)
    if taken is None:
        return  # nobody is there to be answered
    if isinstance(taken, IngestOutcome):
        await _answer(send, taken, HTTP_200_OK)
        return
    outcome, answer = taken
    if len(outcome.rejected) > _MANY:
        door: Door = state["door"]
        await door.slices.turn()
    if outcome.rejected and not outcome.accepted and not outcome.duplicates:
        raise _all_rejected(answer, len(outcome.rejected))
    await _answer(send, answer, HTTP_207_MULTI_STATUS if outcome.rejected else HTTP_200_OK)


def _explained(
    outcome: IngestOutcome,
) -> Generator[None, None, tuple[IngestOutcome, IngestAnswer]]:
    return outcome, (yield from answer_of(outcome))


def _format(headers: dict[bytes, bytes]) -> BodyFormat:
    content_type = headers.get(b"content-type", b"")
    format_ = _FORMATS.get(content_type) or _FORMATS.get(
        content_type.partition(b";")[0].strip().lower()
    )
    if format_ is None:
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {content_type.decode('latin-1')}; send application/json, "
            "application/x-ndjson or application/msgpack",
        )
    return format_


def _all_rejected(answer: IngestAnswer, count: int) -> Exception:
    return problem(
        HTTP_422_UNPROCESSABLE_ENTITY,
        answer.rejected[0].detail if count == 1 else f"all {count} readings were rejected",
        kind="all-rejected",
        **msgspec.to_builtins(answer),
    )


async def _answer(send: Send, outcome: IngestOutcome | IngestAnswer, status: int) -> None:
    body = _encode(outcome)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
