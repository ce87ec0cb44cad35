"""Configures structured logs on standard error: one event per line, never a request's body."""

import logging
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from fleetmeter.settings import Settings


def log_to_stderr() -> None:
    """Log what a command has to say that reads no settings; its results go to standard output."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def configure_logging(settings: Settings) -> None:
    """Render structlog's events and the standard library's records alike."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
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
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
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
        cache_logger_on_first_use=True,
    )
