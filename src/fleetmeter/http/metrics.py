"""GET /metrics for Prometheus."""

from litestar import get
from litestar.di import NamedDependency
from litestar.response import Response
from prometheus_client import CONTENT_TYPE_LATEST

from fleetmeter.http.shared.authentication import EVEN_STALE, SCOPE
from fleetmeter.operations.monitoring import Monitor


@get("/metrics", include_in_schema=False, opt={SCOPE: "metrics", EVEN_STALE: True})
async def metrics(monitor: NamedDependency[Monitor]) -> Response[bytes]:
    """Return all metrics in the text format of Prometheus."""
    return Response(await monitor.exposition(), media_type=CONTENT_TYPE_LATEST)
