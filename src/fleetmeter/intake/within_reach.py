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
from fleetmeter.readings.ids import is_device_id
from fleetmeter.readings.kinds import KINDS, DeviceKind
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.readings.validate import Invalid, invalid_id
from fleetmeter.slices import Slices

CODE = "forbidden_device"

_CACHED_FOR_S = 5.0
"""How long the site of a device is cached, seconds."""

_MOST_DEVICES = 10_000
"""How many devices it is cached for."""

_AT_A_TIME = 500
"""Items that are looked at in a slice."""

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


async def within_reach(
    items: Sequence[Telemetry | Invalid], reach: Reach, sites: Sites, slices: Slices
) -> Sorted:
    """Refuse the items that name a device out of reach. Raises DatabaseUnavailableError."""
    outside = []
    sorted_: list[Telemetry | Invalid] = []
    for first in range(0, len(items), _AT_A_TIME):
        if first:
            await slices.turn()
        sorted_ += items[first : first + _AT_A_TIME]
        named = [_named(item) for item in sorted_[first:]]
        if forbidden := await _forbidden(set(named), reach, sites):
            for place, ids in enumerate(named, first):
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
    forbidden = {}
    devices: dict[tuple[str | None, ...], list[tuple[DeviceKind, str]]] = {}
    for ids in named:
        each = [(kind, id_) for kind, id_ in zip(KINDS, ids, strict=True) if id_ is not None]
        # neither a pattern nor the database is tried on what is no id, of any length or characters
        if (wrong := next((kind for kind, id_ in each if not is_device_id(id_)), None)) is not None:
            forbidden[ids] = invalid_id(wrong.id_field)
        else:
            devices[ids] = each
    of: dict[Device, str | None] = {}
    if reach.sites:
        of = await sites.of((kind.name, id_) for each in devices.values() for kind, id_ in each)
    for ids, each in devices.items():
        for kind, id_ in each:
            if not reach.includes(id_, of.get((kind.name, id_))):
                detail = f"the {kind.name} {id_} is not within the reach of the key"
                forbidden[ids] = Invalid(CODE, detail, f"$.{kind.id_field}")
                break
    return forbidden
