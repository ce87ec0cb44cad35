"""The last answer on a connection of HTTP: a refusal before it closes, or that HTTP ends here."""

from collections.abc import Iterable

from litestar.status_codes import HTTP_101_SWITCHING_PROTOCOLS, HTTP_503_SERVICE_UNAVAILABLE
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fleetmeter.connections.problem_documents import MEDIA_TYPE, RETRY_AFTER_S, Problem


def last_answer(refusal: Problem, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a whole answer with a problem document, after which the connection closes."""
    body = refusal.encoded()
    head = [
        *headers,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if refusal.status == HTTP_503_SERVICE_UNAVAILABLE:
        head.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    lines = [b"%b: %b\r\n" % header for header in head]
    return b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body])


def switching(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the answer after which the connection is one of another protocol."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[HTTP_101_SWITCHING_PROTOCOLS], *lines, b"\r\n"])
