"""Anomalies within a reach, without what they say about devices outside it.

An anomaly may name other devices: the meter whose curve fits, the devices of a silent site. Its
evidence names them, each by an id of its own, and its summary may repeat them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries

Sites = Mapping[str, Mapping[str, str | None]]
"""The sites of devices, by id and kind."""


async def within(
    connection: Connection, anomalies: Iterable[Anomaly], reach: Reach
) -> list[Anomaly]:
    """Return the anomalies that are within reach, as it shows them."""
    found = list(anomalies)
    if reach.whole:
        return found
    sites = await sites_named(connection, found)
    return [shown for each in found if (shown := as_shown(each, reach, sites))]


async def sites_named(connection: Connection, anomalies: Iterable[Anomaly]) -> Sites:
    """Return the sites of the devices that anomalies are about, or name."""
    ids = {id_ for each in anomalies for id_ in (each.device_id, *_texts(each.evidence))}
    sites: dict[str, dict[str, str | None]] = defaultdict(dict)
    async for row in queries.devices_named(connection, ids=list(ids)):
        sites[row["id"]][row["kind"]] = row["site"]
    return sites


def as_shown(anomaly: Anomaly, reach: Reach, sites: Sites) -> Anomaly | None:
    """Return an anomaly as a limited reach shows it, or None when it is outside."""
    id_ = anomaly.device_id
    if anomaly.device_kind == "site":
        site: str | None = id_
        if reach.devices or id_ not in reach.sites:
            return None
    else:
        site = sites.get(id_, {}).get(anomaly.device_kind)
        if not reach.includes(id_, site):
            return None
    outside = {
        text
        for text in _texts(anomaly.evidence)
        if text != id_
        and not all(reach.includes(text, site) for site in sites.get(text, {}).values())
    }
    if anomaly.site != site:  # it has moved since
        anomaly = msgspec.structs.replace(anomaly, site=None)
    if not outside:
        return anomaly
    return msgspec.structs.replace(
        anomaly,
        summary=f"{RULES[anomaly.kind].title}, with a device that is not within your reach",
        evidence=_without(anomaly.evidence, outside),
    )


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, but for names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _without(value: Any, texts: set[str]) -> Any:
    """Return a JSON value without some texts, and without the fields that have them."""
    if isinstance(value, Mapping):
        return {name: _without(each, texts) for name, each in value.items() if not _is(each, texts)}
    if isinstance(value, list | tuple):
        return [_without(each, texts) for each in value if not _is(each, texts)]
    return value


def _is(value: Any, texts: set[str]) -> bool:
    return isinstance(value, str) and value in texts
