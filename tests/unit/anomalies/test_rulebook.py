"""Thresholds: defaults, what overrides them where, and which cannot be."""

from typing import Any

import msgspec
import pytest

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.battery_hot import BatteryHot
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.rules.silence.site_silent import SiteSilent
from fleetmeter.anomalies.rules.standby_loss import StandbyLoss
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook

METER = Subject("meter", "M")


def watts(rulebook: Rulebook, subject: Subject, site: str | None) -> float:
    parameters = rulebook.of(StandbyLoss, subject, site)
    return parameters.open_w


def standby(scope: Any, target: str, **parameters: Any) -> Override:
    return Override("standby_loss", scope, target, parameters)


def test_every_rule_says_what_it_finds_and_where_its_defaults_come_from() -> None:
    assert all(rule.source and rule.description for rule in RULES.values())


def test_every_parameter_says_what_it_is() -> None:
    for rule in RULES.values():
        schema = msgspec.json.schema(rule.thresholds)
        properties = schema["$defs"][rule.thresholds.__name__]["properties"]
        assert properties["enabled"]["default"] is True
        assert all("description" in each for each in properties.values()), rule.kind


def test_the_narrowest_scope_wins_parameter_by_parameter() -> None:
    rulebook = Rulebook(
        [
            standby("fleet", "", openW=200, hours=3),
            standby("site", "S", openW=300),
            standby("meter", "M", hours=9),
        ]
    )
    parameters = rulebook.of(StandbyLoss, METER, "S")
    assert (parameters.open_w, parameters.hours, parameters.clear_w) == (300, 9, 100)
    assert watts(rulebook, METER, None) == 200
    assert watts(rulebook, Subject("meter", "N"), "S") == 300
    assert watts(rulebook, Subject("meter", "N"), "T") == 200


def test_a_site_has_what_is_set_for_it() -> None:
    rulebook = Rulebook([Override("site_silent", "site", "S", {"minimumDevices": 9})])
    of_site = rulebook.of(SiteSilent, Subject("site", "S"), "S")
    of_other = rulebook.of(SiteSilent, Subject("site", "T"), "T")
    assert msgspec.to_builtins(of_site)["minimumDevices"] == 9
    assert msgspec.to_builtins(of_other)["minimumDevices"] == 3


def test_an_override_that_contradicts_a_wider_one_is_left_out() -> None:
    rulebook = Rulebook([standby("fleet", "", openW=110), standby("meter", "M", clearW=120)])
    parameters = rulebook.of(StandbyLoss, METER, None)
    assert (parameters.open_w, parameters.clear_w) == (110, 100)


def test_where_nothing_narrower_is_set_the_whole_fleet_has_the_same() -> None:
    rulebook = Rulebook([standby("fleet", "", openW=200), standby("meter", "M", openW=300)])
    assert rulebook.everywhere(StandbyLoss) is None
    assert rulebook.everywhere(BatteryHot) is rulebook.of(BatteryHot, METER, "S")


@pytest.mark.parametrize(
    ("kind", "parameters", "says"),
    [
        ("standby_loss", {"open_w": 1}, "unknown field `open_w`"),
        ("standby_loss", {"openW": "much"}, "$.openW"),
        ("standby_loss", {"openW": 0}, "$.openW"),
        ("standby_loss", {"openW": 99}, "clearW must not exceed openW"),
        ("standby_loss", {"openW": 1500}, "ceilingW must exceed openW"),
        ("efficiency_low", {"clearMargin": 0.08}, "clearMargin must not exceed margin"),
        ("efficiency_low", {"expected": [[2, 0.8], [1, 0.7]]}, "powers must increase"),
        ("efficiency_drop", {"expected": [[1, 1.1]]}, "between 0 and 1"),
        ("site_silent", {"clearShare": 0.9}, "clearShare must not exceed share"),
        ("voltage_out_of_range", {"clearTolerance": 0.2}, "clearTolerance must not exceed"),
        ("battery_hot", {"clearC": 46}, "clearC must not exceed openC"),
        ("battery_cold_charging", {"clearC": -1}, "clearC must not be less than openC"),
        ("soc_mismatch", {"clearDifference": 0.3}, "clearDifference must not exceed"),
        ("clock_skew", {"aheadS": 1000}, "$.aheadS"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    kind: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(parameters, RULES[kind].thresholds)
    assert says in str(refused.value)
