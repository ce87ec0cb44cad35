"""`fleetmeter simulate`, on the command line."""

from datetime import datetime, timedelta
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from fleetmeter.cli.shared.parameters import parse_time
from fleetmeter_simulator import run
from fleetmeter_simulator.durations import parse_duration
from fleetmeter_simulator.faults.kinds import Wanted, kinds_and_variants, parse_wanted


def _duration(ctx: click.Context, option: click.Parameter, text: str | None) -> timedelta | None:
    """A length of time. Raises click.BadParameter."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _time_or_none(ctx: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _faults(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Wanted]:
    """Raises click.BadParameter."""
    try:
        return [parse_wanted(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("simulate")
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="Of the service.")
@click.option("--vehicles", default=200, type=click.IntRange(1, 100_000), show_default=True)
@click.option("--seed", default=1, show_default=True, help="Another one is another fleet.")
@click.option(
    "--backfill",
    callback=_duration,
    metavar="LENGTH",
    help="How far back it begins, like 30d or 12h; by default 24h with --speed, else now.",
)
@click.option(
    "--start",
    callback=_time_or_none,
    metavar="TIME",
    help="When it begins instead, RFC 3339 or a date; for the same readings again.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1),
    metavar="N",
    help="How many times as fast the past goes by; by default as fast as the service takes it.",
)
@click.option(
    "--duration",
    callback=_duration,
    metavar="LENGTH",
    help="How long it goes on once it has reached the present; 0 stops there, by default Ctrl-C.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="FAULT",
    help="KIND[:VARIANT]@DEVICE[+START[/LENGTH]], like dc_exceeds_ac:wrong-meter@EV-7+2d/5d, START "
    "from the beginning; without it, when the fault shows. Can be given several times.",
)
@click.option(
    "--faults-per-kind",
    default=0,
    type=click.IntRange(0, 1000),
    help="So many of every kind, on devices and at times where they show.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what is really wrong, as JSON.",
)
@click.option("--prefix", default="", help="Before the ids of all devices and sites.")
@click.option(
    "--season",
    type=click.Choice(["winter", "spring", "summer", "autumn"]),
    help="Whatever the date says.",
)
@click.option("--connections", default=4, type=click.IntRange(1, 64), show_default=True)
def command(**options: Any) -> None:
    """Drive a running service with a fleet that behaves like one, and with faults.

    Vehicles EV-1, EV-2, … charge at meters MTR-1, … of sites SITE-1, …; they are announced, with
    their meters and batteries, and then report every minute. It begins at the full hour before
    --backfill or --start, sends what is past as fast as the service takes it (or --speed times as
    fast as it was), and goes on live once it has reached the present. What the service does not
    acknowledge is sent again. Ctrl-C stops it and reports what was done.
    """
    run.simulate(run.Options(**options))


command.help = (
    f"{cleandoc(command.help or '')}\n\n"
    f"\b\nKinds of faults, and their variants:\n{kinds_and_variants()}"
)
