"""Pieces of a file: neighbouring lines or rows, and what each says."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

Items = Sequence[Telemetry | Invalid]


class Position(NamedTuple):
    """How far a file has been read."""

    offset: int = 0
    """Bytes, or rows of a Parquet file."""

    lines: int = 0
    """Lines, with the header, or rows."""


class Block(NamedTuple):
    """Some neighbouring lines or rows."""

    items: Items
    """Blank lines are none."""

    numbers: Sequence[int]
    """The line (from 1, the header counts) or row (from 1) of each item."""

    text: Callable[[int], str]
    """What the file has for an item, given its index."""

    end: Position
