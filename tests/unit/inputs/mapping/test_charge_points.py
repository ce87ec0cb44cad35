"""Rules say whose readings those of an outlet are."""

import pytest

from fleetmeter.errors import SettingsError
from fleetmeter.inputs.mapping.charge_points import ChargePoints
from fleetmeter.inputs.mapping.load import parse_file

RULES = """
[[chargePoints]]
chargePoint = "DC-*"
connector = [1, 2]
measures = "dc"
meterId = "{chargePoint}"

[[chargePoints]]
chargePoint = "DC-*"
energyUnit = "kWh"
"""


def test_the_first_rule_that_is_for_an_outlet_holds() -> None:
    points = ChargePoints(parse_file(RULES, "rules").chargePoints)
    first = points.outlet("DC-7", 2)
    assert (first.meter_id, first.rule.measures) == ("DC-7", "dc")
    second = points.outlet("DC-7", 3)
    assert (second.meter_id, second.rule.energyUnit) == ("DC-7-3", "kWh")
    assert points.outlet("CP-7", 1).meter_id == "CP-7-1"


def test_ids_have_the_characters_of_ids() -> None:
    assert ChargePoints().outlet("Säule 1/a%", 1).meter_id == "S%C3%A4ule 1/a%25-1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('measures = "both"', "Invalid enum value 'both'"),
        ('meterId = "{evse}"', "braces hold"),
        ('meterId = "{chargePoint!r}"', "braces hold"),
        ('meterId = "{"', "write {{ for a brace"),
        ('meterId = "ä"', "no character such as"),
        ('meterId = ""', "meterId is empty"),
        ('chargepoint = "x"', "unknown field `chargepoint`"),
        ('connector = "x"', "Expected"),
        ('measures = "dc"\nregister = "session"', "the start of each transaction is known"),
    ],
)
def test_an_error_names_its_line(line: str, why: str) -> None:
    text = f'[[chargePoints]]\nchargePoint = "a"\n\n[[chargePoints]]\n{line}\n'
    with pytest.raises(SettingsError) as error:
        parse_file(text, "depot.toml")
    at = text.rstrip().count("\n") + 1
    assert str(error.value).startswith(f"depot.toml, line {at}: ")
    assert why in str(error.value)
