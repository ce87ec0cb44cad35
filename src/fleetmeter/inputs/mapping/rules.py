"""Turns messages into readings by the rules of a mapping. Pure.

Messages of a device come again and again with the same name and tags, so what follows from these is
worked out once: a series.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from datetime import datetime
from fnmatch import translate
from re import Pattern
from re import compile as compiled
from string import Formatter
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fleetmeter.inputs.mapping.ids import encoded
from fleetmeter.inputs.mapping.model import NAME, Rule, tags_of
from fleetmeter.readings.kinds import SESSION
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.readings.units import conversion

Value = float | bool | str
"""The value of a field of a message."""

Reason = Literal[
    "no_rule",
    "no_tag",
    "no_field",
    "not_a_number",
    "no_vehicle",
    "no_register",
    "no_transaction",
    "malformed",
    "no_time",
    "retained",
]
"""Why a message, or a field of it, gave no reading."""

_Numeric = TypeVar("_Numeric", float, NDArray[np.float64])

_SESSION = attribute(SESSION.field)


class Untaken(NamedTuple):
    """What no rule took of a message."""

    reason: Reason
    what: str
    """The message's name, with that of a field or a tag behind a dot."""


class Number(NamedTuple):
    """How the value of a field becomes a measurement."""

    attribute: str
    convert: tuple[float, float, float] | None
    """Offset, factor and divisor; None where the value stays."""

    less: str | None = None
    """The field of a message of MQTT whose value is taken off first."""

    def of(self, value: _Numeric) -> _Numeric:
        """Return the measurement for a value of the field, or for an array of them."""
        if self.convert is None:
            return value
        added, times, divided = self.convert
        return (value + added) * times / divided


class Target(NamedTuple):
    """A device, and which fields are its measurements."""

    texts: dict[str, str]
    numbers: dict[str, list[Number]]


class Series(NamedTuple):
    """What becomes of messages with some name and tags."""

    name: str
    targets: Sequence[Target]
    untaken: Untaken | None
    """Why there is no target."""

    taken: frozenset[str]
    """Fields that some target takes."""

    def readings(
        self, fields: Sequence[tuple[str, Value]], time: datetime, untaken: list[Untaken]
    ) -> list[Telemetry]:
        """Return a reading for each device; what is not taken is added to `untaken`."""
        if self.untaken is not None:
            untaken.append(self.untaken)
            return []
        found = []
        for texts, numbers in self.targets:
            values: dict[str, float] = {}
            for field, value in fields:
                for number in numbers.get(field, ()):
                    if isinstance(value, str) or value is True or value is False:
                        untaken.append(Untaken("not_a_number", f"{self.name}.{field}"))
                    else:
                        values[number.attribute] = number.of(value)
            if values:
                found.append(Telemetry(**texts, **values, timestamp=time))
        for field, _ in fields:
            if field not in self.taken:
                untaken.append(Untaken("no_field", f"{self.name}.{field}"))
        return found


class Conditions:
    """The values that tags must have for a rule."""

    def __init__(self, rule: Rule) -> None:
        wanted = {tag: [w] if isinstance(w, str) else w for tag, w in rule.where.items()}
        self._patterns = {tag: _pattern(values) for tag, values in wanted.items()}
        self._absent = {tag for tag, values in wanted.items() if "" in values}

    def hold(self, value_of: Callable[[str], str | None]) -> bool:
        """Return whether tags have these values; `value_of` returns one's, or None."""
        return all(
            pattern.match(value) if (value := value_of(tag)) is not None else tag in self._absent
            for tag, pattern in self._patterns.items()
        )


def templates_of(rule: Rule) -> dict[str, str]:
    """Return the texts that ids are made of, by the names that they have in Telemetry."""
    return {attribute(name): text for name, text in rule.templates.items()}


def texts_of(templates: Dict[str, str], tags: Dict[str, str]) -> dict[str, str]:
    """Return the ids that templates make of tags."""
    return {name: _filled(text, tags, is_id=name != _SESSION) for name, text in templates.items()}


def numbers_of(rule: Rule) -> dict[str, list[Number]]:
    """Return what becomes of the values of fields, by their names."""
    numbers: dict[str, list[Number]] = {}
    for name, source in rule.sources.items():
        added, times, divided = conversion(name, source.unit)
        convert = (added, times * source.factor, divided)
        number = Number(attribute(name), None if convert == (0, 1, 1) else convert, source.less)
        numbers.setdefault(source.field, []).append(number)
    return numbers


class _Compiled:
    """A rule, ready to be asked."""

    def __init__(self, rule: Rule) -> None:
        self.name = _pattern([rule.measurement])
        self.where = Conditions(rule)
        self.templates = templates_of(rule)
        self.tags = {tag for text in self.templates.values() for tag in tags_of(text)}
        self.numbers = numbers_of(rule)

    def fits(self, name: str, tags: Dict[str, str]) -> bool:
        return self.name.match(name) is not None and self.where.hold(tags.get)

    def target(self, tags: Dict[str, str]) -> Target:
        return Target(texts_of(self.templates, tags), self.numbers)


class Mapping:
    """The rules of a mapping."""

    def __init__(
        self,
        rules: Sequence[Rule],
        line_topics: Sequence[str] = (),
        reading_topics: Sequence[str] = (),
    ) -> None:
        self._rules = [_Compiled(rule) for rule in rules if rule.topic is None]
        self.topic_rules = [rule for rule in rules if rule.topic is not None]
        """Those for messages of MQTT; see TopicRules."""

        self.line_topics = line_topics
        """MQTT topics of messages in line protocol."""

        self.reading_topics = reading_topics
        """MQTT topics of messages that are readings as in the API."""
        self._taken: dict[tuple[_Compiled, ...], frozenset[str]] = {}
        """The fields that rules take together; many series have the same ones."""

    def series(self, name: str, tags: Dict[str, str]) -> Series:
        """Return what becomes of messages with this name and these tags."""
        known = {NAME: name} | dict(tags)
        fitting = [rule for rule in self._rules if rule.fits(name, tags)]
        filled = tuple(rule for rule in fitting if rule.tags <= known.keys())
        targets = [rule.target(known) for rule in filled]
        untaken = None
        if not fitting:
            untaken = Untaken("no_rule", name)
        elif not targets:
            lacking = sorted(fitting[0].tags - known.keys())
            untaken = Untaken("no_tag", f"{name}.{lacking[0]}")
        if (taken := self._taken.get(filled)) is None:
            taken = frozenset(field for rule in filled for field in rule.numbers)
            self._taken[filled] = taken
        return Series(name, targets, untaken, taken)


def _pattern(wanted: Sequence[str]) -> Pattern[str]:
    return compiled("|".join(map(text_pattern, wanted)))


def text_pattern(wanted: str) -> str:
    """Return a regular expression of texts in which only * is special."""
    return translate("".join(c if c == "*" else f"[{c}]" if c in "?[" else c for c in wanted))


def _filled(text: str, tags: Dict[str, str], *, is_id: bool) -> str:
    """Return a template with tags in it; ids in the characters that they may have."""
    parts = [(literal, tags.get(tag or "", "")) for literal, tag, _, _ in Formatter().parse(text)]
    if not is_id:
        return "".join(literal + tag for literal, tag in parts)
    return encoded("".join(literal + encoded(tag) for literal, tag in parts), also_percent=False)
