"""Configures structured logs on standard error: one event per line, never a request's body."""

import logging
import sys
from contextvars import ContextVar
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from fleetmeter.settings import Settings
from fleetmeter.terminal import printable


def log_to_stderr() -> None:
    """Log what a command has to say that reads no settings; its results go to standard output."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_for_people(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _for_people() -> list[structlog.types.Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=_plain_traceback
    )
    return [_printable_values, renderer]


def _printable_values(_: object, __: str, event: structlog.types.EventDict) -> dict[str, Any]:
    """Escape what a terminal would take for commands; other values than texts are shown escaped."""
    return {
        name: printable(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _plain_traceback(output: TextIO, exc_info: structlog.types.ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    output.write(printable(text.getvalue()))


REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that the task answers."""


def configure_logging(settings: Settings, *, for_good: bool = False) -> None:
    """Render structlog's events and the standard library's records alike.

    `for_good`: loggers that were used stay as they are then, which is faster.
    """
    shared: list[structlog.types.Processor] = [
        _with_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.log_format == "json":
        render: list[structlog.types.Processor] = [
            # local variables would show bodies and passwords
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    else:
        render = _for_people()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    if settings.log_level == "info":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # we say ourselves that we listen
    # it says each time that the database is away, at length; the service says so itself
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=for_good,
    )


def _with_request_id(
    logger: object, method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Add the id of the request, where one is being answered."""
    if (id_ := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", id_)
    return event
