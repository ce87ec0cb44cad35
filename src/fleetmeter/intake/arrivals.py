"""Stamps readings of a wrong clock by their arrival, for devices that are set so.

Only what would be refused comes here. The newest reading of a device in a request is stamped by
its arrival, and the others as much earlier as their stamps say. What is sent again soon, with the
same stamp and values, keeps the time that it got first, so that it is stored once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple

import msgspec

from fleetmeter.database.pool import Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import Rejection, rfc3339
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.readings.validate import Bounds, Invalid, checked, invalid_item

CODES = frozenset({"in_future", "too_old"})
"""The codes of refusals that a wrong clock causes."""

_CACHED_FOR_S = 5.0
"""Lifetime of a device's cached setting, seconds."""

_MOST_DEVICES = 10_000
"""Maximum number of devices whose setting is cached."""

_AT_A_TIME = 2500
"""Readings that are looked at before others have their turn."""

_MILLISECOND = timedelta(milliseconds=1)

Device = tuple[str, str]
"""Kind and id."""


class Stamped(NamedTuple):
    """A reading that goes by its arrival."""

    place: int
    """The place of the item in its batch."""

    reading: Telemetry
    warning: Rejection


class Arrivals:
    """Stamps readings by their arrival where that is set for their device."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[Device, tuple[int | None, float]] = {}
        """The number of a device that is set so, None of one that is not; and until when."""

    async def stamped(
        self, items: Sequence[Telemetry], rejected: Iterable[Rejection]
    ) -> list[Stamped | Rejection]:
        """Return those of the rejected items that can be stored by their arrival.

        And of others whose device is set so, what else is wrong with them. Raises
        DatabaseUnavailableError.
        """
        refused: dict[Device, list[int]] = {}
        for number, rejection in enumerate(rejected, 1):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # others have their turn
            if rejection.code in CODES:
                refused.setdefault(_device(items[rejection.index]), []).append(rejection.index)
        if not refused:
            return []
        now = datetime.now(UTC)
        places: list[int] = []
        devices: list[int] = []
        times: list[datetime] = []
        wrong: list[Rejection] = []
        for device, number in (await self._numbers_of(list(refused))).items():
            sent = [_sent(items[place]) for place in refused[device]]
            for place, time in zip(refused[device], arrival_times(sent, now), strict=True):
                if len(places) % _AT_A_TIME == _AT_A_TIME - 1:
                    await asyncio.sleep(0)
                try:
                    checked(_at(items[place], time), Bounds(time, time))
                except Invalid as invalid:
                    wrong.append(invalid_item(place, invalid))
                else:
                    places.append(place)
                    devices.append(number)
                    times.append(time)
        if places:
            times = await self._recorded(devices, [items[place] for place in places], times)
        stamped = [
            Stamped(place, _at(items[place], time), _warning(place, items[place], time))
            for place, time in zip(places, times, strict=True)
        ]
        return [*stamped, *wrong]

    async def _numbers_of(self, devices: Sequence[Device]) -> dict[Device, int]:
        """Return the numbers of those devices that are set so."""
        clock = monotonic()
        cached = self._numbers
        unknown = [device for device in devices if cached.get(device, (None, 0.0))[1] < clock]
        if unknown:
            if len(cached) + len(unknown) > _MOST_DEVICES:
                cached.clear()
                unknown = list(devices)
            async with self._database.connection() as connection:
                rows = queries.stamped_by_arrival(
                    connection,
                    kinds=[kind for kind, _ in unknown],
                    ids=[id_ for _, id_ in unknown],
                )
                found = {(row["kind"], row["id"]): row["device"] async for row in rows}
            cached |= {device: (found.get(device), clock + _CACHED_FOR_S) for device in unknown}
        numbers = {device: cached[device][0] for device in devices}
        return {device: number for device, number in numbers.items() if number is not None}

    async def _recorded(
        self, devices: list[int], readings: list[Telemetry], times: list[datetime]
    ) -> list[datetime]:
        """Note what the clocks said; the times under which the readings are stored."""

        async def record() -> list[datetime]:
            async with self._database.transaction() as connection:
                stored: list[datetime] = await queries.stamp_readings(
                    connection,
                    devices=devices,
                    sent=[_sent(reading) for reading in readings],
                    times=times,
                    digests=[_digest(reading) for reading in readings],
                )
                return stored

        return await retried(record)


def arrival_times(sent: Sequence[datetime], now: datetime) -> list[datetime]:
    """Return when readings of a device that arrive together were made, by what lies between them.

    Those that have one stamp follow each other by a millisecond, in their order.
    """
    newest = max(sent)
    same: dict[datetime, int] = {}
    times = []
    for each in reversed(sent):
        same[each] = same.get(each, -1) + 1
        times.append(now - (newest - each) - same[each] * _MILLISECOND)
    return times[::-1]


def _device(item: Telemetry) -> Device:
    kind = next(kind for kind in KINDS if getattr(item, attribute(kind.id_field)) is not None)
    return kind.name, getattr(item, attribute(kind.id_field))


def _sent(item: Telemetry) -> datetime:
    assert item.timestamp is not None  # noqa: S101 - it was refused for what it says
    return item.timestamp


def _at(item: Telemetry, time: datetime) -> Telemetry:
    """Return the reading with another time; its interval is as long as before."""
    starts = item.interval_start
    if starts is not None and starts.tzinfo is not None:
        starts += time - _sent(item)
    return msgspec.structs.replace(item, timestamp=time, interval_start=starts)


def _digest(item: Telemetry) -> int:
    """Return a 64-bit digest of a reading's values."""
    values = msgspec.json.encode(item)
    return int.from_bytes(blake2b(values, digest_size=8).digest(), signed=True)


def _warning(place: int, item: Telemetry, time: datetime) -> Rejection:
    sent = rfc3339(_sent(item))
    detail = f"timestamp {sent} is implausible; stored with its arrival time, {rfc3339(time)}"
    return Rejection(place, "stamped_by_arrival", detail, "$.timestamp")
