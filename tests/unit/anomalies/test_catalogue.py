"""Every kind of anomaly is complete: thresholds, a page, a fault, its magnitude and a score."""

import re
from collections.abc import Callable, Collection
from functools import cache

import msgspec
import pytest

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.anomalies.rules.catalogue import CATALOGUE, RULES, STATES
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter_benchmark.scoring import CONSEQUENCES, EVIDENT, NAMES_CAUSES, evident_at, score
from fleetmeter_simulator.faults.kinds import KINDS, VARIANTS, per_kind
from fleetmeter_simulator.faults.magnitudes import NEEDS
from fleetmeter_simulator.fleet import Fleet
from tests.support.repository import page
from tests.support.simulated_fleets import START

PAGE = page("anomalies.md")

MOST_VARIANTS = max(map(len, VARIANTS.values()))


@cache
def fleet() -> Fleet:
    """A large fleet for which every variant of every fault is wanted."""
    return Fleet(7, 60, START, 28, faults=per_kind(MOST_VARIANTS))


def has_thresholds_with_a_source(kind: AnomalyKind) -> bool:
    """Every parameter says what it is, and the rule where the defaults come from."""
    parameters = RULES[kind].thresholds
    described = msgspec.json.schema(parameters)["$defs"][parameters.__name__]["properties"]
    return bool(RULES[kind].source) and all(each.get("description") for each in described.values())


def is_on_the_page(kind: AnomalyKind) -> bool:
    """A row of the table of rules, alone or with others, in the first column."""
    table = PAGE.partition("\n## The rules\n")[2].partition("\n\n| kind | parameters |")[0]
    return re.search(rf"^\|[^|]*`{kind}`[^|]*\|", table, re.MULTILINE) is not None


def has_a_fault(kind: AnomalyKind) -> bool:
    """The simulator can make it."""
    return kind in KINDS


def has_a_magnitude(kind: AnomalyKind) -> bool:
    """The simulator knows how long it lasts and when it shows: by kind, or by each variant."""
    variants = VARIANTS.get(kind, ())
    return kind in NEEDS or (bool(variants) and all(variant in NEEDS for variant in variants))


def is_scored(kind: AnomalyKind) -> bool:
    """A line in the table of the benchmark, and a time from which somebody can know."""
    for fault in fleet().faults:
        if fault.kind == kind:
            evident_at(fault, 60)
    return kind in {line.kind for line in score([], [], [], {})} and kind in EVIDENT


def test_no_two_rules_have_the_same_kind() -> None:
    assert len(RULES) == len(CATALOGUE)


@pytest.mark.parametrize(
    "named",
    [
        VARIANTS,
        EVIDENT,
        NAMES_CAUSES,
        CONSEQUENCES,
        {kind for also in CONSEQUENCES.values() for kind in also},
    ],
    ids=["variants", "evident", "causes", "consequences", "consequence"],
)
def test_the_simulator_and_the_benchmark_name_kinds_that_exist(named: Collection[str]) -> None:
    assert set(named) <= set(RULES)


def test_side_effects_are_of_kinds_that_exist() -> None:
    assert {each.kind for each in fleet().acceptable} <= set(RULES)


@pytest.mark.parametrize(
    "has",
    [has_thresholds_with_a_source, is_on_the_page, has_a_fault, has_a_magnitude, is_scored],
)
def test_every_kind(has: Callable[[AnomalyKind], bool]) -> None:
    lacking = [kind for kind in RULES if not has(kind)]
    assert lacking == [], f"{has.__name__}: {has.__doc__}"


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.kind)
def test_a_rule_decides_in_the_phase_that_it_names(rule: Rule) -> None:
    assert (rule.judge is not None) == (
        rule.phase not in (Phase.SESSION, Phase.CLOCK, Phase.REJECTION)
    )
    assert (rule.judge_clock is not None) == (rule.phase == Phase.CLOCK)
    assert rule.judge_session is not None or rule.phase != Phase.SESSION


def test_no_two_states_have_a_field_of_the_same_name() -> None:
    names = [field.name for state in STATES for field in msgspec.structs.fields(state)]
    assert len(names) == len(set(names)), "a device's states lie side by side in one JSON object"
    assert "conditions" not in names


def test_a_large_fleet_has_room_for_every_variant_of_every_fault() -> None:
    wanted = {(each.kind, each.variant) for each in per_kind(MOST_VARIANTS)}
    assert {(fault.kind, fault.variant) for fault in fleet().faults} == wanted
