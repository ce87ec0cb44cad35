"""Reads a mapping file: TOML, each error with its line."""

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from fleetmeter.errors import SettingsError
from fleetmeter.inputs.mapping.charge_points import (
    ChargePointRule,
    ChargePoints,
    check_charge_point,
)
from fleetmeter.inputs.mapping.filters import check_filter
from fleetmeter.inputs.mapping.model import Rule, RuleError, check
from fleetmeter.inputs.mapping.presets import PRESETS, preset_text
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.readings.kinds import METER, SESSION, VEHICLE
from fleetmeter.readings.telemetry import IDS, TEXTS

T = TypeVar("T")

_MOST_BYTES = 1024 * 1024

_HEADING = r"^\s*\[\[\s*{}\s*\]\]"


class MappingFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The content of a mapping file."""

    rules: list[Rule] = []
    chargePoints: list[ChargePointRule] = []  # noqa: N815 - as in the file
    presets: list[str] = []
    """Names of rules that come with FleetMeter."""

    lineProtocol: list[str] = []  # noqa: N815 - as in the file
    """MQTT topics of messages in InfluxDB's line protocol, which rules without a topic take."""

    readings: list[str] = []
    """MQTT topics of messages that are readings as in the API."""


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

READINGS_TOPIC = "fleetmeter/#"
"""The MQTT topics that have readings as in the API, without a file."""


def load_mapping(path: Path | None) -> Mapping:
    """Read the rules of messages in a file, or return what holds without. Raises SettingsError."""
    if path is None:
        return Mapping(AS_IN_THE_API, reading_topics=[READINGS_TOPIC])
    file = parse_file(_text(path), str(path))
    rules = file.rules
    if all(rule.topic is not None for rule in rules):  # none for lines
        rules = [*rules, *AS_IN_THE_API]
    return Mapping(rules, file.lineProtocol, file.readings)


def load_charge_points(path: Path | None) -> ChargePoints:
    """Read the rules of charge points of a file, if there is one. Raises SettingsError."""
    return ChargePoints([] if path is None else parse_file(_text(path), str(path)).chargePoints)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"{path} is larger than a mapping can be, {_MOST_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def preset(name: str) -> list[Rule]:
    """Return the rules of a preset."""
    return parse(preset_text(name), f"the preset {name}")


def parse(text: str, name: str) -> list[Rule]:
    """Return the rules of a file's text; see parse_file(). Raises SettingsError."""
    return parse_file(text, name).rules


def parse_file(text: str, name: str) -> MappingFile:
    """Return what a file's text says, with the rules of its presets.

    `name` is for messages. Raises SettingsError.
    """
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = int(line[1]) if line else len(text.splitlines())
        raise SettingsError(f"{name}, line {at}: {error}") from None
    try:
        file = msgspec.convert(said, MappingFile)
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `$")
        unknown = "".join(f".{key}" for key in re.findall(r"`(\w+)`", why))
        line_ = _line(text, where.rstrip("`") + unknown)
        raise SettingsError(f"{name}, line {line_}: {why}") from None
    if not any((file.rules, file.chargePoints, file.presets, file.readings)):
        raise SettingsError(
            f"{name}, line 1: there is no rule; begin with [[rules]] or [[chargePoints]]"
        )
    _check_all(file.rules, check, "rules", text, name)
    _check_all(file.chargePoints, check_charge_point, "chargePoints", text, name)
    if missing := set(file.presets) - set(PRESETS):
        raise SettingsError(
            f"{name}, line {_line(text, '.presets')}: there is no preset {min(missing)}; there is "
            f"{', '.join(PRESETS)}"
        )
    for key in ("lineProtocol", "readings"):
        for topic in getattr(file, key):
            if (wrong := check_filter(topic)) is not None:
                raise SettingsError(f"{name}, line {_line(text, f'.{key}')}: {wrong}")
    more = [rule for each in file.presets for rule in preset(each)]
    return msgspec.structs.replace(file, rules=[*file.rules, *more])


def _check_all(
    rules: Sequence[T], check_one: Callable[[T], None], kind: str, text: str, name: str
) -> None:
    for number, rule in enumerate(rules):
        try:
            check_one(rule)
        except RuleError as error:
            line = _line(text, f".{kind}[{number}].{error.key}")
            raise SettingsError(f"{name}, line {line}: {error}") from None


def _line(text: str, path: str) -> int:
    """Return the line of a path such as .rules[1].fields[...], or that of its rule.

    TOML's reader of the standard library does not keep lines, so headings and keys are looked for.
    """
    lines = text.splitlines()
    found = re.match(r"\.(\w+)\[(\d+)\](.*)", path)
    if found is None:
        return _named(lines, 0, len(lines), re.findall(r"\w+", path)) or 1
    starts = [at for at, line in enumerate(lines) if re.match(_HEADING.format(found[1]), line)]
    number = int(found[2])
    if number >= len(starts):
        return _named(lines, 0, len(lines), re.findall(r"\w+", path)) or 1
    first = starts[number]
    ends = (at for at in range(first + 1, len(lines)) if lines[at].lstrip().startswith("[["))
    last = next(ends, len(lines))
    return _named(lines, first, last, re.findall(r"\w+", found[3])) or first + 1


def _named(lines: list[str], first: int, last: int, keys: list[str]) -> int | None:
    """Return the line of the innermost of some keys that is there."""
    for key in reversed(keys):
        pattern = re.compile(rf"(?:^|[\s{{,.])\"?{key}\"?\s*=|^\s*\[.*\b{key}\s*\]")
        for at in range(first, last):
            if pattern.search(lines[at]):
                return at + 1
    return None
