"""Checks the columns of a file of readings, named as in the JSON API, and suggests corrections."""

import re
from collections.abc import Sequence

from fleetmeter.readings.kinds import KINDS, SESSION
from fleetmeter.readings.telemetry import FIELDS, IDS, NUMBERS, TIMES

TIMESTAMP = "timestamp"

DERIVED = ("assignedMeterId", "derivedKwh", "reset", "sentTimestamp")
"""Columns of an export that follow from the others; an import ignores them."""

EXPORTED = (*IDS, *reversed(TIMES), *NUMBERS, SESSION.field, *DERIVED)
"""Columns of an export, in order: first what was sent, then what is derived."""

_MEANT = {name.lower(): name for name in FIELDS}


def _meant(name: str) -> str | None:
    """Return the column that a name means, whatever its case and separators."""
    return _MEANT.get(re.sub("[ _-]", "", name).lower())


def is_meant(name: str) -> bool:
    """Return whether a name means a column, whatever its case and separators."""
    return _meant(name) is not None


def misspelled(names: Sequence[str]) -> list[str]:
    """Return a hint for each column whose name is almost one that is missing."""
    return [
        f"{name}: did you mean {meant}?"
        for name in names
        if (meant := _meant(name)) is not None and meant not in names
    ]


def ignored(names: Sequence[str]) -> list[str]:
    """Return the columns without a meaning here, with hints."""
    shown = []
    for name in names:
        if name not in (*FIELDS, *DERIVED):
            meant = _meant(name)
            hint = f" (did you mean {meant}?)" if meant and meant not in names else ""
            shown.append(f"{name or '(no name)'}{hint}")
    return shown


_SHOWN_COLUMNS = 60


def found_and_missing(names: Sequence[str]) -> str:
    """Return a sentence about columns that make no reading: their names, the gaps, and help."""
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


def missing_columns(names: set[str]) -> list[str]:
    """Return the columns that a file lacks; none if it can hold readings of one kind."""
    missing = []
    kinds = [kind for kind in KINDS if kind.id_field in names]
    if not kinds:
        missing.append(" or ".join(IDS))
    if TIMESTAMP not in names:
        missing.append(TIMESTAMP)
    # a vehicle's reading may name its meter too
    if kinds and all(names.isdisjoint(kind.fields) for kind in kinds):
        kind = kinds[0]
        missing.append(f"{kind.energy.field} or another measurement")
    return missing
