"""Migrations that were released never change: databases have their hashes."""

import hashlib

from tests.support.repository import ROOT

MIGRATIONS = ROOT / "sql/migrations"
RELEASED = {
    name: sha256
    for sha256, name in map(str.split, (MIGRATIONS / "released.txt").read_text().splitlines())
}


def test_a_released_migration_is_as_it_was() -> None:
    changed = [
        name
        for name, sha256 in RELEASED.items()
        if not (MIGRATIONS / name).exists()
        or hashlib.sha256((MIGRATIONS / name).read_bytes()).hexdigest() != sha256
    ]
    assert not changed, "put the change into a new migration"


def test_a_new_migration_comes_after_those_that_were_released() -> None:
    newest = max(name.partition("_")[0] for name in RELEASED)
    new = {path.name for path in MIGRATIONS.glob("*.sql")} - RELEASED.keys()
    assert [name for name in sorted(new) if name.partition("_")[0] <= newest] == []
