"""OpenTelemetry traces: on when the standard OTEL_* variables say where they go.

They need the extra `traces`. Off, none of its packages is imported, and a span is a context manager
that does nothing. Spans have the names of routes and queries, numbers and statuses: no addresses,
bodies, headers, values or messages of errors.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

import structlog

from fleetmeter import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_FLUSH_S = 3.0
"""Maximum time that stopping waits for the last spans to be sent."""

_NONE: AbstractContextManager[None] = nullcontext()

_log = structlog.get_logger()

_tracer: "Tracer | None" = None


def are_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the OTEL_* variables ask for traces by OTLP."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter not in ("", "otlp"):
        return False
    return exporter == "otlp" or any(environ.get(name) for name in _ENDPOINTS)


@asynccontextmanager
async def exported() -> AsyncIterator[None]:
    """Export the spans of the block, if they are wanted and the extra is installed."""
    global _tracer
    provider = _provider() if are_wanted() else None
    if provider is None:
        yield
        return
    _tracer = provider.get_tracer("fleetmeter", __version__)
    try:
        yield
    finally:
        _tracer = None
        # it blocks; a collector that does not answer must not hold up the end
        flushing = asyncio.to_thread(provider.force_flush, int(_FLUSH_S * 1000))
        try:
            await asyncio.wait_for(flushing, _FLUSH_S)
        except TimeoutError:
            _log.warning("the last traces were not sent in time")


def _provider() -> "TracerProvider | None":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("OTEL_* asks for traces: pip install 'fleetmeter[traces]'")
        return None
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create(
        {"service.version": __version__} | ({} if named else {"service.name": "fleetmeter"})
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def span(
    name: str,
    kind: Literal["internal", "client"] = "internal",
    **attributes: int | str,
) -> "AbstractContextManager[Span | None]":
    """Return a span around a block, the parent of those within; None if traces are off.

    An attribute `a_b` is shown as `fleetmeter.a_b`.
    """
    if _tracer is None:
        return _NONE
    return _current(
        _tracer, name, kind, {f"fleetmeter.{key}": it for key, it in attributes.items()}
    )


def request_span(
    method: str, headers: list[tuple[bytes, bytes]]
) -> "AbstractContextManager[Span | None]":
    """Return a span around a request, within the trace that its headers name (W3C by default)."""
    if _tracer is None:
        return _NONE
    from opentelemetry.propagate import extract

    carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers}
    return _current(_tracer, method, "server", {"http.request.method": method}, extract(carrier))


def name_route(current: "Span", method: str, route: str) -> None:
    """Name a request's span by its route, once that is known."""
    current.update_name(f"{method} {route}")
    current.set_attribute("http.route", route)


def show_answer(current: "Span", status: int | None, *, failed: bool) -> None:
    """Show the status of an answer, None if there was none, and whether it is a failure."""
    from opentelemetry.trace import Status, StatusCode

    if status is not None:
        current.set_attribute("http.response.status_code", status)
    if failed:
        current.set_status(Status(StatusCode.ERROR))


@contextmanager
def _current(
    tracer: "Tracer",
    name: str,
    kind: str,
    attributes: Mapping[str, int | str],
    parent: "Context | None" = None,
) -> Iterator["Span | None"]:
    from opentelemetry.trace import SpanKind

    with (
        tracer.start_as_current_span(
            name,
            parent,
            SpanKind[kind.upper()],
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as current,
        _marked(current),
    ):
        yield current


@contextmanager
def _marked(current: "Span") -> Iterator[None]:
    """Show that the block failed, and by what kind of error: its message may contain values."""
    from opentelemetry.trace import Status, StatusCode

    try:
        yield
    except Exception as error:
        current.set_attribute("error.type", type(error).__qualname__)
        current.set_status(Status(StatusCode.ERROR))
        raise


def traced_query(name: str, query: Callable[..., Any]) -> Callable[..., Any]:
    """Return a named query that has a span within each span that asks it.

    What runs all the time in the background has none.
    """
    from opentelemetry.trace import get_current_span

    @wraps(query)
    def asked(*args: Any, **parameters: Any) -> Any:
        answer = query(*args, **parameters)
        if _tracer is None or not get_current_span().is_recording():
            return answer
        within = _of_query(_tracer, name)
        return _rows(within, answer) if hasattr(answer, "__aiter__") else _value(within, answer)

    return asked


@contextmanager
def _of_query(tracer: "Tracer", name: str) -> Iterator[None]:
    """Make a span that is no parent: a generator may end in another context."""
    from opentelemetry.trace import SpanKind

    attributes = {"db.system.name": "postgresql", "db.query.summary": name}
    current = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
    try:
        with _marked(current):
            yield
    finally:
        current.end()


async def _rows(within: AbstractContextManager[None], answer: Any) -> AsyncIterator[Any]:
    with within:
        async with aclosing(answer):
            async for row in answer:
                yield row


async def _value(within: AbstractContextManager[None], answer: Awaitable[Any]) -> Any:
    with within:
        return await answer
