"""docs/locks.md says which locks are taken in which order: as the SQL does, with what it calls."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetmeter.database.sql import SQL
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "locks.md").read_text(encoding="utf-8")
ENGINES = {"postgresql": "timescaledb", "timescaledb": "postgresql"}
CALLERS = ["src/fleetmeter/intake/append.py", "src/fleetmeter/database/migrations.py"]
SESSION = re.compile(r"create temporary table if not exists (\w+)")

ROUTINE = re.compile(
    r"^create or replace (?:function|procedure) (\w+)\(.*?(?=^create |\Z)", re.DOTALL | re.MULTILINE
)
STEP = re.compile(
    r"pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\(hashtext\('fleetmeter\.(?P<lock>\w+)"
    r"|(?<!for )(?<!do )\b(?:update|insert into|delete from)\s+(?P<written>\w+)"
    r"|\bfrom (?P<locked>\w+)(?: as \w+)?(?=(?:(?!\bfrom\b)[^;])*\bfor (?:update|share)\b)"
    r"|\b(?P<commit>commit;)"
    r"|\b(?P<call>\w+)\("
    r"|(?P<end>;)"
)
UNREAD = re.compile(r"\b(\w+) as (?:materialized )?\(\s*(?:insert into|update|delete from) (\w+)")


def code(path: Path) -> str:
    """What a file does, without what it says."""
    return re.sub(r"--.*", "", path.read_text(encoding="utf-8"))


def routines_of(engine: str) -> dict[str, str]:
    """The bodies of all functions and procedures of an engine; of one name together."""
    found: dict[str, str] = {}
    for path in sorted((SQL / "routines").glob("*.sql")):
        if not path.name.endswith(f".{ENGINES[engine]}.sql"):
            for match in ROUTINE.finditer(code(path)):
                _, _, body = match[0].partition("\nas $$")
                found[match[1]] = found.get(match[1], "") + (body or match[0])
    return found


def steps(name: str, routines: dict[str, str], callers: tuple[str, ...] = ()) -> Iterator[str]:
    """What a routine locks or writes, in order, with what it calls.

    A part of a statement that writes and that nothing reads runs after the rest of it.
    """
    body = routines[name]
    unread = {
        match.start(2)
        for match in UNREAD.finditer(body)
        if not re.search(rf"\b(?:from|join) {match[1]}\b", body)
    }
    last: list[str] = []
    for match in STEP.finditer(body):
        if match["end"] or match["commit"]:
            yield from last
            last = []
            if match["commit"]:
                yield "commit"
        elif match["written"] and match.start("written") in unread:
            last.append(match["written"])
        elif (call := match["call"]) and call in routines and call not in (name, *callers):
            yield from steps(call, routines, (*callers, name))
        elif not call:
            lock = match["lock"]
            yield f"fleetmeter.{lock}" if lock else match["written"] or match["locked"]
    yield from last


def first(taken: Iterator[str]) -> list[str]:
    """Each lock and table once, where it comes first in its transaction; “then” between those."""
    temporary = set(SESSION.findall((SQL / "queries" / "connection.sql").read_text()))
    order: list[str] = []
    since = 0
    for each in taken:
        if each == "commit":
            if len(order) > since:
                order.append("then")
            since = len(order)
        elif each not in temporary and each not in order[since:]:
            order.append(each)
    return order[:-1] if order[-1:] == ["then"] else order


def entries(routines: dict[str, str]) -> dict[str, list[str]]:
    """What each routine that the service calls takes in order, where it takes anything."""
    texts = [code(path) for path in (SQL / "queries").glob("*.sql")]
    texts += [(ROOT / name).read_text(encoding="utf-8") for name in CALLERS]
    called = set(re.findall(r"\b(\w+)\(", "\n".join(texts)))
    orders = {name: first(steps(name, routines)) for name in sorted(routines) if name in called}
    return {name: order for name, order in orders.items() if order}


def table(heading: str) -> dict[str, list[str]]:
    """The first column of a table of the page, with the names in the second."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    names = re.compile(r"(?<=`)[\w.]+(?=`)|\bthen\b")
    return {row[0].strip().replace("`", ""): names.findall(row[1]) for row in rows[2:]}


RANKS = {name: rank for rank, names in enumerate(table("The order").values()) for name in names}
TAKEN = table("Who takes what")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_page_lists_what_each_entry_takes_in_its_order(engine: str) -> None:
    found = entries(routines_of(engine))
    for name, order in found.items():
        row = ", ".join(each if each == "then" else f"`{each}`" for each in order)
        listed = TAKEN.get(f"{name} ({engine})", TAKEN.get(name))
        assert listed == order, f"docs/locks.md needs: | `{name}` | {row} |"
    of_others = tuple(f"({other})" for other in ENGINES if other != engine)
    own = {name.partition(" ")[0] for name in TAKEN if not name.endswith(of_others)}
    assert own == found.keys()


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_takes_locks_against_the_order(engine: str) -> None:
    for name, order in entries(routines_of(engine)).items():
        ranks: list[int] = []
        for each in order:
            if each == "then":
                ranks = []
            elif each in RANKS:
                ranks.append(RANKS[each])
        assert ranks == sorted(ranks), f"{name} takes {order}"


def test_every_advisory_lock_is_on_the_page_and_in_the_query_that_names_them() -> None:
    texts = [code(path) for path in SQL.glob("[qr]*/*.sql")]
    texts.append((ROOT / CALLERS[1]).read_text(encoding="utf-8"))
    found = set(re.findall(r"hashtext\('fleetmeter\.(\w+)", "\n".join(texts)))
    assert {f"fleetmeter.{name}" for name in found} == table("The locks").keys()
    assert table("The locks").keys() | {"live_state", "accounting"} == RANKS.keys()
    (listed,) = re.findall(r"'\{([\w,\s]+)\}'", (SQL / "queries" / "maintenance.sql").read_text())
    assert set(re.split(r"[,\s]+", listed.strip())) == found - {"rules"}


def test_readings_are_appended_after_live_state_has_been_locked() -> None:
    append = (ROOT / CALLERS[0]).read_text(encoding="utf-8").partition("async def by_copy(")[2]
    places = [
        append.index(step)
        for step in (
            "begin_batch(",
            "advance_state(",
            '"readings"',
            "_spread_energy(",
            "note_pairs(",
        )
    ]
    assert places == sorted(places)
