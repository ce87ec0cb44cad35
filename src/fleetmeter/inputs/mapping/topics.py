"""Turns messages with a topic into readings, by the rules of a mapping. Pure.

Messages of a topic come again and again, so what its rules make of the topic alone is worked out
once.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from fleetmeter.inputs.mapping.filters import names_of, pattern_of
from fleetmeter.inputs.mapping.model import INTERVALS, Rule, tags_of
from fleetmeter.inputs.mapping.paths import (
    PLAIN,
    items_at,
    moment_of,
    number_of,
    text_of,
    value_at,
)
from fleetmeter.inputs.mapping.rules import (
    Conditions,
    Number,
    Reason,
    Untaken,
    numbers_of,
    templates_of,
    texts_of,
)
from fleetmeter.readings.decode import Item
from fleetmeter.readings.telemetry import NUMBERS, Telemetry, attribute
from fleetmeter.readings.units import dimension_of
from fleetmeter.readings.validate import Invalid
from fleetmeter.slices import at_once

_MOST_TOPICS = 100_000
_LONGEST_TOPIC = 500
"""Topics whose rules are remembered, and the characters of the longest; the rules of longer ones,
up to 65,535 bytes, are looked up for each message."""

MOST_ITEMS = 10_000
"""Readings that a message may have."""

_AT_A_TIME = 200
"""Readings of a message that are made before others have their turn."""

MOST_SHOWN = 500
"""Bytes that are kept of a message that is wrong."""

_PHASES = [attribute(f"voltageL{number}") for number in (1, 2, 3)]

_ADDED_UP = frozenset(attribute(name) for name in NUMBERS if dimension_of(name) in ("kWh", "kW"))
"""Measurements of a device that are the sum of those of its phases."""


class Arriving(NamedTuple):
    """A reading without a time, which it gets by its arrival."""

    reading: Telemetry
    resolution_s: float


Decoded = Item | Arriving


class Decoding(NamedTuple):
    """What becomes of a message."""

    items: list[Decoded]
    untaken: list[Untaken]


Slices = Generator[None, None, Decoding]


class _Known(NamedTuple):
    """A rule for a topic."""

    rule: "_TopicRule"
    tags: Mapping[str, str]
    """The texts of levels with names."""

    texts: dict[str, str] | None
    """The ids, where the topic alone says them."""


class TopicRules:
    """The rules of a mapping for messages with a topic."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [_TopicRule(rule) for rule in rules]
        self._known: dict[str, Sequence[_Known]] = {}

    def decode(self, topic: str, payload: bytes, *, retained: bool = False) -> Decoding:
        """Return at once what decoding() returns."""
        return at_once(self.decoding(topic, payload, retained=retained))

    def decoding(self, topic: str, payload: bytes, *, retained: bool = False) -> Slices:
        """Return the readings of a message, and what no rule took; in slices.

        One that the broker had `retained` is taken only with a time of its own.
        """
        known = self._known.get(topic)
        if known is None:
            known = self._look_up(topic)
        if not known:
            return Decoding([], [Untaken("no_rule", topic)])
        try:
            message = _message(payload)
        except Invalid as invalid:
            return Decoding([invalid], [])
        done = Decoding([], [])
        fits = False
        for rule, tags, texts in known:
            try:
                fits |= yield from rule.decode(topic, message, tags, texts, retained, done)
            except Invalid as invalid:
                invalid.sent = payload[:MOST_SHOWN]
                return Decoding([invalid], [])
        if not fits:
            done.untaken.append(Untaken("no_rule", topic))
        return done

    def _look_up(self, topic: str) -> Sequence[_Known]:
        known: list[_Known] = []
        for rule in self._rules:
            if (found := rule.pattern.fullmatch(topic)) is not None:
                tags = {"topic": topic} | dict(zip(rule.names, found.groups(), strict=True))
                is_all = rule.tags <= tags.keys() and not rule.items
                texts = texts_of(rule.templates, tags) if is_all else None
                known.append(_Known(rule, tags, texts))
        if len(topic) <= _LONGEST_TOPIC:
            if len(self._known) >= _MOST_TOPICS:
                self._known.clear()
            self._known[topic] = known
        return known


