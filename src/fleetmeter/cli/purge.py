"""`fleetmeter purge`: removes all that is stored of a device."""

import asyncio

import click

from fleetmeter.cli.shared.database import database_url
from fleetmeter.cli.shared.parameters import parse_device_id
from fleetmeter.devices.purge import Kind, count, kind_of, purge
from fleetmeter.settings import load_settings


@click.command("purge")
@click.option(
    "--device",
    "device_id",
    required=True,
    type=parse_device_id,
    metavar="ID",
    help="Id of a vehicle or a meter.",
)
@click.option("--kind", type=click.Choice(["vehicle", "meter"]), help="When both have that id.")
@click.option("--dry-run", is_flag=True, help="Only count what is stored of it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(device_id: str, kind: Kind | None, dry_run: bool, yes: bool) -> None:
    """Remove all that is stored of one device, for ever; counts it first, and asks.

    Readings, corrections, rollups, settings and assignments go. Of a meter, vehicles that charged
    there keep their readings, but not its id.
    """
    with database_url(load_settings()) as url:
        kind = kind or asyncio.run(kind_of(url, device_id))
        stored = asyncio.run(count(url, kind, device_id)) if kind else []
        if kind is None or not stored:
            click.echo(f"nothing is stored of {device_id}")
            return
        for relation, change, rows in stored:
            click.echo(f"{rows:>12,}  {relation}{' (only its id)' if change else ''}")
        if dry_run:
            return
        if not yes:
            click.confirm(f"Remove all of it? The {kind} {device_id} is forgotten", abort=True)
        left = asyncio.run(purge(url, kind, device_id))
        click.echo(f"the {kind} {device_id} is forgotten; rollups follow within seconds")
        if any("readings" in relation for relation, _, _ in left):
            click.echo("It reported again meanwhile: stop it, and purge what came in.", err=True)
