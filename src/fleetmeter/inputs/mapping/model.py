"""Defines the keys of a mapping file, and checks them; docs/inputs/mapping.md explains each."""

from math import isfinite
from string import Formatter

import msgspec

from fleetmeter.inputs.mapping.filters import check_filter
from fleetmeter.inputs.mapping.paths import wrong_braces
from fleetmeter.readings.ids import is_device_id
from fleetmeter.readings.kinds import KINDS, DeviceKind
from fleetmeter.readings.telemetry import IDS, NUMBERS
from fleetmeter.readings.units import dimension_of, known_units

NAME = "measurement"
"""What `{measurement}` stands for in an id: the name of the message, unless a tag has this name."""

_TEXTS = (*IDS, "sessionId")

_LONGEST_RESOLUTION_S = 3600

INTERVALS = frozenset(name.removesuffix("Total") for name in NUMBERS if name.endswith("Total"))
"""Measurements that count since the message before."""


class RuleError(Exception):
    """A rule cannot be used: the key that is wrong, and what would be right."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


class Source(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The field of a message that a measurement comes from."""

    field: str
    unit: str | None = None
    """The unit of the message; by default that of the API."""

    factor: float = 1

    less: str | None = None
    """A field of a message of MQTT whose value is taken off: of a register of both directions,
    that of the other one.
    """


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which messages are readings of which device.

    `vehicleId`, `meterId` and `sessionId` are texts with names of tags in braces. A rule with a
    vehicle's id is of the vehicle, and its meter the one that it charges from.
    """

    fields: dict[str, Source | str]
    """Sources by the names of the API."""

    measurement: str = "*"
    """The name of the messages, with * for anything."""

    where: dict[str, str | list[str]] = {}
    """The values that tags must have: with * for anything, and an empty text for no such tag."""

    topic: str | None = None
    """The MQTT topics of the messages: + and # for any levels, {name} for one that has a use."""

    items: str | None = None
    """Where in a message of MQTT its readings are, if it has several."""

    time: str | None = None
    """Where in a message of MQTT its time is; without it, the message has that of its arrival."""

    resolutionS: float = 1  # noqa: N815 - as in the file
    """Times of arrival are rounded down to multiples of this, seconds."""

    vehicleId: str | None = None  # noqa: N815 - as in the file, and in the API
    meterId: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815

    @property
    def kind(self) -> DeviceKind:
        """The kind of device that the readings are of."""
        return next(kind for kind in KINDS if self.template(kind.id_field) is not None)

    def template(self, name: str) -> str | None:
        """Return the text that an id is made of."""
        text: str | None = getattr(self, name)
        return text

    @property
    def templates(self) -> dict[str, str]:
        """The texts that ids are made of, by the names of the API."""
        given = {name: self.template(name) for name in _TEXTS}
        return {name: text for name, text in given.items() if text is not None}

    @property
    def sources(self) -> dict[str, Source]:
        """The sources by the names of the API, each spelled out."""
        return {
            name: source if isinstance(source, Source) else Source(source)
            for name, source in self.fields.items()
        }


def check(rule: Rule) -> None:
    """Raise RuleError for a rule that can give no reading."""
    if not any(rule.template(kind.id_field) for kind in KINDS):
        raise RuleError(
            "fields", 'the rule names no device: add vehicleId = "{…}" or meterId = "{…}"'
        )
    for name, text in rule.templates.items():
        _check_template(name, text)
    if not rule.fields:
        raise RuleError("fields", "[rules.fields] is empty: nothing would be measured")
    kind = rule.kind
    for name, source in rule.sources.items():
        if name not in NUMBERS:
            raise RuleError(name, f"there is no measurement {name}; there is {_listed(kind)}")
        if name not in kind.fields:
            raise RuleError(name, f"a {kind.name} has no {name}, but {_listed(kind)}")
        dimension = dimension_of(name)
        if source.unit is not None and source.unit not in known_units(dimension):
            raise RuleError(
                name,
                f"{name} has the unit {source.unit}; it can be "
                f"{', '.join(known_units(dimension))}, or give a factor to {dimension}",
            )
        if source.less is not None and (rule.topic is None or dimension != "kWh"):
            raise RuleError(name, f"{name}: less is for energy, in messages of MQTT")
        if not source.factor or not isfinite(source.factor):
            raise RuleError(name, f"{name} has the factor {source.factor:g}; nothing is left by it")
    for tag, values in rule.where.items():
        if not values and values != "":
            raise RuleError("where", f'{tag} has no value: name some, or "*" for anything')
    _check_topic(rule)
    energy = kind.energy
    if {energy.field, energy.register_field} <= rule.fields.keys():
        raise RuleError(
            energy.field,
            f"{energy.field} is the energy since the reading before, {energy.register_field} what "
            "a register shows: a reading has one of them",
        )


def _check_topic(rule: Rule) -> None:
    """Raise RuleError for what a rule says of MQTT and cannot be."""
    if rule.topic is None:
        for key, given in (("items", rule.items), ("time", rule.time)):
            if given is not None:
                raise RuleError(key, f"{key} is of messages of MQTT: add a topic")
        return
    if rule.measurement != "*":
        raise RuleError("measurement", "a rule has a measurement or a topic, not both")
    if why := check_filter(rule.topic):
        raise RuleError("topic", why)
    for key, path in (("items", rule.items), ("time", rule.time)):
        if path is not None and not all(path.split(".")):
            raise RuleError(key, f"{key} is names with dots between them, as in params.ts")
    if rule.items is not None and wrong_braces(rule.items):
        raise RuleError("items", "items: braces hold a name, each another one, as in {kind}:{id}")
    if not 0 < rule.resolutionS <= _LONGEST_RESOLUTION_S:
        raise RuleError(
            "resolutionS", f"resolutionS is more than 0, at most {_LONGEST_RESOLUTION_S}"
        )
    if rule.time is None:
        for name in rule.fields:
            if name in INTERVALS:
                raise RuleError(
                    name,
                    f"{name} is the energy since the message before, and MQTT may deliver one "
                    f"twice: add time, where a message has one, or take a counter ({name}Total)",
                )


def _listed(kind: DeviceKind) -> str:
    return ", ".join(kind.fields)


def _check_template(name: str, text: str) -> None:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise RuleError(name, f"{name}: {error}; write {{{{ for a brace") from None
    for literal, tag, form, conversion in parts:
        if tag == "" or form or conversion:
            raise RuleError(name, f"{name}: braces hold the name of a tag, as in {{charger}}")
        if literal and name != "sessionId" and not is_device_id(f"x{literal}x"):
            raise RuleError(name, f"{name}: an id has no character such as those of {literal!r}")


def tags_of(text: str) -> list[str]:
    """Return the names of tags that an id is made of."""
    return [tag for _, tag, _, _ in Formatter().parse(text) if tag is not None]
