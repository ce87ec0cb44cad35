"""`fleetmeter storage`: shows what is stored and how much space it takes."""

import asyncio

import click
import msgspec

from fleetmeter.cli.shared.database import database_url
from fleetmeter.operations import storage
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("storage")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show what is stored and how large it is.

    Lists tables, columnstore savings and the last run of each database job.
    """
    with database_url(load_settings()) as url:
        stored = asyncio.run(storage.read_storage(url))
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(stored)).decode())
    else:
        storage.show(stored)
