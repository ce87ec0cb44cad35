"""Messages about transactions, in any order and any number of times, end in what a model says."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import Database
from fleetmeter.devices.assignments import assign
from fleetmeter.devices.tokens import set_holder
from fleetmeter.devices.transactions import Start, begin, finish
from tests.conftest import (
    EXAMPLES,
    SLOW_EXAMPLES,
    Db,
    eventually,
    hours_ago,
    new_uid,
    post,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.transaction_model import Began, Charge, Depot, Ended, Held, Said
from tests.support.transactions import Station, reporting

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
MOST_MINUTES = 30


class Drawn(NamedTuple):
    """A transaction: where, whose, when (minutes), and what becomes known of it."""

    station: int
    connector: int
    token: str | None
    start: int
    lasts: int | None
    has_own_id: bool
    start_is_lost: bool


class Stated(NamedTuple):
    """A person's assignment, at a minute."""

    vehicle: int
    meter: str | None
    minute: float


drawn = st.builds(
    Drawn,
    st.integers(0, 1),
    st.integers(1, 2),
    st.sampled_from(["a", "A", "b", "c", "x", None]),
    st.integers(0, 15),
    st.none() | st.integers(0, 15),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)
stated = st.builds(
    Stated,
    st.integers(0, 1),
    st.sampled_from(["M0", "M1", None]),
    st.integers(-2, 20) | st.just(7.5),
)


class Case(NamedTuple):
    """What is said, and in which order it arrives: positions, some of them more than once."""

    drawn: list[Drawn]
    stated: list[Stated]
    order: list[int]
    is_mapped_last: bool
    is_at_once: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    some = draw(st.lists(drawn, min_size=1, max_size=7))
    people = draw(st.lists(stated, max_size=3, unique_by=lambda each: each[::2]))
    every = range(2 * len(some) + len(people) + 1)
    again = draw(st.lists(st.sampled_from(every), max_size=6))
    order = draw(st.permutations([*every, *again]))
    return Case(some, people, list(order), draw(st.booleans()), draw(st.booleans()))


@pytest.fixture(scope="module")
def station(database_url: str) -> Iterator[Station]:
    with reporting(database_url) as station:
        yield station


def depot_of(case: Case, uid: str, start: datetime) -> Depot:
    charges = []
    for number, each in enumerate(case.drawn):
        began = Began(
            station=f"{uid}S{each.station}",
            connector=each.connector,
            own_id=f"own-{number}" if each.has_own_id else None,
            token=each.token and uid + each.token,
            at=start + each.start * MINUTE,
            register=100.0 + number,
        )
        ended = (
            None
            if each.lasts is None
            else Ended(began.at + each.lasts * MINUTE, began.register + 5)
        )
        is_lost = each.start_is_lost and each.has_own_id
        if ended or not is_lost:
            charges.append(Charge(began, ended, is_lost))
    v0, v1 = f"{uid}V0", f"{uid}V1"
    tokens = [("a", v0, -5), ("b", v1, -5), ("c", v1, -5), ("c", v0, 8)]
    holders = [Held(f"{uid}{t}".lower(), v, start + m * MINUTE) for t, v, m in tokens]
    said = [
        Said(f"{uid}V{s.vehicle}", s.meter and uid + s.meter, start + s.minute * MINUTE)
        for s in case.stated
    ]
    return Depot(charges, holders, said)


