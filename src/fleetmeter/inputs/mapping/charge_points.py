"""Rules of charge points in a mapping file: whose readings those of an outlet are. Pure.

Without a rule, the outlet 2 of the charge point CP-1 is the meter CP-1-2.
"""

from collections.abc import Sequence
from functools import lru_cache
from re import compile as compiled
from string import Formatter
from typing import Literal, NamedTuple

import msgspec

from fleetmeter.inputs.mapping.ids import encoded
from fleetmeter.inputs.mapping.model import RuleError
from fleetmeter.inputs.mapping.rules import text_pattern
from fleetmeter.readings.ids import is_device_id

Measures = Literal["ac", "dc"]

_NAMES = ("chargePoint", "connector")
_MOST_OUTLETS = 50_000


class ChargePointRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which charge points and outlets it is for, and what to make of their values."""

    chargePoint: str = "*"  # noqa: N815 - as in the file
    """Its identity, with * for anything."""

    connector: int | list[int] | None = None
    """The outlets (1.6: connectors, 2.0.1: EVSEs) that it is for, by default all."""

    meterId: str = "{chargePoint}-{connector}"  # noqa: N815
    """The meter that the readings are of; with `measures = "dc"`, the one on the grid's side."""

    measures: Measures = "ac"
    """What the registers of the outlet measure: what it takes, or what reaches the vehicle."""

    energyUnit: Literal["Wh", "kWh"] = "Wh"  # noqa: N815
    """What energy is in that has no unit, or that of which the charge point says Wh."""

    stampByArrival: bool = False  # noqa: N815
    """Whether its clock is wrong, so that readings have the time of their arrival."""

    register: Literal["lifetime", "session"] = "lifetime"
    """Whether its registers only grow, or begin at 0 with each transaction."""


class Outlet(NamedTuple):
    """An outlet of a charge point, and what to make of its values."""

    connector: int
    meter_id: str
    rule: ChargePointRule


class ChargePoints:
    """The rules of charge points."""

    def __init__(self, rules: Sequence[ChargePointRule] = ()) -> None:
        self._rules = [(compiled(text_pattern(rule.chargePoint)), rule) for rule in rules]
        self.outlet = lru_cache(_MOST_OUTLETS)(self._outlet)
        """Return an outlet of a charge point, by the first rule that is for it."""

    def _outlet(self, charge_point: str, connector: int) -> Outlet:
        rule = next(
            (
                rule
                for pattern, rule in self._rules
                if pattern.match(charge_point) and _is_for(rule, connector)
            ),
            _DEFAULT,
        )
        names = {"chargePoint": encoded(charge_point), "connector": str(connector)}
        filled = rule.meterId.format(**names)
        return Outlet(connector, encoded(filled, also_percent=False), rule)


_DEFAULT = ChargePointRule()


def check_charge_point(rule: ChargePointRule) -> None:
    """Raise RuleError for a rule that can give no reading."""
    try:
        parts = list(Formatter().parse(rule.meterId))
    except ValueError as error:
        raise RuleError("meterId", f"meterId: {error}; write {{{{ for a brace") from None
    for literal, name, form, conversion in parts:
        if form or conversion or name not in (*_NAMES, None):
            raise RuleError("meterId", "meterId: braces hold {chargePoint} or {connector}")
        if literal and not is_device_id(f"x{literal}x"):
            raise RuleError("meterId", f"meterId: an id has no character such as in {literal!r}")
    if not rule.meterId:
        raise RuleError("meterId", "meterId is empty; by default it is {chargePoint}-{connector}")
    if rule.measures == "dc" and rule.register == "session":
        raise RuleError(
            "register", 'register: with measures = "dc" the start of each transaction is known'
        )


def _is_for(rule: ChargePointRule, connector: int) -> bool:
    if isinstance(rule.connector, list):
        return connector in rule.connector
    return rule.connector is None or rule.connector == connector
