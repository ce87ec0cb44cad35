"""Defines blocks of a file: neighbouring lines or rows, and the item of each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

Items = Sequence[Telemetry | Invalid]


class Position(NamedTuple):
    """The position up to which a file has been read."""

    offset: int = 0
    """Bytes, or rows of a Parquet file."""

    lines: int = 0
    """Lines, with the header, or rows."""


class Block(NamedTuple):
    """Some neighbouring lines or rows."""

    items: Items
    """The item of each line or row, without blank lines."""

    numbers: Sequence[int]
    """The line (from 1, the header counts) or row (from 1) of each item."""

    text: Callable[[int], str]
    """Returns the text of an item in the file, by its index."""

    end: Position
