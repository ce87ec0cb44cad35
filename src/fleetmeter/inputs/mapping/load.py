"""Reads a mapping file: TOML, each error with its line."""

import re
import tomllib
from pathlib import Path

import msgspec

from fleetmeter.errors import SettingsError
from fleetmeter.inputs.mapping.model import MappingFile, Rule, RuleError, check
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.readings.kinds import METER, SESSION, VEHICLE
from fleetmeter.readings.telemetry import IDS, TEXTS

_MOST_BYTES = 1024 * 1024

_HEADING = re.compile(r"^\s*\[\[\s*rules\s*\]\]")

AS_IN_THE_API = [
    Rule(
        fields={name: name for name in kind.fields},
        where={name: "*" if name in names else "" for name in TEXTS},
        vehicleId="{vehicleId}" if "vehicleId" in names else None,
        meterId="{meterId}" if "meterId" in names else None,
        sessionId="{sessionId}" if "sessionId" in names else None,
    )
    for kind, ids in ((VEHICLE, IDS), (VEHICLE, ("vehicleId",)), (METER, ("meterId",)))
    for names in (ids, (*ids, SESSION.field))
]
"""What holds without a file: tags and fields have the names of the API."""


def load_mapping(path: Path | None) -> Mapping:
    """Read a file, or return what holds without one. Raises SettingsError."""
    if path is None:
        return Mapping(AS_IN_THE_API)
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"{path} is larger than a mapping can be, {_MOST_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None
    return Mapping(parse(text, str(path)))


def parse(text: str, name: str) -> list[Rule]:
    """Return the rules of a file's text; `name` is for messages. Raises SettingsError."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = int(line[1]) if line else len(text.splitlines())
        raise SettingsError(f"{name}, line {at}: {error}") from None
    try:
        rules = msgspec.convert(said, MappingFile).rules
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `$")
        unknown = "".join(f".{key}" for key in re.findall(r"`(\w+)`", why))
        line_ = _line(text, where.rstrip("`") + unknown)
        raise SettingsError(f"{name}, line {line_}: {why}") from None
    if not rules:
        raise SettingsError(f"{name} has no rule; begin with [[rules]]")
    for number, rule in enumerate(rules):
        try:
            check(rule)
        except RuleError as error:
            line_ = _line(text, f".rules[{number}].{error.key}")
            raise SettingsError(f"{name}, line {line_}: {error}") from None
    return rules


def _line(text: str, path: str) -> int:
    """Return the line of a path such as .rules[1].fields[...], or that of its rule.

    TOML's reader of the standard library does not keep lines, so headings and keys are looked for.
    """
    lines = text.splitlines()
    found = re.match(r"\.rules\[(\d+)\](.*)", path)
    starts = [at for at, line in enumerate(lines) if _HEADING.match(line)]
    if found is None or int(found[1]) >= len(starts):
        return _named(lines, 0, len(lines), re.findall(r"\w+", path)) or 1
    number = int(found[1])
    first, last = starts[number], [*starts, len(lines)][number + 1]
    return _named(lines, first, last, re.findall(r"\w+", found[2])) or first + 1


def _named(lines: list[str], first: int, last: int, keys: list[str]) -> int | None:
    """Return the line of the innermost of some keys that is there."""
    for key in reversed(keys):
        pattern = re.compile(rf"(?:^|[\s{{,.])\"?{key}\"?\s*=|^\s*\[.*\b{key}\s*\]")
        for at in range(first, last):
            if pattern.search(lines[at]):
                return at + 1
    return None
