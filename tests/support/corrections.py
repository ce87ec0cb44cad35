"""Correct readings over HTTP."""

from typing import Any

import httpx

WHO = {"who": "anna@example.com", "reason": "the meter's factor was set wrong"}


def correct(client: httpx.Client, **correction: Any) -> httpx.Response:
    """Ask for one correction, in the name of `WHO`."""
    return client.post("/v1/corrections", json=WHO | correction)
