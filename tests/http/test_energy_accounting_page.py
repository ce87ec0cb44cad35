"""docs/energy-accounting.md is true: sent in order, its requests get the answers it shows."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.conftest import Server, eventually, fresh_database, running_service
from tests.support.repository import ROOT

pytestmark = pytest.mark.either

PAGE = ROOT / "docs" / "energy-accounting.md"
EXAMPLES = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def empty_service(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service of the test's own that takes readings of any age."""
    with fresh_database(server) as url:
        environ = {"FLEETMETER_DATABASE_URL": url, "FLEETMETER_RETENTION_DAYS": "36500"}
        folder = tmp_path_factory.mktemp("page")
        with (
            running_service(folder, environ) as service,
            httpx.Client(base_url=service.base_url, timeout=30) as client,
        ):
            yield client


def has(answer: Any, shown: Any) -> bool:
    """Return whether an answer has every field and list item that the page shows."""
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(
            key in answer and has(answer[key], value) for key, value in shown.items()
        )
    if isinstance(shown, list):
        return len(answer) == len(shown) and all(map(has, answer, shown))
    if isinstance(shown, float):
        return bool(answer == pytest.approx(shown, abs=1e-8))
    return bool(answer == shown)


def test_the_worked_examples_are_true(empty_service: httpx.Client) -> None:
    def shows(path: str, shown: Any) -> bool:
        return has(empty_service.get(path).json(), shown)

    assert len(EXAMPLES) > 40
    for method, path, rest in EXAMPLES:
        texts = [text for text in rest.split("\n\n") if text.strip()]
        body = texts.pop(0) if method != "GET" else None
        answer = empty_service.request(
            method,
            path,
            content=body,
            headers={"Content-Type": "application/json"} if body else {},
        )
        assert answer.status_code in (200, 207), (path, answer.text)
        for text in texts:
            shown = json.loads(text)
            if method == "GET":  # the rollups may have to follow
                with suppress(AssertionError):
                    eventually(shows, path, shown)
                answer = empty_service.get(path)
            assert has(answer.json(), shown), (method, path, answer.json())
