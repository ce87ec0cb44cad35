"""Imported files: what they say by a mapping, without a database, and what was rejected."""

import io
import json
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.mapping.options import MappingOptions
from fleetmeter.files.imports.mapping.source import MappedSource
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid


class Imported:
    """What a file says by a mapping or a preset."""

    def __init__(
        self,
        content: bytes | str,
        mapping: str = "",
        reader: str = "csv",
        begin: Position = Position(),  # noqa: B008 - immutable
        **asked: Any,
    ) -> None:
        body = content.encode() if isinstance(content, str) else content
        said = tomllib.loads(mapping) if mapping else None
        self.source = MappedSource(
            io.BytesIO(body), MappingOptions(said, **asked), reader, len(body)
        )
        self.items: list[Telemetry | Invalid] = []
        self.numbers: list[int] = []
        self.texts: list[str] = []
        self.ends: list[Position] = []
        for block in self.source.blocks(begin):
            self.items += block.items
            self.numbers += block.numbers
            self.texts += map(block.text, range(len(block.items)))
            self.ends.append(block.end)

    @property
    def readings(self) -> list[Telemetry]:
        """The readings alone; fails when something is wrong."""
        assert not self.errors, self.errors
        return [item for item in self.items if isinstance(item, Telemetry)]

    @property
    def errors(self) -> dict[int, str]:
        """What is wrong, by line."""
        return {
            number: item.detail
            for number, item in zip(self.numbers, self.items, strict=True)
            if isinstance(item, Invalid)
        }

    def column(self, name: str) -> list[Any]:
        """One field of all readings."""
        return [getattr(reading, name) for reading in self.readings]

    @property
    def times(self) -> list[str]:
        """The timestamps, in UTC, without seconds."""
        return [short(reading.timestamp) for reading in self.readings]

    @property
    def starts(self) -> list[str]:
        """When the intervals began, likewise."""
        return [short(reading.interval_start) for reading in self.readings]


def short(time: datetime | None) -> str:
    """A time in UTC up to its minute."""
    return "" if time is None else time.strftime("%m-%d %H:%M")


def csv(*lines: Sequence[Any], separator: str = ",") -> str:
    """Lines of cells as a text."""
    return "".join(separator.join(map(str, line)) + "\n" for line in lines)


def rejects(path: Path) -> dict[int, dict[str, Any]]:
    """What the import of this file rejected, by line, from the file beside it."""
    found = [json.loads(line) for line in Path(f"{path}.rejected.ndjson").read_text().splitlines()]
    by_line = {reject["line"]: reject for reject in found}
    assert [*by_line] == sorted(reject["line"] for reject in found), "in order, each once"
    return by_line
