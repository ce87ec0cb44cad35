"""Logs are for operators: events, never what a request carried."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fleetmeter.log import configure_logging
from fleetmeter.settings import Settings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail() -> None:
    body = "the-secret-of-a-request"
    raise ValueError(len(body))


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_logged_error_shows_no_values_of_variables(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(Settings(log_format=log_format))  # type: ignore[arg-type]
    try:
        fail()
    except ValueError:
        structlog.get_logger().error("request failed", exc_info=True)
    logged = capsys.readouterr().err
    assert "request failed" in logged
    assert "ValueError" in logged
    assert "the-secret-of-a-request" not in logged.replace('body = "the-secret', "")


def test_json_logs_are_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings())
    structlog.get_logger().info("listening", url="http://x")
    logging.getLogger("other").warning("careful")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["level"], first["url"]) == ("listening", "info", "http://x")
    assert (second["event"], second["level"]) == ("careful", "warning")
