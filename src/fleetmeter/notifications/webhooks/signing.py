"""Signatures of webhooks: Standard Webhooks 1.0.0 (https://www.standardwebhooks.com)."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a random secret for receivers to verify signatures: `whsec_`, 32 bytes in base64."""
    return _PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message; `timestamp` is the attempt's, seconds since 1970.

    The signature is `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
    """
    if "." in message_id:
        raise ValueError("a full stop in an id would let one message pass for another")
    key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
