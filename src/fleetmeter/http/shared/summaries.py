"""The outcomes of a batch as its answer shows them: the first of each code, and where the rest are.

A device can look up the outcome of each of its items, and an answer is never much longer than its
request was.
"""

from collections.abc import Generator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from fleetmeter.intake.door import IngestOutcome
from fleetmeter.readings.model import Rejection

SHOWN = 100
"""Outcomes of each code that are shown one by one."""

_AT_A_TIME = 2000


class More(msgspec.Struct):
    """The further items of a batch with the same outcome."""

    code: str
    count: int
    ranges: list[list[int]]
    """First and last index of each run of items, both included."""


class IngestAnswer(msgspec.Struct, rename="camel"):
    """The answer to a batch: an IngestOutcome of bounded length."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    more_rejected: list[More] | UnsetType = UNSET
    warnings: list[Rejection] | UnsetType = UNSET
    more_warnings: list[More] | UnsetType = UNSET


def answer_of(outcome: IngestOutcome) -> Generator[None, None, IngestAnswer]:
    """Return the answer for the outcomes of a batch, in slices."""
    rejected, more_rejected = yield from _summarised(outcome.rejected)
    answer = IngestAnswer(outcome.accepted, outcome.duplicates, rejected, more_rejected or UNSET)
    if outcome.warnings:
        answer.warnings, more_warnings = yield from _summarised(outcome.warnings)
        answer.more_warnings = more_warnings or UNSET
    return answer


def _summarised(
    outcomes: Sequence[Rejection],
) -> Generator[None, None, tuple[list[Rejection], list[More]]]:
    """Divide outcomes, sorted by their index, into those shown and summaries of the others."""
    shown: list[Rejection] = []
    counts: dict[str, int] = {}
    more: dict[str, More] = {}
    for number, outcome in enumerate(outcomes, 1):
        if number % _AT_A_TIME == 0:
            yield
        code, index = outcome.code, outcome.index
        counts[code] = count = counts.get(code, 0) + 1
        if count <= SHOWN:
            shown.append(outcome)
            continue
        summary = more.setdefault(code, More(code, 0, []))
        summary.count += 1
        if summary.ranges and summary.ranges[-1][1] >= index - 1:
            summary.ranges[-1][1] = index
        else:
            summary.ranges.append([index, index])
    return shown, list(more.values())
