"""Texts that follow from a secret, and do not lead back to it. Pure."""

import hmac
from base64 import urlsafe_b64encode


def derived_text(secret: str, purpose: str) -> str:
    """Return the text that follows from a secret for a purpose: HMAC-SHA256, as base64url."""
    return base64url(hmac.digest(secret.encode(), purpose.encode(), "sha256"))


def base64url(value: bytes) -> str:
    """Return bytes as base64url without padding (RFC 7636, appendix A)."""
    return urlsafe_b64encode(value).decode().rstrip("=")
