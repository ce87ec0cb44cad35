"""What SQL says is within reach is what Python says."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.database.sql import queries
from tests.conftest import SLOW_EXAMPLES, Db, Server, migrated_database

pytestmark = pytest.mark.either

IDS = st.text("ab*\\%_.", min_size=1, max_size=5)
SITES = st.sampled_from(["north", "south", "%"])
REACHES = st.builds(
    Reach,
    st.lists(IDS, max_size=3).map(tuple),
    st.lists(SITES, max_size=2).map(tuple),
)
CASES = st.lists(st.tuples(REACHES, IDS, st.none() | SITES), min_size=100, max_size=100)


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Db]:
    with migrated_database(server, jobs=False) as url:
        yield Db(url)


@settings(SLOW_EXAMPLES, max_examples=4)
@given(CASES)
def test_sql_and_python_agree_about_every_device(
    db: Db, cases: list[tuple[Reach, str, str | None]]
) -> None:
    rows = [
        {"id": id_, "site": site, "ids": reach.like_patterns(), "sites": reach.site_names()}
        for reach, id_, site in cases
    ]
    found = db.fetch(
        "select coalesce(within_reach(c.id, c.site, c.ids, c.sites), false) as is_within"
        " from rows from (jsonb_to_recordset($1::jsonb) as (id text, site text, ids text[],"
        " sites text[])) with ordinality as c (id, site, ids, sites, place) order by c.place",
        json.dumps(rows),
    )
    assert [row["is_within"] for row in found] == [
        reach.includes(id_, site) for reach, id_, site in cases
    ]


def test_what_has_the_id_of_a_device_is_within_reach_with_it(db: Db) -> None:
    db.fetch(
        "insert into devices (kind, id, site) values"
        " ('vehicle', 'EV-1', 'north'), ('meter', 'EV-1', 'south'), ('vehicle', 'EV-2', null)"
    )
    devices: list[Any] = [("vehicle", "EV-1"), ("meter", "EV-1"), ("vehicle", "EV-2")]
    asked = [*devices, ("vehicle", "new")]

    async def within(reach: Reach) -> list[Any]:
        connection = await asyncpg.connect(db.url)
        try:
            return [
                (kind, id_)
                for kind, id_ in asked
                if await queries.device_within_reach(
                    connection, kind=kind, device_id=id_, **reach.parameters()
                )
            ]
        finally:
            await connection.close()

    assert asyncio.run(within(EVERYTHING)) == asked
    assert asyncio.run(within(Reach(("EV-*",)))) == devices
    assert asyncio.run(within(Reach(sites=("north", "west")))) == devices[:1]
    assert asyncio.run(within(Reach(("*-1",), ("south",)))) == devices[1:2]
    sites = "select subject_within_reach('site', $1, $2, $3)"
    for site, ids, names, expected in (
        ("north", None, None, True),
        ("north", None, ["north"], True),
        ("north", None, ["south"], False),
        ("north", ["%"], ["north"], False),
        ("north", ["%"], None, False),
    ):
        assert db.value(sites, site, ids, names) is expected
