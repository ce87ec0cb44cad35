"""`fleetmeter purge`: deletes everything stored about a device."""

import asyncio

import click

from fleetmeter.cli.shared.database import database_url
from fleetmeter.cli.shared.parameters import parse_device_id
from fleetmeter.devices.purge import count, kind_of, purge
from fleetmeter.readings.kinds import KindName
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("purge")
@click.option(
    "--device",
    "device_id",
    required=True,
    type=parse_device_id,
    metavar="ID",
    help="Id of the vehicle or meter.",
)
@click.option(
    "--kind",
    type=click.Choice(["vehicle", "meter"]),
    help="Needed if both a vehicle and a meter have this id.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(device_id: str, kind: KindName | None, dry_run: bool, yes: bool) -> None:
    """Permanently delete everything stored about one device.

    Deletes readings, corrections, rollups, settings and assignments, after counting them and
    asking. Vehicles that charged at a purged meter keep their readings without its id.
    """
    with database_url(load_settings()) as url:
        kind = kind or asyncio.run(kind_of(url, device_id))
        stored = asyncio.run(count(url, kind, device_id)) if kind else []
        if kind is None or not stored:
            say(f"nothing is stored about {device_id}")
            return
        for relation, change, rows in stored:
            say(f"{rows:>12,}  {relation}{' (only its id)' if change else ''}")
        if dry_run:
            return
        if not yes:
            click.confirm(f"Permanently delete the {kind} {device_id}?", abort=True)
        left = asyncio.run(purge(url, kind, device_id))
        say(f"deleted the {kind} {device_id}; rollups follow within seconds")
        if any("readings" in relation for relation, _, _ in left):
            say("It reported again meanwhile: stop the device, then purge it again.", err=True)
