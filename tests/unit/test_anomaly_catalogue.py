"""Every kind of anomaly is complete: thresholds, a page, a fault, its magnitude and a score."""

import re
from collections.abc import Callable
from functools import cache
from typing import get_args

import msgspec
import pytest

from fleetmeter.anomalies.model import Kind
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter_benchmark.scoring import evident_at, score
from fleetmeter_simulator.faults.kinds import KINDS, VARIANTS, Fault, per_kind
from fleetmeter_simulator.faults.magnitudes import NEEDS
from fleetmeter_simulator.fleet import Fleet
from tests.unit.simulate.fleets import START
from tests.unit.test_anomalies_page import PAGE

MOST_VARIANTS = max(map(len, VARIANTS.values()))


@cache
def faults() -> list[Fault]:
    """What a large fleet has when every variant of every fault is wanted."""
    return Fleet(7, 60, START, 28, faults=per_kind(MOST_VARIANTS)).faults


def has_thresholds_with_a_source(kind: Kind) -> bool:
    """Every parameter says what it is, and the rule where the defaults come from."""
    parameters = RULES[kind].thresholds
    described = msgspec.json.schema(parameters)["$defs"][parameters.__name__]["properties"]
    return bool(RULES[kind].source) and all(each.get("description") for each in described.values())


def is_on_the_page(kind: Kind) -> bool:
    """A row of the table of rules, alone or with others, in the first column."""
    table = PAGE.partition("\n## The rules\n")[2].partition("\n\n| kind | parameters |")[0]
    return re.search(rf"^\|[^|]*`{kind}`[^|]*\|", table, re.MULTILINE) is not None


def has_a_fault(kind: Kind) -> bool:
    """The simulator can make it."""
    return kind in KINDS


def has_a_magnitude(kind: Kind) -> bool:
    """How long it lasts and what it takes to show: by kind, or by each variant."""
    variants = VARIANTS.get(kind, ())
    return kind in NEEDS or (bool(variants) and all(variant in NEEDS for variant in variants))


def is_scored(kind: Kind) -> bool:
    """A line in the table of the benchmark, and a time from which somebody can know."""
    if kind not in {line.kind for line in score([], [], [], {})}:
        return False
    try:
        for fault in faults():
            if fault.kind == kind:
                evident_at(fault, 60)
    except KeyError:
        return False
    return True


def test_every_kind_has_a_rule() -> None:
    assert tuple(RULES) == get_args(Kind)


@pytest.mark.parametrize(
    "has",
    [has_thresholds_with_a_source, is_on_the_page, has_a_fault, has_a_magnitude, is_scored],
)
def test_every_kind(has: Callable[[Kind], bool]) -> None:
    assert [kind for kind in RULES if not has(kind)] == []


def test_a_large_fleet_has_room_for_every_variant_of_every_fault() -> None:
    wanted = {(each.kind, each.variant) for each in per_kind(MOST_VARIANTS)}
    assert {(fault.kind, fault.variant) for fault in faults()} == wanted
