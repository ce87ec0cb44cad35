"""The sampled values of a moment have units, phases and places."""

from typing import Any

import msgspec
import pytest

from fleetmeter.readings.ocpp import INLET, OUTLET, SampledValue, Values, values_of

POWER, GIVEN = "Power.Active.Import", "Power.Active.Export"


def values(*sampled: dict[str, Any], **options: Any) -> Values:
    return values_of(msgspec.convert(sampled, list[SampledValue]), **options)


@pytest.mark.parametrize(
    ("sampled", "wh"),
    [
        ({"value": "5"}, 5),
        ({"value": "5", "unit": "Wh"}, 5),
        ({"value": "5", "unit": "KWH"}, 5000),
        ({"value": 5, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}, 5000),
        ({"value": 5, "unitOfMeasure": {"unit": "kWh", "multiplier": -1}}, 500),
        ({"value": 5, "unitOfMeasure": "kWh"}, 5000),
        ({"value": 5, "unitOfMeasure": {"multiplier": None}}, 5),
        ({"value": "5", "unit": "A"}, None),
        ({"value": "5,5"}, "5,5"),
        ({"value": "5", "unitOfMeasure": {"multiplier": 1e9}}, "5"),
    ],
)
def test_energy_has_its_unit(sampled: dict[str, Any], wh: object) -> None:
    assert values(sampled).register == wh


def test_energy_called_wh_may_be_kwh_by_rule() -> None:
    found = values({"value": 5, "unit": "Wh"}, unnamed_energy="kWh")
    assert found.register == 5000
    assert values({"value": 5, "unit": "W", "measurand": POWER}, unnamed_energy="kWh").power == 5


def test_phases_of_energy_and_power_add_up() -> None:
    phases = [{"value": n, "phase": f"L{n}", "measurand": POWER} for n in (1, 2, 3)]
    assert values(*phases).power == 6
    assert values(*phases, {"value": 7, "measurand": POWER}).power == 7
    assert values(*phases[:2], {"value": "x", "phase": "L3", "measurand": POWER}).power is None
    assert values({"value": 9, "phase": "L1-N"}).register == 9


@pytest.mark.parametrize(("taken", "given", "power"), [(5, 0, 5), (0, 5, -5), (None, 5, -5)])
def test_power_given_back_is_negative(taken: int | None, given: int, power: int) -> None:
    sampled = [{"value": given, "measurand": GIVEN}]
    if taken is not None:
        sampled.append({"value": taken, "measurand": POWER})
    assert values(*sampled).power == power


def test_voltage_between_phases_is_that_to_neutral() -> None:
    between = [
        {"value": 400, "phase": phase, "measurand": "Voltage"}
        for phase in ("L1-L2", "L2-L3", "L3-L1")
    ]
    assert values(*between).voltage == pytest.approx(230.94, abs=0.01)
    one = values(*between, {"value": 229, "phase": "L2", "measurand": "Voltage"})
    assert (one.voltage, one.voltage_l2) == (None, 229)


def test_places_are_kept_apart() -> None:
    sampled = [{"value": 9, "location": "Inlet"}, {"value": 5, "location": "Outlet"}]
    assert values(*sampled).register == 5
    assert values(*sampled, places=OUTLET).register == 5
    assert values(*sampled, places=INLET).register == 9
    assert values(sampled[0], places=OUTLET).register is None


def test_only_the_temperature_of_the_vehicle_is_taken() -> None:
    hot = {"value": "86", "unit": "Fahrenheit", "measurand": "Temperature"}
    assert values(hot).temperature is None
    assert values(hot | {"location": "EV"}).temperature == 30
