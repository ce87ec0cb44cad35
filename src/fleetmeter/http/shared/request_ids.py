"""X-Request-Id: taken from the request or made, in its answer, in logs and in the audit log."""

import re
import secrets
from typing import Any

from litestar.types import Message, Scope

_HEADER = b"x-request-id"
_ID = re.compile(rb"[!-~]{1,64}")


def request_id(scope: Scope) -> str:
    """Return the id of a request: as it was sent, if it is 1 to 64 printable characters."""
    state: dict[str, Any] = scope["state"]
    if (known := state.get("request_id")) is not None:
        return str(known)
    sent = next((value for name, value in scope["headers"] if name == _HEADER), b"")
    state["request_id"] = made = (
        sent.decode("ascii") if _ID.fullmatch(sent) else secrets.token_hex(8)
    )
    return made


async def answer_with_id(message: Message, scope: Scope) -> None:
    """Add the id of its request to an answer."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (_HEADER, request_id(scope).encode())]
