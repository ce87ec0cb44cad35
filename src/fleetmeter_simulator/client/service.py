"""Talks to a running service over one connection, and retries when it does not answer."""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from fleetmeter.errors import FleetMeterError

_TIMEOUT_S = 60.0
_WAIT_S = (0.2, 5.0)
"""First and longest pause before a retry when the service does not name one."""
_LONGEST_RETRY_AFTER_S = 30.0
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_STEP_S = 0.2


class Answer(NamedTuple):
    """Holds the answer to a request."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def said(self) -> str:
        """Return the answer's message for people."""
        try:
            said = msgspec.json.decode(self.body)
            message = said.get("detail") or said.get("title") or said.get("message")
            return f"{self.status}: {message}"
        except (msgspec.DecodeError, AttributeError):
            return str(self.status)


class StoppedError(Exception):
    """Interrupts retries because it is time to stop."""


class Service:
    """Keeps one connection alive; for use by one thread."""

    def __init__(
        self,
        url: str,
        stopped: Callable[[], bool],
        waiting: Callable[[str], None],
        key: str | None = None,
    ) -> None:
        """Create a client, which sends a key, if any.

        `waiting` receives the reason for a retry, and an empty text once it worked.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FleetMeterError(
                f"{url} is not the URL of a service; write it like http://host:3000"
            )
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._stopped = stopped
        self._waiting = waiting

    def once(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> Answer:
        """Send a request once. Raises OSError when there is no answer."""
        headers = self._headers | ({"Content-Type": content_type} if content_type else {})
        try:
            self._connection.request(method, self._path + path, body, headers)
            response = self._connection.getresponse()
            return Answer(response.status, response.read(), response.getheader("Retry-After"))
        except (OSError, HTTPException) as error:
            self._connection.close()
            if isinstance(error, OSError):
                raise
            raise OSError(f"the answer cannot be read: {error!r}") from error

    def until_answered(self, method: str, path: str, body: bytes, content_type: str) -> Answer:
        """Resend a request until it is acknowledged or refused for good. Raises StoppedError."""
        pause, longest = _WAIT_S
        waited = False
        while True:
            try:
                answer = self.once(method, path, body, content_type)
            except OSError as error:
                why, wait = f"no answer ({error})", pause
            else:
                if answer.status not in _AGAIN:
                    if waited:
                        self._waiting("")
                    return answer
                why, wait = answer.said, pause
                if answer.retry_after is not None and answer.retry_after.isdecimal():
                    wait = min(float(answer.retry_after), _LONGEST_RETRY_AFTER_S)
            waited = True
            self._waiting(why)
            self._sleep(wait)
            pause = min(pause * 2, longest)

    def put_json(self, method: str, path: str, document: Any) -> None:
        """Send a document until it is accepted. Raises FleetMeterError if refused; StoppedError."""
        body = msgspec.json.encode(document)
        answer = self.until_answered(method, path, body, "application/json")
        if answer.status != 200:
            raise FleetMeterError(f"{method} {path} was refused, {answer.said}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopped():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _STEP_S))
        raise StoppedError


def check(url: str) -> None:
    """Check that a service answers at the URL. Raises FleetMeterError, which says what to do."""
    service = Service(url, lambda: False, lambda _: None)
    try:
        answer = service.once("GET", "/health/ready")
    except OSError as error:
        raise FleetMeterError(
            f"no service answers at {url} ({error}); start one with: fleetmeter serve"
        ) from error
    finally:
        service.close()
    if answer.status != 200:
        raise FleetMeterError(f"what answers at {url} is not ready, {answer.said}")
