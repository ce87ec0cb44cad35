"""Read lists over HTTP: every page of one, or a day of readings."""

from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.conftest import rfc3339


def all_pages(client: httpx.Client, path: str, **params: Any) -> list[Any]:
    """The items of every page."""
    items: list[Any] = []
    while True:
        answer = client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) <= params["limit"]
        items += answer.json()["items"]
        if (cursor := answer.json()["nextCursor"]) is None:
            return items
        params["cursor"] = cursor


def history(client: httpx.Client, path: str, start: datetime, **params: Any) -> Any:
    """The readings of one day, of the device at `path`."""
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(days=1))}
    answer = client.get(f"{path}/readings", params=window | params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]
