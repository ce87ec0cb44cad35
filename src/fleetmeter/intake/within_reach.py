"""Readings of devices that their sender must not write: refused, and counted under no device.

Only for senders with a limited reach. What they send of others is refused item by item, before
anything is looked up or stored of it, and whatever else is wrong with it: nobody fills the lists of
rejections, or causes an anomaly, of a device that is not theirs.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from time import monotonic
from typing import NamedTuple

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.intake.rejection_counter import device_of
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.readings.validate import Invalid

CODE = "forbidden_device"

_CACHED_FOR_S = 5.0
"""How long the site of a device is cached, seconds."""

_MOST_DEVICES = 10_000
"""How many devices it is cached for."""

_ids_of = attrgetter(*(attribute(kind.id_field) for kind in KINDS))

Device = tuple[str, str]
"""Kind and id."""


class Sorted(NamedTuple):
    """A batch of which what is out of reach is refused."""

    items: Sequence[Telemetry | Invalid]
    outside: frozenset[int]
    """Places of the items that name a device out of reach."""


class Sites:
    """The sites of devices, at most five seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cached: dict[Device, tuple[str | None, float]] = {}
        """The site of a device, and until when that is known."""

    async def of(self, devices: Iterable[Device]) -> dict[Device, str | None]:
        """Return the site of each device, or None. Raises DatabaseUnavailableError."""
        wanted = set(devices)
        clock = monotonic()
        cached = self._cached
        sites = {
            device: known[0]
            for device in wanted
            if (known := cached.get(device)) is not None and known[1] >= clock
        }
        if unknown := list(wanted - sites.keys()):
            found = await retried(lambda: self._ask(unknown))
            asked = {device: found.get(device) for device in unknown[:_MOST_DEVICES]}
            if len(cached) + len(asked) > _MOST_DEVICES:
                cached.clear()
            cached |= {device: (site, clock + _CACHED_FOR_S) for device, site in asked.items()}
            sites |= {device: found.get(device) for device in unknown}
        return sites

    async def _ask(self, devices: Sequence[Device]) -> dict[Device, str | None]:
        async with self._database.connection() as connection:
            rows = queries.sites_of(
                connection, kinds=[kind for kind, _ in devices], ids=[id_ for _, id_ in devices]
            )
            return {(row["kind"], row["id"]): row["site"] async for row in rows}


async def within_reach(items: Sequence[Telemetry | Invalid], reach: Reach, sites: Sites) -> Sorted:
    """Refuse the items that name a device out of reach. Raises DatabaseUnavailableError."""
    named = [_named(item) for item in items]
    forbidden = await _forbidden(set(named), reach, sites)
    outside = []
    sorted_: list[Telemetry | Invalid] = list(items)
    if forbidden:
        for place, ids in enumerate(named):
            if (why := forbidden.get(ids)) is not None:
                outside.append(place)
                if not isinstance(sorted_[place], Invalid):
                    sorted_[place] = why
    return Sorted(sorted_, frozenset(outside))


def _named(item: Telemetry | Invalid) -> tuple[str | None, ...]:
    """Return the ids that an item names, in the order of KINDS: a vehicle's and its meter's."""
    if not isinstance(item, Invalid):
        ids: tuple[str | None, ...] = _ids_of(item)
        return ids
    kind, id_ = device_of(item)
    return tuple(id_ if each.name == kind else None for each in KINDS)


async def _forbidden(
    named: Iterable[tuple[str | None, ...]], reach: Reach, sites: Sites
) -> dict[tuple[str | None, ...], Invalid]:
    """Return those ids that are out of reach, and why."""
    devices = {
        ids: [(kind, id_) for kind, id_ in zip(KINDS, ids, strict=True) if id_ is not None]
        for ids in named
    }
    of: dict[Device, str | None] = {}
    if reach.sites:
        of = await sites.of((kind.name, id_) for each in devices.values() for kind, id_ in each)
    forbidden = {}
    for ids, each in devices.items():
        beyond = [
            (kind, id_) for kind, id_ in each if not reach.includes(id_, of.get((kind.name, id_)))
        ]
        for kind, id_ in beyond[:1]:
            detail = f"the {kind.name} {id_} is not within the reach of the key"
            forbidden[ids] = Invalid(CODE, detail, f"$.{kind.id_field}")
    return forbidden
