"""The columns of a file of readings, named as in the JSON API, and what to say of others."""

import re
from collections.abc import Sequence

from fleetmeter.readings.kinds import KINDS, SESSION
from fleetmeter.readings.telemetry import FIELDS, IDS, NUMBERS, TIMES

TIMESTAMP = "timestamp"

DERIVED = ("assignedMeterId", "derivedKwh", "reset", "sentTimestamp")
"""Columns of an export that follow from the others; an import ignores them."""

EXPORTED = (*IDS, *reversed(TIMES), *NUMBERS, SESSION.field, *DERIVED)
"""What an export has, in that order: what was sent, and then what is derived."""

_MEANT = {name.lower(): name for name in FIELDS}


def _meant(name: str) -> str | None:
    """The column that a name is about, however it is written."""
    return _MEANT.get(re.sub("[ _-]", "", name).lower())


def is_meant(name: str) -> bool:
    """Whether a name is one of the columns, however it is written."""
    return _meant(name) is not None


def misspelled(names: Sequence[str]) -> list[str]:
    """What to say of the columns whose name is almost one that is missing."""
    return [
        f"{name}: did you mean {meant}?"
        for name in names
        if (meant := _meant(name)) is not None and meant not in names
    ]


def ignored(names: Sequence[str]) -> list[str]:
    """The columns that mean nothing here."""
    told = []
    for name in names:
        if name not in (*FIELDS, *DERIVED):
            meant = _meant(name)
            hint = f" (did you mean {meant}?)" if meant and meant not in names else ""
            told.append(f"{name or '(no name)'}{hint}")
    return told


_SHOWN_COLUMNS = 60


def found_and_missing(names: Sequence[str]) -> str:
    """What to say of columns that make no reading: what they are, what lacks, and what helps."""
    found = ", ".join(name[:100] or "(no name)" for name in names[:_SHOWN_COLUMNS])
    lacking = [
        f"a {kind.name} lacks {', '.join(name for name in needed if name not in names)}"
        for kind in KINDS
        if (needed := (kind.id_field, TIMESTAMP, kind.energy.field))
    ]
    return (
        f"the columns found are {found}; {', '.join(lacking)} (or another measurement). Where "
        "columns have other names or units, --map FILE.toml says which is which, --guess "
        "proposes such a file, and --preset knows common exports"
    )


def missing_columns(known: set[str]) -> list[str]:
    """What a file with these columns lacks; nothing, when it can hold readings of one kind."""
    missing = []
    kinds = [kind for kind in KINDS if kind.id_field in known]
    if not kinds:
        missing.append(" or ".join(IDS))
    if TIMESTAMP not in known:
        missing.append(TIMESTAMP)
    # a vehicle's reading may name its meter too
    if kinds and all(known.isdisjoint(kind.fields) for kind in kinds):
        kind = kinds[0]
        missing.append(f"{kind.energy.field} or another measurement")
    return missing
