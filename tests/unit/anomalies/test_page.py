"""docs/anomalies.md is true: it names every rule, every parameter and its default."""

from typing import Any, get_args

import msgspec
import pytest

from fleetmeter.anomalies.model import AnomalyKind, Cause
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.rules.efficiency.low import EfficiencyLow
from fleetmeter.anomalies.rules.efficiency.session_efficiency import cold_allowance, expected
from fleetmeter.anomalies.rules.efficiency.thresholds import EXPECTED
from tests.support.repository import page

PAGE = page("anomalies.md")


def defaults_of(kind: AnomalyKind) -> str:
    """The row of the table of defaults."""
    values: dict[str, Any] = msgspec.to_builtins(RULES[kind].thresholds())
    del values["enabled"]
    values.pop("expected", None)
    shown = (
        f"`{name}` {'null' if value is None else f'{value:g}'}" for name, value in values.items()
    )
    return f"| `{kind}` | {', '.join(shown)} |"


@pytest.mark.parametrize("kind", RULES)
def test_the_defaults_of_each_rule_are_told(kind: AnomalyKind) -> None:
    assert defaults_of(kind) in PAGE


@pytest.mark.parametrize("cause", get_args(Cause))
def test_each_cause_is_told(cause: str) -> None:
    assert f"| `{cause}` |" in PAGE


def test_the_worked_session_is_right() -> None:
    assert expected(EXPECTED, 6.9) == pytest.approx(0.904, abs=0.0005)
    assert expected(EXPECTED, 6.9) - EfficiencyLow().margin == pytest.approx(0.834, abs=0.0005)
    assert cold_allowance(EfficiencyLow(), 5) == pytest.approx(0.04)
    for power, value in ((2.3, 0.76), (3.7, 0.84), (7.4, 0.91), (11, 0.94)):
        assert expected(EXPECTED, power) == value
