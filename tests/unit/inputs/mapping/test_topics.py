"""Messages with a topic become readings by rules, and nothing goes unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.inputs.mapping.load import parse, parse_file
from fleetmeter.inputs.mapping.paths import items_at, moment_of, number_of, value_at
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.inputs.mapping.topics import Arriving, Decoding, TopicRules
from fleetmeter.inputs.mqtt.decoder import MessageDecoder
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

DEPOT = """
[[rules]]
topic = "depot/{site}/{charger}/state"
where = { kind = ["ac", ""] }
time = "at"
meterId = "{site}/{charger}"
sessionId = "{tx.id}"
[rules.fields]
kwhConsumedAcTotal = { field = "meters.0.wh", unit = "Wh" }
powerKw = { field = "power", unit = "W" }
"""
AT = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def decoded(text: str, topic: str, message: Any, **options: bool) -> Decoding:
    sent = message if isinstance(message, bytes) else msgspec.json.encode(message)
    return TopicRules(parse(text, "rules")).decode(topic, sent, **options)


def test_levels_and_paths_become_ids_measurements_and_the_time() -> None:
    message = {
        "at": 1790000000,
        "tx": {"id": 17},
        "meters": [{"wh": "1500"}],
        "power": 7250,
        "unused": True,
    }
    items, untaken = decoded(DEPOT, "depot/north/Säule 3/state", message)
    assert items == [
        Telemetry(
            meter_id="north/S%C3%A4ule 3",
            session_id="17",
            kwh_consumed_ac_total=1.5,
            power_kw=7.25,
            timestamp=AT,
        )
    ]
    assert untaken == []


@pytest.mark.parametrize(
    ("topic", "message", "untaken"),
    [
        ("depot/x", {}, Untaken("no_rule", "depot/x")),
        ("depot/a/b/state", {"kind": "dc"}, Untaken("no_rule", "depot/a/b/state")),
        ("depot/a/b/state", {"x": 1}, Untaken("no_field", "depot/{site}/{charger}/state")),
        ("depot/a/b/state", b"12.5", Untaken("no_field", "depot/{site}/{charger}/state")),
        ("depot/a/b/state", {"power": 1}, Untaken("no_tag", "depot/{site}/{charger}/state.tx.id")),
        (
            "depot/a/b/state",
            {"power": "off"},
            Untaken("not_a_number", "depot/{site}/{charger}/state.power"),
        ),
        (
            "depot/a/b/state",
            {"power": True},
            Untaken("not_a_number", "depot/{site}/{charger}/state.power"),
        ),
    ],
)
def test_what_no_rule_takes_is_said(topic: str, message: Any, untaken: Untaken) -> None:
    assert decoded(DEPOT, topic, message) == Decoding([], [untaken])


PLAIN = """
[[rules]]
topic = "m/{meter}/energy"
resolutionS = 10
meterId = "{meter}"
[rules.fields]
kwhConsumedAcTotal = "value"
"""


@pytest.mark.parametrize("payload", [b"12.5", b" +1.25e1\n", b'"12.5"', b"12.50"])
def test_a_number_alone_is_the_field_value(payload: bytes) -> None:
    items, _ = decoded(PLAIN, "m/A/energy", payload)
    assert items == [Arriving(Telemetry(meter_id="A", kwh_consumed_ac_total=12.5), 10)]


@pytest.mark.parametrize("payload", [b"on", b"true", b"12,5", b"nan", b"0x10"])
def test_a_text_alone_is_not_a_number(payload: bytes) -> None:
    assert decoded(PLAIN, "m/A/energy", payload).untaken == [
        Untaken("not_a_number", "m/{meter}/energy.value")
    ]


def test_a_retained_message_is_taken_only_with_its_own_time() -> None:
    timed = {"at": 1790000000000, "tx": {"id": "a"}, "power": 1}
    assert len(decoded(DEPOT, "depot/a/b/state", timed, retained=True).items) == 1
    del timed["at"]
    untaken = Untaken("retained", "depot/{site}/{charger}/state")
    assert decoded(DEPOT, "depot/a/b/state", timed, retained=True) == Decoding([], [untaken])
    assert len(decoded(DEPOT, "depot/a/b/state", timed).items) == 1


def test_energy_of_an_interval_needs_a_time() -> None:
    text = DEPOT.replace("kwhConsumedAcTotal", "kwhConsumedAc")
    message = {"tx": {"id": "a"}, "meters": [{"wh": 1}]}
    untaken = Untaken("no_time", "depot/{site}/{charger}/state")
    assert decoded(text, "depot/a/b/state", message) == Decoding([], [untaken])
    assert len(decoded(text, "depot/a/b/state", message | {"at": "2026-09-21T14:13:20Z"})[0]) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b'{"power": 1',
        b"[1, 2",
        b"\xff\xfe",
        b'{"power":1,"tx":{"id":1},"at":"noon"}',
        b"[" * 9999,
    ],
)
def test_a_message_that_cannot_be_read_is_malformed(payload: bytes) -> None:
    (item,), untaken = decoded(DEPOT, "depot/a/b/state", payload)
    assert isinstance(item, Invalid)
    assert (item.code, item.sent, untaken) == ("malformed", payload[:500], [])


@given(st.binary(max_size=40) | st.from_regex(r"[\[\]{}\":,0-9a-z.]{0,30}").map(str.encode))
def test_no_message_fails(payload: bytes) -> None:
    decoded(DEPOT, "depot/a/b/state", payload)
    decoded(PLAIN, "m/A/energy", payload)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (1790000000, AT),
        (1790000000.0, AT),
        ("1790000000", AT),
        (1790000000000, AT),
        (1790000000000000, AT),
        (1790000000000000000, AT),
        ("2026-09-21T16:13:20+02:00", AT),
        ("2026-09-21 14:13:20Z", AT),
    ],
)
def test_times_come_as_text_and_as_numbers(said: Any, at: datetime) -> None:
    assert moment_of(said) == at


@pytest.mark.parametrize("said", ["2026-09-21T14:13:20", "noon", True, [], 1e300])
def test_what_is_no_time_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="time"):
        moment_of(said)


def test_paths_go_down_objects_and_arrays() -> None:
    message = {"a": {"b.c": {"d": 1}, "e": [1, {"f": 2}], "g": None}, "a.e": 3}
    assert value_at(message, "a.b.c.d") == 1
    assert value_at(message, "a.e.1.f") == 2
    assert value_at(message, "a.e") == 3
    for path in ("a.e.2", "a.e.-1", "a.e.1.f.x", "a.g", "x", "a.b", "a.e.²"):
        assert value_at(message, path) is None
    assert list(items_at({"x": {"k": [5, 6], "l": [7]}}, "x.{name}.*")) == [
        ({"name": "k"}, 5),
        ({"name": "k"}, 6),
        ({"name": "l"}, 7),
    ]
    assert list(items_at({"em:0": 5, "em:1:2": 6, "sys": 7}, "{kind}:{number}")) == [
        ({"kind": "em", "number": "0"}, 5),
        ({"kind": "em", "number": "1:2"}, 6),
    ]
    assert number_of(10**400) is None


PHASES = """
[[rules]]
topic = "meter"
meterId = "M"
fields = { kwhConsumedAcTotal = { field = "wh", less = "back", unit = "Wh" }, voltage = "u" }
[[rules]]
topic = "car"
vehicleId = "V"
fields = { soc = "soc" }
"""


def test_a_bad_time_costs_no_other_reading_of_a_message() -> None:
    meters = [{"at": said, "meters": [{"wh": 1500}]} for said in (1790000000, "x", 1790000060)]
    items, untaken = decoded(DEPOT.replace("{tx.id}", "T"), "depot/n/3/state", [5, *meters])
    assert [getattr(each, "timestamp", None) for each in items] == [
        AT,
        None,
        AT + timedelta(minutes=1),
    ]
    assert isinstance(items[1], Invalid)
    assert items[1].sent == b'{"at":"x","meters":[{"wh":1500}]}'
    assert untaken == [Untaken("no_field", "depot/{site}/{charger}/state")]


@pytest.mark.parametrize(("length", "is_known"), [(100, True), (60_000, False)])
def test_long_topics_are_taken_and_not_remembered(length: int, is_known: bool) -> None:
    rules = TopicRules(parse(PHASES.replace('"meter"', '"+"'), "rules"))
    for _ in range(2):
        items, _ = rules.decode("a" * length, b'{"wh": 5}')
        assert items == [Arriving(Telemetry(meter_id="M", kwh_consumed_ac_total=0.005), 1)]
    assert bool(rules._known) == is_known


def test_a_message_of_many_readings_is_decoded_in_slices() -> None:
    message = [{"at": 1790000000 + number, "wh": [[]], "power": 1} for number in range(1000)]
    rules = TopicRules(parse(DEPOT.replace("{tx.id}", "T"), "rules"))
    sent = msgspec.json.encode(message)
    assert len(rules.decode("depot/n/3/state", sent).items) == 1000
    assert len(list(rules.decoding("depot/n/3/state", sent))) == 5


@pytest.mark.parametrize(
    ("message", "reading"),
    [
        ({"wh": [1, "2", 3], "back": 1, "u": [230]}, {"kwh_consumed_ac_total": 0.005}),
        ({"wh": 5, "back": None, "u": ["230"]}, {"kwh_consumed_ac_total": 0.005}),
        ({"wh": 5, "u": [230]}, {"kwh_consumed_ac_total": 0.005}),
        ({"wh": 5, "back": "?", "u": [230]}, {}),
        ({"wh": [1, 2, 3, 4], "u": [230]}, {}),
        ({"wh": [1, None], "u": [230]}, {}),
        ({"wh": [1, [2]], "u": [230]}, {}),
        ({"wh": [], "u": [230]}, {}),
        ({"wh": {}, "u": [230]}, {}),
    ],
)
def test_lists_have_phases_and_what_is_not_a_number_is_said(
    message: Any, reading: dict[str, float]
) -> None:
    items, untaken = decoded(PHASES, "meter", message)
    assert items == [Arriving(Telemetry(meter_id="M", voltage_l1=230, **reading), 1)]
    assert untaken == ([] if reading else [Untaken("not_a_number", "meter.wh")])


def test_only_energy_power_and_voltage_have_phases() -> None:
    items, untaken = decoded(PHASES, "car", {"soc": [50]})
    assert items == []
    assert untaken == [Untaken("not_a_number", "car.soc")]


def test_readings_of_the_api_and_line_protocol_have_topics_too() -> None:
    file = parse_file(
        """
