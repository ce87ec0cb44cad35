"""`fleetmeter mapping`: shows what a mapping makes of messages of other programs."""

import sys
from pathlib import Path

import click

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.line_protocol import PRECISIONS
from fleetmeter.inputs.mapping.load import load_mapping
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
def test(file: Path, lines: tuple[str, ...], precision: str) -> None:
    """Check a mapping FILE, and show what lines become, from --line or standard input.

    Nothing is sent or stored. Exit status 1 if a line is none, or gives no reading.
    """
    mapping = load_mapping(file)
    text = "\n".join(lines) if lines or sys.stdin.isatty() else sys.stdin.read()
    decoder = LineDecoder(mapping, KnownHeads(), PRECISIONS[precision], _MOST_LINES)
    at_once(decoder.feed(text.encode()))
    items = at_once(decoder.finish())
    for number, item in zip(decoder.line_numbers, items, strict=True):
        say(f"line {number}: {_shown(item)}")
    for reason, what in decoder.untaken:
        say(f"not taken ({reason}): {what}")
    if not text.strip():
        say(f"{file} can be used; give lines to see what they become")
    elif not any(isinstance(item, Telemetry) for item in items):
        raise FleetMeterError("no line gives a reading")
    elif any(isinstance(item, Invalid) for item in items):
        raise FleetMeterError("not every line can be read")


def _shown(item: Telemetry | Invalid) -> str:
    if isinstance(item, Invalid):
        return str(item)
    given = {field: getattr(item, attribute(field)) for field in FIELDS}
    return ", ".join(
        f"{field} {value.isoformat() if field == 'timestamp' else value}"
        for field, value in given.items()
        if value is not None
    )