class _TopicRule:
    """A rule, ready to be asked."""

    def __init__(self, rule: Rule) -> None:
        assert rule.topic is not None  # noqa: S101 - these have one
        self.filter = rule.topic
        self.pattern = pattern_of(rule.topic)
        self.names = names_of(rule.topic)
        self.items = rule.items
        self.templates = templates_of(rule)
        self.tags = {tag for text in self.templates.values() for tag in tags_of(text)}
        self._conditions = Conditions(rule) if rule.where else None
        self._numbers = list(numbers_of(rule).items())
        self._time = rule.time
        self._is_timeless = INTERVALS.isdisjoint(rule.fields)
        self._resolution_s = rule.resolutionS

    def decode(
        self,
        topic: str,
        message: Any,
        tags: Mapping[str, str],
        texts: dict[str, str] | None,
        retained: bool,
        done: Decoding,
    ) -> Generator[None, None, bool]:
        """Add the readings of a message, in slices; return whether it is one that the rule is for.

        Raises Invalid.
        """
        fits = False
        for count, (more, item) in enumerate(self._items(message)):
            if count >= MOST_ITEMS:
                raise Invalid("malformed", f"a message has at most {MOST_ITEMS:,} readings")
            if count % _AT_A_TIME == _AT_A_TIME - 1:
                yield

            def value_of(name: str, more: Mapping[str, str] = more, item: Any = item) -> Any:
                for known in (more, tags):
                    if name in known:
                        return known[name]
                found = value_at(item, name)
                return value_at(message, name) if found is None else found

            if self._conditions is not None and not self._conditions.hold(
                lambda name, value_of=value_of: text_of(value_of(name))  # type: ignore[misc]
            ):
                continue
            fits = True
            values = self._values(item, done.untaken)
            if not values:
                continue
            ids = texts
            if ids is None:
                given = {name: text_of(value_of(name)) for name in self.tags}
                if lacking := sorted(name for name, text in given.items() if text is None):
                    done.untaken.append(Untaken("no_tag", f"{self.filter}.{lacking[0]}"))
                    continue
                ids = texts_of(self.templates, given)  # type: ignore[arg-type]
            said = value_of(self._time) if self._time is not None else None
            try:
                self._add(done, ids, values, said, retained)
            except Invalid as invalid:  # costs no other reading of the message
                invalid.sent = msgspec.json.encode(item)[:MOST_SHOWN]
                done.items.append(invalid)
        return fits

    def _items(self, message: Any) -> Iterator[tuple[Mapping[str, str], Any]]:
        if self.items is not None:
            yield from items_at(message, self.items)
        elif isinstance(message, list) and any(isinstance(each, dict) for each in message):
            for each in message:
                yield {}, each
        else:
            yield {}, message

    def _values(self, item: Any, untaken: list[Untaken]) -> dict[str, float]:
        values: dict[str, float] = {}
        found = False
        for path, numbers in self._numbers:
            if (value := value_at(item, path)) is None:
                continue
            found = True
            plain = number_of(value)
            for number in numbers:
                if plain is not None and number.less is None:
                    values[number.attribute] = number.of(plain)
                elif measured := _measured(number, value, item):
                    values |= measured
                else:
                    untaken.append(Untaken("not_a_number", f"{self.filter}.{path}"))
        if not found:
            untaken.append(Untaken("no_field", self.filter))
        return values

    def _add(
        self,
        done: Decoding,
        ids: dict[str, str],
        values: dict[str, float],
        said: Any,
        retained: bool,
    ) -> None:
        if said is not None:
            done.items.append(Telemetry(**ids, **values, timestamp=_moment(said)))
            return
        reason: Reason | None = None
        if retained:
            reason = "retained"
        elif not self._is_timeless:
            reason = "no_time"
        if reason is not None:
            done.untaken.append(Untaken(reason, self.filter))
        else:
            done.items.append(Arriving(Telemetry(**ids, **values), self._resolution_s))


def _measured(number: Number, value: Any, item: Any) -> dict[str, float]:
    """Return the measurements of a value from which another is taken off, or of each phase.

    Empty for what is not a number, or a list of one to three.
    """
    phases = [number_of(each) for each in (value if isinstance(value, list) else [value])]
    known = [each for each in phases if each is not None]
    if len(known) != len(phases) or not 0 < len(known) <= len(_PHASES):
        return {}
    if number.less is not None:
        other = value_at(item, number.less)
        taken_off = 0.0 if other is None else number_of(other)
        if taken_off is None:
            return {}
        known = [max(0.0, sum(known) - taken_off)]
    if isinstance(value, list) and number.attribute == "voltage":
        return {name: number.of(each) for name, each in zip(_PHASES, known, strict=False)}
    if isinstance(value, list) and number.attribute not in _ADDED_UP:
        return {}
    return {number.attribute: number.of(sum(known))}


def _moment(said: Any) -> datetime:
    try:
        return moment_of(said)
    except ValueError as error:
        raise Invalid("malformed", str(error)) from None


def _message(payload: bytes) -> Any:
    """Return what a message has: that of JSON, or else a text. Raises Invalid."""
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            message = payload.decode().strip()
        except UnicodeDecodeError:
            message = None
        if message is None or payload.lstrip()[:1] in (b"{", b"["):
            invalid = Invalid("malformed", f"the message is neither JSON nor a text: {error}")
            invalid.sent = payload[:MOST_SHOWN]
            raise invalid from None
    return message if isinstance(message, dict | list) else {PLAIN: message}