class Told:
    """Tells the service what the model knows."""

    def __init__(self, database: Database, depot: Depot) -> None:
        self._database = database
        self._depot = depot
        self._ids: dict[int, str] = {}
        """What stations call transactions, once they know."""

    async def all(self, case: Case, uid: str, client: httpx.Client, start: datetime) -> None:
        late = []
        if not case.is_mapped_last:
            await self._map()
        if case.is_at_once:
            readings(client, uid, start, range(0, 2 * MOST_MINUTES, 2))
            messages = (self._message(place, len(case.drawn)) for place in case.order)
            _, *done = await asyncio.gather(self._map(), *messages)
            late = [place for place, is_done in zip(case.order, done, strict=True) if not is_done]
        else:
            for place in case.order:
                if not await self._message(place, len(case.drawn)):
                    late.append(place)
                elif place == 2 * len(case.drawn) + len(case.stated):
                    readings(client, uid, start, range(0, 2 * MOST_MINUTES, 2))
        for place in late:  # a station of OCPP 1.6 knows the number of what it ends
            await self._message(place, len(case.drawn))
        if case.is_mapped_last:
            await self._map()

    async def _map(self) -> None:
        for held in reversed(self._depot.holders):
            await set_holder(
                self._database,
                held.token,
                driver=None,
                vehicle_id=held.vehicle,
                since=held.since,
                reach=EVERYTHING,
            )

    async def _message(self, place: int, drawn: int) -> bool:
        depot = self._depot
        if place < drawn:
            if place < len(depot.charges) and not depot.charges[place].start_is_lost:
                await self._begin(place, depot.charges[place].began)
        elif place < 2 * drawn:
            charge = depot.charges[place - drawn] if place - drawn < len(depot.charges) else None
            if charge and charge.ended:
                return await self._finish(place - drawn, charge.began, charge.ended)
        elif place < 2 * drawn + len(depot.said):
            said = depot.said[place - 2 * drawn]
            await assign(self._database, said.vehicle, said.meter, said.since, EVERYTHING)
        return True

    async def _begin(self, place: int, began: Began) -> None:
        found = await begin(
            self._database,
            Start(
                station_id=began.station,
                connector=began.connector,
                meter_id=began.meter,
                transaction_id=began.own_id,
                token=began.token,
                at=began.at,
                register_kwh=began.register,
                measures="ac",
            ),
        )
        assert self._ids.setdefault(place, found.transaction_id) == found.transaction_id

    async def _finish(self, place: int, began: Began, ended: Ended) -> bool:
        known = began.own_id or self._ids.get(place)
        if known is None:
            return False
        found = await finish(
            self._database,
            began.station,
            known,
            at=ended.at,
            register_kwh=ended.register,
            reason="Local",
            connector=began.connector,
            token=began.token,
            meter_id=began.meter,
        )
        assert found is not None
        assert found.transaction_id == known
        return True


def readings(client: httpx.Client, uid: str, start: datetime, halves: range) -> None:
    post(
        client,
        *(vehicle_reading(f"{uid}V{v}", start + n * MINUTE / 2) for v in (0, 1) for n in halves),
    )


def recorded(db: Db, uid: str) -> list[tuple[Any, ...]]:
    rows = db.fetch(
        """
        select station_id, connector, meter_id, token, vehicle_id, started_at,
            register_start_mwh / 1e6::float8, ended_at, register_end_mwh / 1e6::float8, reason
        from transaction_records
        where station_id like $1
        """,
        f"{uid}%",
    )
    return sorted(map(tuple, rows), key=repr)


def expected(depot: Depot) -> list[tuple[Any, ...]]:
    found = []
    for charge in depot.charges:
        began, ended = charge.began, charge.ended
        found.append(
            (
                began.station,
                began.connector,
                began.meter,
                began.token,
                depot.vehicle_of(charge),
                charge.start,
                None if charge.start is None else began.register,
                ended and ended.at,
                ended and ended.register,
                ended and "Local",
            )
        )
    return sorted(found, key=repr)


@settings(SLOW_EXAMPLES, max_examples=8 * EXAMPLES)
@given(case=cases())
def test_any_order_of_messages_ends_in_the_same_records_and_assignments(
    case: Case, client: httpx.Client, db: Db, station: Station
) -> None:
    uid, start = new_uid(), hours_ago(5).replace(second=0, microsecond=0)
    depot = depot_of(case, uid, start)
    for charge in depot.charges:
        note(f"{charge}")
    station.run(Told(station.database, depot).all(case, uid, client, start))
    readings(client, uid, start, range(1, 2 * MOST_MINUTES, 2))

    assert recorded(db, uid) == expected(depot)
    times = [start + n * MINUTE / 2 for n in range(-10, 2 * MOST_MINUTES + 1)]
    for vehicle in (f"{uid}V0", f"{uid}V1"):
        rows = db.fetch(
            """
            select t.at, m.id
            from unnest($2::timestamptz[]) as t (at)
            left join devices as m
                on m.device = assigned_meter(device_of('vehicle', $1), t.at)
            order by 1
            """,
            vehicle,
            times,
        )
        assert [tuple(row) for row in rows] == [(at, depot.meter(vehicle, at)) for at in times]
        rows = db.fetch(
            "select time, meter_id from vehicle_readings where vehicle_id = $1", vehicle
        )
        assert {row["time"]: row["meter_id"] for row in rows} == {
            at: depot.meter(vehicle, at) for at in times[10:-1]
        }
    eventually(lambda: rollup_differences(db, uid) == [])
