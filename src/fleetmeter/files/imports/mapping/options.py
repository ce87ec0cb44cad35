"""Combines the options of an import: a mapping file, a preset, a device, a time zone."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from fleetmeter.files.imports.mapping.clock import Length, zone_of
from fleetmeter.files.imports.mapping.model import (
    Bound,
    MappingError,
    Time,
    bind,
    convert,
    formats_of,
)
from fleetmeter.files.imports.mapping.times import parser
from fleetmeter.files.imports.presets import layouts_of
from fleetmeter.readings.kinds import KINDS

_MOST_BYTES = 1024 * 1024
"""Maximum size of a mapping file, bytes."""


class MappingOptions(NamedTuple):
    """The options for reading files."""

    said: dict[str, Any] | None = None
    """The content of the mapping file."""

    preset: str | None = None
    device: str | None = None
    zone: str | None = None

    def candidates(self) -> dict[str, Bound | MappingError]:
        """Return the mappings that may fit, by name, or the error of a preset's layout.

        Raises MappingError when none can.
        """
        layouts: dict[str, dict[str, Any]] = {"mapping": {}}
        if self.preset is not None:
            layouts = layouts_of(self.preset)
        found: dict[str, Bound | MappingError] = {}
        for name, layout in layouts.items():
            try:
                found[name] = _bound(self._merged(layout))
            except MappingError as error:
                found[name] = error
        for each in found.values():
            if isinstance(each, Bound):
                return found
        raise next(each for each in found.values() if isinstance(each, MappingError))

    def _merged(self, layout: dict[str, Any]) -> dict[str, Any]:
        """Return a layout overridden by the mapping file and the options."""
        mapping = self.said or {}
        merged = layout | {key: value for key, value in mapping.items() if key != "preset"}
        if "fields" in mapping and "fields" in layout:
            ids = {kind.id_field for kind in KINDS}
            id_fields = {name: each for name, each in layout["fields"].items() if name in ids}
            merged["fields"] = id_fields | mapping["fields"]
        if self.device is not None:
            merged["device"] = self.device
        if self.zone is not None and "time" in merged:
            zone = {"zone": self.zone}
            time = merged.get("time")
            merged["time"] = (time if isinstance(time, dict) else {"column": time}) | zone
            if isinstance(merged.get("start"), dict):
                merged["start"] |= zone
        return merged


def mapping_options(
    mapping: Path | None = None,
    preset: str | None = None,
    device: str | None = None,
    zone: str | None = None,
) -> MappingOptions | None:
    """Return the options, or None when files have the API's own names. Raises MappingError."""
    said = None if mapping is None else _read(mapping)
    if said is not None and "preset" in said:
        if preset not in (None, said["preset"]) or not isinstance(said["preset"], str):
            raise MappingError(f"{mapping} is for the preset {said['preset']}")
        preset = said["preset"]
    if said is None and preset is None:
        if device is not None or zone is not None:
            raise MappingError("--device and --zone go with --map, --preset or --guess")
        return None
    found = MappingOptions(said, preset, device, zone)
    found.candidates()
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
        if len(text) > _MOST_BYTES:
            raise MappingError(f"{path} is larger than a mapping can be")
        return tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        raise MappingError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path} is not TOML: {error}") from None


def _bound(said: dict[str, Any]) -> Bound:
    for key in ("time", "fields"):
        if key not in said:
            example = {"time": 'time = { column = "Date" }', "fields": "[fields]"}[key]
            raise MappingError(f"the mapping lacks {key}, as in {example}; see docs/import.md")
    bound = bind(convert(said))
    check_times(bound)
    return bound


def check_times(bound: Bound) -> None:
    """Check formats, zones and lengths, before a file is opened. Raises MappingError."""
    for time in (bound.time, bound.start):
        if time is None:
            continue
        for format_ in formats_of(time):
            parser(format_)
        if time.zone is not None:
            zone_of(time.zone)
        if time.interval is not None:
            Length(time.interval)
    _check_stamp(bound.time, bound)


def _check_stamp(time: Time, bound: Bound) -> None:
    if time.stamp == "start" and time.interval is None and time.duration is None:
        raise MappingError(
            'times that are stamped at the start need the length: interval = "15min", or '
            'duration = { column = "…" }'
        )
    if bound.start is not None and (time.interval is not None or time.duration is not None):
        raise MappingError("the start of an interval and its length are given; one is enough")
