"""What a writer has to do: the rows of each kind that share a commit."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import asyncpg

from fleetmeter.database.sql import queries
from fleetmeter.ingest.copy import meters_copy, vehicles_copy
from fleetmeter.ingest.memory import FOREVER
from fleetmeter.ingest.queue import Part
from fleetmeter.readings.model import KINDS, METER_COLUMNS, VEHICLE_COLUMNS, Kind, Row
from fleetmeter.readings.stored import meter_as_sent, vehicle_as_sent


class Writing(NamedTuple):
    """How readings of a kind are written."""

    name: Kind
    table: str
    columns: tuple[str, ...]
    copy: Callable[..., bytes]
    horizon: str
    last_times: Any
    advance: str
    merge: Any
    as_sent: Callable[[asyncpg.Record], Row]


VEHICLES = Writing(
    "vehicles",
    "vehicle_readings",
    VEHICLE_COLUMNS,
    vehicles_copy,
    "vehicles_rolled_up_before",
    queries.last_vehicle_times,
    queries.advance_vehicles.sql,
    queries.store_vehicle_readings,
    vehicle_as_sent,
)
METERS = Writing(
    "meters",
    "meter_readings",
    METER_COLUMNS,
    meters_copy,
    "meters_rolled_up_before",
    queries.last_meter_times,
    queries.advance_meters.sql,
    queries.store_meter_readings,
    meter_as_sent,
)

REGISTERS = (
    VEHICLES._replace(name="vehicle_registers", merge=queries.store_vehicle_registers),
    METERS._replace(name="meter_registers", merge=queries.store_meter_registers),
)

SENDS_A_REGISTER = "FM001"
"""SQLSTATE of refuse_register(): interval energy of a device that sends a register."""

key_of = itemgetter(0, 1)
"""A row's primary key."""


class Work:
    """The rows of one kind in one commit, in the order of their keys, each key once.

    Where a key comes with several values, the first counts; the others are in conflict with it.
    """

    def __init__(self, kind: Writing, parts: Sequence[Part]) -> None:
        self.kind = kind
        self._parts: list[list[Any]] = [getattr(part, kind.name) for part in parts]
        rows = sorted(chain.from_iterable(self._parts), key=key_of)
        self.rows: list[Any] = rows[:1] + [
            row for before, row in pairwise(rows) if row[1] != before[1] or row[0] != before[0]
        ]
        self._others = len(self.rows) < len(rows)
        self.fresh: list[Any] = []
        self.older: list[Any] = []
        self.late: list[Any] = []

    def owners(self, rows: Sequence[Any]) -> list[int]:
        """The number of the part that each of these rows came in."""
        if len(self._parts) == 1:
            return [0] * len(rows)
        owners = {id(row): number for number, part in enumerate(self._parts) for row in part}
        return [owners[id(row)] for row in rows]

    def count(self, rows: Sequence[Any], stored: list[int]) -> None:
        """Add to what is stored of each part."""
        if len(rows) == sum(map(len, self._parts)):
            for number, part in enumerate(self._parts):
                stored[number] += len(part)
        else:
            for number in self.owners(rows):
                stored[number] += 1

    def conflicts(self, as_stored: Mapping[tuple[str, int], Row]) -> set[Row]:
        """The rows whose values are not those that their key has in history now."""
        if not as_stored and not self._others:
            return set()
        kept = {**{key_of(row): row for row in self.rows}, **as_stored}
        return {row for row in chain.from_iterable(self._parts) if row != kept[key_of(row)]}


def works_of(kinds: Iterable[Writing], parts: Sequence[Part]) -> list[Work]:
    """What there is to do of these kinds."""
    return [work for kind in kinds if (work := Work(kind, parts)).rows]


def registers_first(parts: Sequence[Part]) -> set[tuple[Kind, str]]:
    """Devices that bring both kinds of energy, and a register's reading before all others.

    A device keeps to the kind that it shows first; interval energy is stored before registers, so
    theirs has to wait.
    """
    later: set[tuple[Kind, str]] = set()
    for kind, registers in zip((VEHICLES, METERS), REGISTERS, strict=True):
        firsts: dict[str, int] = {}
        for row in chain.from_iterable(getattr(part, registers.name) for part in parts):
            firsts[row[0]] = min(row[1], firsts.get(row[0], FOREVER))
        if firsts:
            rows = list(chain.from_iterable(getattr(part, kind.name) for part in parts))
            before = {row[0] for row in rows if row[1] <= firsts.get(row[0], FOREVER)}
            later |= {(kind.name, row[0]) for row in rows if row[0] not in before}
    return later


def share_of(part: Part, later: Set[tuple[Kind, str]], is_later: bool) -> Part:
    """What of a part is stored in the first turn, or later."""
    share = Part()
    for kind in KINDS:
        rows = [row for row in getattr(part, kind) if ((kind, row[0]) in later) == is_later]
        setattr(share, kind, rows)
    return share
