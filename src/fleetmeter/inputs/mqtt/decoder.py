"""Decodes messages of MQTT: by rules, as line protocol, or as readings of the API."""

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.line_protocol import PRECISIONS
from fleetmeter.inputs.mapping.filters import pattern_of, subscriptions
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.inputs.mapping.topics import (
    MOST_ITEMS,
    MOST_SHOWN,
    Decoding,
    Slices,
    TopicRules,
)
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.validate import Invalid
from fleetmeter.slices import at_once


class MessageDecoder:
    """Decodes messages by a mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._rules = TopicRules(mapping.topic_rules)
        self._lines = [pattern_of(topic) for topic in mapping.line_topics]
        self._readings = [pattern_of(topic) for topic in mapping.reading_topics]
        self._known_heads = KnownHeads()
        filters = [rule.topic for rule in mapping.topic_rules if rule.topic is not None]
        self.subscriptions = subscriptions(
            [*filters, *mapping.line_topics, *mapping.reading_topics]
        )
        """The filters of MQTT of all topics that are for somebody here."""

    def decode(self, topic: str, payload: bytes, *, retained: bool = False) -> Decoding:
        """Return at once what decoding() returns."""
        return at_once(self.decoding(topic, payload, retained=retained))

    def decoding(self, topic: str, payload: bytes, *, retained: bool = False) -> Slices:
        """Return what becomes of a message; one that the broker had `retained` needs a time."""
        if not payload:  # by which a retained message is deleted
            return Decoding([], [])
        if any(each.fullmatch(topic) for each in self._readings):
            return (yield from self._decoding(BatchDecoder("json", MOST_ITEMS), payload))
        if any(each.fullmatch(topic) for each in self._lines):
            if retained:
                return Decoding([], [Untaken("retained", topic)])
            decoder = LineDecoder(self._mapping, self._known_heads, PRECISIONS["ns"], MOST_ITEMS)
            items, _ = yield from self._decoding(decoder, payload)
            return Decoding(items, list(decoder.untaken.elements()))
        return (yield from self._rules.decoding(topic, payload, retained=retained))

    def _decoding(self, decoder: BatchDecoder | LineDecoder, payload: bytes) -> Slices:
        try:
            yield from decoder.feed(payload)
            return Decoding(list((yield from decoder.finish())), [])
        except (MalformedBodyError, BatchTooLargeError) as error:
            invalid = Invalid("malformed", str(error))
            invalid.sent = payload[:MOST_SHOWN]
            return Decoding([invalid], [])
