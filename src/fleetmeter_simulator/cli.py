"""`fleetmeter simulate`: drives a running service with a simulated fleet."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from fleetmeter.cli.shared.parameters import parse_time
from fleetmeter_simulator import run
from fleetmeter_simulator.durations import parse_duration
from fleetmeter_simulator.faults.kinds import KINDS, VARIANTS, Wanted, parse_wanted
from fleetmeter_simulator.wires.ways import WAYS


def _own_service() -> str:
    """Return the URL of the service on this machine, at FLEETMETER_PORT."""
    return f"http://127.0.0.1:{os.environ.get('FLEETMETER_PORT') or 3000}"


def _duration(ctx: click.Context, option: click.Parameter, text: str | None) -> timedelta | None:
    """Parse a length of time. Raises click.BadParameter."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _time_or_none(ctx: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _faults(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Wanted]:
    """Parse the faults that are asked for. Raises click.BadParameter."""
    try:
        return [parse_wanted(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _fault_kinds() -> str:
    """List every kind of fault with its variants, for the help."""
    return "\n".join(
        line
        for kind in KINDS
        for line in wrap(
            f"{kind:<22} {', '.join(VARIANTS.get(kind, ()))}",
            width=76,
            initial_indent="  ",
            subsequent_indent=" " * 25,
            break_on_hyphens=False,
        )
    )


_HELP = f"""Drive a running service with a simulated fleet.

Vehicles EV-1, EV-2, … charge at meters MTR-1, … of sites SITE-1, …. Their settings and assignments
are sent first; then every device reports once a minute. The simulation starts at the full hour
before --backfill or --start, sends the past as fast as the service accepts it (or at --speed), and
continues live once it reaches the present. Whatever the service does not acknowledge is sent
again. Ctrl-C stops it and prints a summary.

\b
Kinds of faults, and their variants:
{_fault_kinds()}
"""


@click.command("simulate", help=_HELP)
@click.option(
    "--url",
    default=_own_service,
    show_default="the service on this machine, at FLEETMETER_PORT",
    help="URL of the service.",
)
@click.option(
    "--key",
    envvar="FLEETMETER_KEY",
    metavar="KEY",
    help="Access key with the scopes ingest and operate; by default, FLEETMETER_KEY.",
)
@click.option(
    "--via",
    type=click.Choice(WAYS),
    default="http",
    show_default=True,
    help="How to send readings; settings are sent to the URL in any case.",
)
@click.option(
    "--broker",
    envvar="FLEETMETER_MQTT_URL",
    default="mqtt://127.0.0.1:1883",
    show_default=True,
    metavar="URL",
    help="MQTT broker for --via mqtt, mqtt[s]://[USER:PASSWORD@]HOST[:PORT].",
)
@click.option(
    "--vehicles",
    default=200,
    type=click.IntRange(1, 100_000),
    show_default=True,
    help="Number of vehicles.",
)
@click.option("--seed", default=1, show_default=True, help="Another seed gives another fleet.")
@click.option(
    "--backfill",
    callback=_duration,
    metavar="LENGTH",
    help="How far back to start, like 30d or 12h; by default 24h with --speed, otherwise now.",
)
@click.option(
    "--start",
    callback=_time_or_none,
    metavar="TIME",
    help="Start at this RFC 3339 time or date instead; the same start gives the same readings.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1),
    metavar="N",
    help="Send the past at N times real time; by default, as fast as the service accepts it.",
)
@click.option(
    "--duration",
    callback=_duration,
    metavar="LENGTH",
    help="How long to continue after reaching the present; 0 stops there. By default, until "
    "Ctrl-C.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="FAULT",
    help="KIND[:VARIANT]@DEVICE[+START[/LENGTH]], like dc_exceeds_ac:wrong-meter@EV-7+2d/5d. START "
    "counts from the beginning; without it, a time is chosen at which the fault shows. Can be "
    "repeated.",
)
@click.option(
    "--faults-per-kind",
    default=0,
    type=click.IntRange(0, 1000),
    show_default=True,
    help="Add this many faults of every kind, on devices and at times where they show.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the faults that the fleet really has to FILE, as JSON.",
)
@click.option("--prefix", default="", help="Prefix for the ids of all devices and sites.")
@click.option(
    "--season",
    type=click.Choice(["winter", "spring", "summer", "autumn"]),
    help="Season to simulate; by default, that of the date.",
)
@click.option(
    "--connections",
    default=4,
    type=click.IntRange(1, 64),
    show_default=True,
    help="Number of connections to the service.",
)
def command(**options: Any) -> None:
    """Run the simulation that the options describe."""
    run.simulate(run.Options(**options))
