"""`fleetmeter audit`: shows who changed what."""

import asyncio
from datetime import UTC, datetime

import click
import msgspec

from fleetmeter.access.audit import Entry, entries
from fleetmeter.cli.shared.database import database_url
from fleetmeter.cli.shared.parameters import parse_time
from fleetmeter.database.pool import connected
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.command("audit")
@click.option("--who", metavar="NAME", help="Only changes by this key or user.")
@click.option("--action", metavar="ACTION", help="Only this action.")
@click.option("--object", "object_", metavar="OBJECT", help="Only of this, like 'vehicle EV-1'.")
@click.option("--from", "start", type=parse_time, metavar="TIME", help="Start, inclusive.")
@click.option("--to", "end", type=parse_time, metavar="TIME", help="End, exclusive.")
@click.option("--limit", "most", default=100, show_default=True, type=click.IntRange(1, 1_000_000))
def command(
    who: str | None,
    action: str | None,
    object_: str | None,
    start: datetime | None,
    end: datetime | None,
    most: int,
) -> None:
    """Show the audit log, newest first: who changed what, from where, and what was before."""

    async def read(url: str) -> list[Entry]:
        async with connected(url) as connection:
            return await entries(
                connection,
                who=who,
                action=action,
                object_=object_,
                start=start,
                end=end,
                most=most,
            )

    with database_url(load_settings()) as url:
        found = asyncio.run(read(url))
    for each in found:
        by = f"{each.who} from {each.address}" if each.address else each.who
        say(f"{each.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}  {each.action} {each.object}")
        say(f"                     by {by}")
        for name, value in (("before", each.before), ("after", each.after)):
            if value is not None:
                say(f"                     {name} {msgspec.json.encode(value).decode()}")
    if not found:
        say("no changes")
