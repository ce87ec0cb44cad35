"""Rules make readings of messages, and nothing that they do not take goes unseen."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.inputs.mapping.ids import encoded
from fleetmeter.inputs.mapping.load import load_mapping, parse
from fleetmeter.inputs.mapping.rules import Mapping, Untaken, Value
from fleetmeter.readings.ids import is_device_id
from fleetmeter.readings.telemetry import FIELDS, Telemetry, attribute

AT = datetime(2026, 3, 2, tzinfo=UTC)

DEPOT = """
[[rules]]
measurement = "wallbox*"
where = { site = ["north", "south*"] }
meterId = "{site}/{charger}"
sessionId = "{measurement} {charger}"
[rules.fields]
kwhConsumedAcTotal = { field = "energy", unit = "Wh" }
powerKw = { field = "power", unit = "W", factor = 2 }
voltage = "u"

[[rules]]
measurement = "wallbox*"
where = { vehicle = "*" }
vehicleId = "{vehicle}"
meterId = "{site}/{charger}"
[rules.fields]
soc = { field = "soc", unit = "ratio" }
"""


def taken(
    text: str, name: str, tags: dict[str, str], **fields: Value
) -> tuple[list[dict[str, Any]], list[Untaken]]:
    mapping = Mapping(parse(text, "depot.toml")) if text else load_mapping(None)
    untaken: list[Untaken] = []
    readings = mapping.series(name, tags).readings([*fields.items()], AT, untaken)
    return [shown(each) for each in readings], untaken


def shown(reading: Telemetry) -> dict[str, Any]:
    given = {field: getattr(reading, attribute(field)) for field in FIELDS}
    return {field: value for field, value in given.items() if value is not None}


def test_a_message_becomes_a_reading_of_each_device_it_is_of() -> None:
    tags = {"site": "north", "charger": "3", "vehicle": "EV 1"}
    found, untaken = taken(DEPOT, "wallbox_a", tags, energy=1500.0, power=3700.0, soc=0.72)
    assert found == [
        {
            "meterId": "north/3",
            "sessionId": "wallbox_a 3",
            "kwhConsumedAcTotal": 1.5,
            "powerKw": 7.4,
            "timestamp": AT,
        },
        {"vehicleId": "EV 1", "meterId": "north/3", "soc": 72.0, "timestamp": AT},
    ]
    assert untaken == []


@pytest.mark.parametrize(
    ("name", "tags", "fields", "untaken"),
    [
        ("meter", {"site": "north", "charger": "3"}, {"energy": 1.0}, ("no_rule", "meter")),
        ("wallbox", {"site": "east", "charger": "3"}, {"energy": 1.0}, ("no_rule", "wallbox")),
        ("wallbox", {"charger": "3"}, {"energy": 1.0}, ("no_rule", "wallbox")),
        ("wallbox", {"site": "southern"}, {"energy": 1.0}, ("no_tag", "wallbox.charger")),
        (
            "wallbox",
            {"site": "north", "charger": "3"},
            {"phases": 3.0},
            ("no_field", "wallbox.phases"),
        ),
        (
            "wallbox",
            {"site": "north", "charger": "3"},
            {"energy": "1.5"},
            ("not_a_number", "wallbox.energy"),
        ),
        (
            "wallbox",
            {"site": "north", "charger": "3"},
            {"energy": True},
            ("not_a_number", "wallbox.energy"),
        ),
    ],
)
def test_what_no_rule_takes_is_told(
    name: str, tags: dict[str, str], fields: dict[str, Value], untaken: tuple[str, str]
) -> None:
    assert taken(DEPOT, name, tags, **fields) == ([], [untaken])


def test_a_field_that_is_not_taken_costs_no_other() -> None:
    found, untaken = taken(DEPOT, "wallbox", {"site": "north", "charger": "3"}, u=230.0, x=1.0)
    assert [each["voltage"] for each in found] == [230.0]
    assert untaken == [("no_field", "wallbox.x")]


@pytest.mark.parametrize(
    ("tags", "ids"),
    [
        ({"meterId": "M"}, {"meterId": "M"}),
        ({"vehicleId": "EV"}, {"vehicleId": "EV"}),
        ({"vehicleId": "EV", "meterId": "M"}, {"vehicleId": "EV", "meterId": "M"}),
        ({"meterId": "M", "sessionId": "S 1"}, {"meterId": "M", "sessionId": "S 1"}),
        ({"vehicleId": "EV", "sessionId": "7"}, {"vehicleId": "EV", "sessionId": "7"}),
    ],
)
def test_without_a_file_tags_and_fields_have_the_names_of_the_api(
    tags: dict[str, str], ids: dict[str, str]
) -> None:
    found, untaken = taken("", "anything", tags, powerKw=7.0)
    assert found == [ids | {"powerKw": 7.0, "timestamp": AT}]
    assert untaken == []


@pytest.mark.parametrize("tag", ["*", "?", "[a]", "a.b", "x y"])
def test_only_the_star_is_special_in_what_is_wanted(tag: str) -> None:
    rule = '[[rules]]\nwhere = {{ t = {!r} }}\nmeterId = "M"\nfields = {{ voltage = "u" }}\n'
    found, _ = taken(rule.format(tag), "m", {"t": tag}, u=1.0)
    assert found
    other, _ = taken(rule.format(tag), "m", {"t": f"{tag}z" if tag != "*" else ""}, u=1.0)
    assert len(other) == (tag == "*")


@given(st.text(min_size=1, max_size=12))
def test_any_text_is_an_id_that_can_be_read_back(text: str) -> None:
    id_ = encoded(text)
    assert is_device_id(id_) or len(id_) > 64
    assert unquote(id_) == text


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_different_texts_are_different_ids(one: str, other: str) -> None:
    assert (encoded(one) == encoded(other)) == (one == other)
