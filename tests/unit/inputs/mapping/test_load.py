"""What is wrong with a mapping file is said with its line."""

from pathlib import Path

import pytest

from fleetmeter.errors import SettingsError
from fleetmeter.inputs.mapping.load import load_mapping, parse

RULE = """# depot

[[rules]]
measurement = "a"
meterId = "M"
[rules.fields]
voltage = "u"

[[rules]]
measurement = "b"
"""


TOPIC = """
[[rules]]
meterId = "M"
fields = { kwhConsumedAcTotal = "value" }
"""


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("x = [", 1, "Invalid"),
        ("a = 1\nb = = 2", 2, "Invalid value"),
        ("", 1, "there is no rule"),
        ('presets = ["evcc"]\nrules = 1', 2, "Expected `array`"),
        ('presets = ["evcc", "vw"]', 1, "there is no preset vw; there is evcc, "),
        ('readings = ["a/#"]\nlineProtocol = ["#/a"]', 2, "it is the last one"),
        (TOPIC + 'topic = "a/b+/c"', 5, "+, # and {name} each stand for a whole level"),
        (TOPIC + 'topic = "a/{b}/{b}"', 5, "one level"),
        (TOPIC + 'topic = "$share/a/b"', 5, "FLEETMETER_MQTT_SHARE"),
        (TOPIC + 'topic = "a"\nmeasurement = "b"', 6, "a measurement or a topic"),
        (TOPIC + 'items = "a"', 5, "add a topic"),
        (TOPIC + 'topic = "a"\ntime = "a..b"', 6, "names with dots between"),
        (TOPIC + 'topic = "a"\nresolutionS = 0', 6, "more than 0"),
        (TOPIC + 'topic = "a"\nitems = "a.{b}:{b}"', 6, "braces hold a name, each another one"),
        (TOPIC + 'topic = "a"\nitems = "a.{b"', 6, "braces hold a name"),
        (
            TOPIC.replace('"value"', '{ field = "a", less = "b" }'),
            4,
            "kwhConsumedAcTotal: less is for energy, in messages of MQTT",
        ),
        (
            '[[rules]]\ntopic = "a"\nmeterId = "M"\n'
            '[rules.fields]\nvoltage = { field = "u", less = "v" }',
            5,
            "less is for energy",
        ),
        (TOPIC.replace("Total", "") + 'topic = "a"', 4, "MQTT may deliver one twice: add time"),
        ("[[rules]]\nmeterId = 'M'\nfields = {}", 3, "nothing would be measured"),
        (RULE, 9, "required field `fields`"),
        (RULE + 'fields = { voltage = "u" }', 11, "names no device"),
        (RULE + 'meterId = "{}"\nfields = { voltage = "u" }', 11, "name of a tag"),
        (RULE + 'meterId = "{a"\nfields = { voltage = "u" }', 11, "brace"),
        (RULE + 'meterId = "{a!r}"\nfields = { voltage = "u" }', 11, "name of a tag"),
        (RULE + 'meterId = "ä{a}"\nfields = { voltage = "u" }', 11, "an id has no"),
        (RULE + 'meterId = "M"\n[rules.fields]\nvolts = "u"', 13, "no measurement volts"),
        (RULE + 'meterId = "M"\n[rules.fields]\nsoc = "u"', 13, "a meter has no soc"),
        (
            RULE + 'meterId = "M"\n[rules.fields]\nvoltage = { field = "u", unit = "W" }',
            13,
            "it can be V, mV, kV",
        ),
        (
            RULE + 'meterId = "M"\n[rules.fields]\nvoltage = { field = "u", unti = "V" }',
            13,
            "unknown field `unti`",
        ),
        *(
            (
                RULE
                + f'meterId = "M"\n[rules.fields]\nvoltage = {{ field = "u", factor = {factor} }}',
                13,
                "has the factor",
            )
            for factor in ("0", "inf", "nan")
        ),
        (
            RULE + 'meterId = "M"\nwhere = { site = [] }\nfields = { voltage = "u" }',
            12,
            "site has no value",
        ),
        (
            RULE + 'meterId = "M"\nfields = { kwhConsumedAc = "a", kwhConsumedAcTotal = "b" }',
            12,
            "a reading has one of them",
        ),
        (RULE + 'meterid = "M"\nfields = { voltage = "u" }', 11, "unknown field `meterid`"),
        (RULE + 'meterId = 5\nfields = { voltage = "u" }', 11, "Expected `str | null`"),
    ],
)
def test_an_error_names_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text, "depot.toml")
    assert str(error.value).startswith(f"depot.toml, line {line}: ")
    assert why in str(error.value)


def test_a_file_without_rules_says_how_to_begin() -> None:
    with pytest.raises(SettingsError, match=r"begin with \[\[rules\]\]"):
        parse("rules = []", "depot.toml")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_mapping(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe4")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_mapping(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(SettingsError, match="larger"):
        load_mapping(tmp_path / "large.toml")
