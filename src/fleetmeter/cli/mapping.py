"""`fleetmeter mapping`: shows what a mapping makes of messages of other programs."""

import os
import sys
from pathlib import Path

import click

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.line_protocol import PRECISIONS
from fleetmeter.inputs.mapping.load import load_charge_points, load_mapping
from fleetmeter.inputs.mapping.presets import PRESETS, preset_text
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.inputs.mapping.topics import Arriving
from fleetmeter.inputs.mqtt.decoder import MessageDecoder
from fleetmeter.inputs.ocpp.trial import taken
from fleetmeter.readings.telemetry import FIELDS, Telemetry, attribute
from fleetmeter.readings.validate import Invalid
from fleetmeter.slices import at_once
from fleetmeter.terminal import say

_MOST_LINES = 100_000


@click.group("mapping")
def command() -> None:
    """Try a mapping of other programs' messages (FLEETMETER_MAPPING)."""


@command.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--line", "lines", multiple=True, help="A line of line protocol; more than one may be given."
)
@click.option("--precision", type=click.Choice(sorted(PRECISIONS)), default="ns", show_default=True)
@click.option("--topic", help="Topic of a message of MQTT.")
@click.option("--payload", help="What the message has; by default, standard input.")
@click.option("--retained", is_flag=True, help="Take it for one that the broker had retained.")
@click.option("--charge-point", help="Charge point that sends a frame of OCPP.")
@click.option("--frame", help="The frame; by default, standard input.")
def test(
    file: Path,
    lines: tuple[str, ...],
    precision: str,
    topic: str | None,
    payload: str | None,
    retained: bool,
    charge_point: str | None,
    frame: str | None,
) -> None:
    """Check a mapping FILE, and show what a message becomes.

    Messages are lines of line protocol, from --line or standard input, one of MQTT (--topic), or a
    frame of OCPP (--charge-point). Nothing is sent or stored. Exit status 1 if a message is none,
    or gives no reading.
    """
    mapping = load_mapping(file)
    if charge_point is not None:
        _show_frame(file, charge_point, sys.stdin.read() if frame is None else frame)
        return
    if topic is not None:
        sent = sys.stdin.buffer.read() if payload is None else os.fsencode(payload)
        _show_message(mapping, topic, sent, retained)
        return
    given = lines or sys.stdin.isatty()
    sent = os.fsencode("\n".join(lines)) if given else sys.stdin.buffer.read()
    decoder = LineDecoder(mapping, KnownHeads(), PRECISIONS[precision], _MOST_LINES)
    at_once(decoder.feed(sent))
    items = at_once(decoder.finish())
    for number, item in zip(decoder.line_numbers, items, strict=True):
        say(f"line {number}: {_shown(item)}")
    for reason, what in decoder.untaken:
        say(f"not taken ({reason}): {what}")
    if not sent.strip():
        say(f"{file} can be used; give lines to see what they become")
    elif not any(isinstance(item, Telemetry) for item in items):
        raise FleetMeterError("no line gives a reading")
    elif any(isinstance(item, Invalid) for item in items):
        raise FleetMeterError("not every line can be read")


def _show_frame(file: Path, charge_point: str, frame: str) -> None:
    """Show what a frame of OCPP becomes. Raises FleetMeterError."""
    items, untaken = taken(load_charge_points(file), charge_point, frame)
    for item in items:
        say(_shown(item))
    for reason, what in dict.fromkeys(untaken):
        say(f"not taken ({reason}): {what}")
    if not any(isinstance(item, Telemetry) for item in items):
        raise FleetMeterError("the frame gives no reading")


@command.command("preset")
@click.argument("name", type=click.Choice(PRESETS))
def show_preset(name: str) -> None:
    """Print the rules of a preset, to copy and adapt them."""
    say(preset_text(name).rstrip())


def _show_message(mapping: Mapping, topic: str, payload: bytes, retained: bool) -> None:
    """Show what a message of MQTT becomes. Raises FleetMeterError."""
    items, untaken = MessageDecoder(mapping).decode(topic, payload, retained=retained)
    for item in items:
        if isinstance(item, Arriving):
            say(f"{_shown(item.reading)}, timestamp of its arrival")
        else:
            say(_shown(item))
    for reason, what in dict.fromkeys(untaken):
        say(f"not taken ({reason}): {what}")
    if all(isinstance(item, Invalid) for item in items):
        raise FleetMeterError("the message gives no reading")
    if any(isinstance(item, Invalid) for item in items):
        raise FleetMeterError("not every reading of the message can be used")


def _shown(item: Telemetry | Invalid) -> str:
    if isinstance(item, Invalid):
        return str(item)
    given = {field: getattr(item, attribute(field)) for field in FIELDS}
    return ", ".join(
        f"{field} {value.isoformat() if field == 'timestamp' else value}"
        for field, value in given.items()
        if value is not None
    )
