"""X-Request-Id: taken from the request or made, in its answer, in logs and in the audit log."""

import re
import secrets
from itertools import count

from litestar.types import Scope

from fleetmeter.log import REQUEST_ID

HEADER = b"x-request-id"

_ID = re.compile(rb"[!-~]{1,64}")

_numbers = count()
_process = secrets.token_hex(6).encode()
"""What tells the ids that this process makes from those of others."""


def begin_request(scope: Scope) -> bytes:
    """Return the id of a request, and let it stand in the logs of this task.

    It is as it was sent, if that is 1 to 64 printable ASCII characters, and a new one otherwise.
    """
    for name, value in scope["headers"]:
        if name == HEADER and _ID.fullmatch(value):
            id_ = value
            break
    else:
        id_ = b"%b-%x" % (_process, next(_numbers))
    REQUEST_ID.set(id_.decode("ascii"))
    return id_


def request_id() -> str | None:
    """Return the id of the request that this task answers."""
    return REQUEST_ID.get()
