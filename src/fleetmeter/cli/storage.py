"""`fleetmeter storage`: what is stored, and how large it is."""

import asyncio

import click
import msgspec

from fleetmeter.cli.shared.database import database_url
from fleetmeter.operations import storage
from fleetmeter.settings import load_settings


@click.command("storage")
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def command(as_json: bool) -> None:
    """Tell what is stored, how large it is, and how the database's own jobs went last."""
    with database_url(load_settings()) as url:
        stored = asyncio.run(storage.read_storage(url))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(stored)))
    else:
        storage.show(stored)