readings = ["own/#"]
lineProtocol = ["telegraf/+"]
[[rules]]
measurement = "wallbox"
meterId = "{charger}"
fields = { powerKw = "power" }
""",
        "rules",
    )
    decoder = MessageDecoder(Mapping(file.rules, file.lineProtocol, file.readings))
    assert decoder.subscriptions == ["own/#", "telegraf/+"]
    own = b'[{"meterId": "A", "voltage": 230, "timestamp": "2026-09-21T14:13:20Z"}, {"meterId": 1}]'
    reading, invalid = decoder.decode("own/x", own).items
    assert reading == Telemetry(meter_id="A", voltage=230, timestamp=AT)
    assert isinstance(invalid, Invalid)
    line = b"wallbox,charger=A power=7,phases=3 1790000000000000000"
    assert decoder.decode("telegraf/x", line) == Decoding(
        [Telemetry(meter_id="A", power_kw=7, timestamp=AT)],
        [Untaken("no_field", "wallbox.phases")],
    )
    assert decoder.decode("telegraf/x", line, retained=True).items == []
    (broken,) = decoder.decode("own/x", b"[{").items
    assert isinstance(broken, Invalid)
    assert decoder.decode("own/x", b"") == Decoding([], [])


def test_large_messages_of_lines_are_decoded_in_slices() -> None:
    file = parse_file(f'lineProtocol = ["l"]\n{DEPOT}', "rules")
    decoder = MessageDecoder(Mapping(file.rules, file.lineProtocol, file.readings))
    lines = "\n".join(
        "m " + ",".join(f"f{field}_{line}=1" for field in range(300)) for line in range(200)
    )
    assert sum(1 for _ in decoder.decoding("l", lines.encode())) > 20


def test_long_topics_are_not_remembered() -> None:
    rules = TopicRules(parse(DEPOT, "rules"))
    for number in range(300):
        rules.decode(f"depot/{number}/{'x' * 60_000}/state", b"{}")
    assert not rules._known


def test_arrays_of_very_many_items_are_refused() -> None:
    text = """
[[rules]]
topic = "m/{id}"
items = "*"
meterId = "{id}"
fields = { voltage = "v" }
"""
    with_place = text.replace('"*"', '"{place}"')
    for each in (text, with_place):
        (item,), _ = decoded(each, "m/1", b"[0" + b",0" * 500_000 + b"]")
        assert isinstance(item, Invalid)
