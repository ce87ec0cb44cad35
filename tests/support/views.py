"""The views of the page, and where they are."""

import re
from collections.abc import Mapping

import httpx

from tests.support.depot import Depot
from tests.support.repository import ROOT

VIEWS: Mapping[str, str] = {
    "now": "/",
    "vehicles": "/vehicles",
    "vehicle": "/vehicles/:vehicle",
    "meters": "/meters",
    "meter": "/meters/:meter",
    "anomalies": "/anomalies",
    "anomaly": "/anomalies/:anomaly",
    "load": "/load",
    "settings": "/settings",
    "keys": "/settings/keys",
    "webhooks": "/settings/webhooks",
    "rules": "/settings/rules",
    "rule": "/settings/rules/:kind",
    "audit": "/settings/audit",
}
"""By name, with the patterns of their addresses; `:vehicle` is the first vehicle of the depot."""


def patterns() -> set[str]:
    """The patterns of src/fleetmeter/web/views/routes.js, with `:id` for what they name."""
    routes = ROOT / "src" / "fleetmeter" / "web" / "views" / "routes.js"
    return set(re.findall(r"pattern: '([^']+)'", routes.read_text(encoding="utf-8")))


def address(view: str, base_url: str, depot: Depot) -> str:
    """The path of a view, on the devices of the depot and its newest anomaly."""
    path = VIEWS[view]
    if path.endswith(":anomaly"):
        found = httpx.get(f"{base_url}/v1/anomalies", params={"limit": 1}).json()["items"]
        path = path.replace(":anomaly", str(found[0]["id"]))
    path = path.replace(":kind", "voltage_out_of_range")
    path = path.replace(":vehicle", depot.fleet.vehicles[0].vehicle_id)
    return path.replace(":meter", depot.fleet.meters[0].meter_id)
