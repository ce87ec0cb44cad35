"""Clients that are signed in as browsers are: with a cookie, and the token of the page."""

import httpx

NO_TOKEN = {"X-CSRF-Token": ""}
"""What a page sends that does not know the token."""


def signed_in(client: httpx.Client, key: str) -> httpx.Client:
    """Another client of a service, signed in with a key."""
    answer = client.post("/v1/session", json={"key": key})
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    token = {"X-CSRF-Token": answer.json()["csrfToken"]}
    return httpx.Client(base_url=client.base_url, timeout=30, cookies=answer.cookies, headers=token)
