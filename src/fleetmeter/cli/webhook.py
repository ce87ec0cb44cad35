"""`fleetmeter webhook`: manages the webhooks that anomalies are sent to."""

import asyncio
from typing import Literal

import click

from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.cli.shared.database import database_url
from fleetmeter.database.pool import connected
from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.webhooks import registry
from fleetmeter.notifications.webhooks.attempt import AttemptResult
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say


@click.group("webhook")
def command() -> None:
    """Manage webhooks, which receive every anomaly event by HTTP.

    The running service sends signed messages (www.standardwebhooks.com) in order, and retries each
    until the receiver answers with a 2xx status.
    """


@command.command("add")
@click.argument("target", metavar="URL")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(RULES)),
    help="Send only this kind of anomaly; can be repeated.",
)
@click.option(
    "--format",
    "format_",
    default="fleetmeter",
    show_default=True,
    type=click.Choice(["fleetmeter", "alertmanager"]),
    help="Message format; alertmanager is what Prometheus Alertmanager sends.",
)
def webhook_add_command(
    target: str, kinds: tuple[str, ...], format_: Literal["fleetmeter", "alertmanager"]
) -> None:
    """Add a webhook that receives events from now on. Prints its signing secret, once."""
    settings = load_settings()

    async def add(url: str) -> registry.Added:
        await registry.check_target(target, settings)
        async with connected(url) as connection, connection.transaction():
            return await registry.add(connection, target, kinds, format_)

    with database_url(settings) as url:
        added = asyncio.run(add(url))
    say(f"webhook {added.id} added; it receives events from now on\nsecret: {added.secret}")


@command.command("list")
def webhook_list_command() -> None:
    """List webhooks with their state, waiting events and last error."""

    async def read(url: str) -> list[registry.Listed]:
        async with connected(url) as connection:
            return await registry.all_webhooks(connection)

    with database_url(load_settings()) as url:
        found = asyncio.run(read(url))
    for each in found:
        say(f"{each.id:>4}  {each.shown_url}")
        say(f"      {each.format}, {', '.join(each.kinds or ['all kinds'])}")
        say(f"      {each.state}; events waiting: {each.waiting:,}")
        if each.last_error:
            say(f"      last error: {each.last_error}")
    if not found:
        say("no webhooks")


@command.command("remove")
@click.argument("which", metavar="ID|URL")
def webhook_remove_command(which: str) -> None:
    """Delete a webhook."""

    async def remove(url: str) -> None:
        async with connected(url) as connection, connection.transaction():
            await registry.remove(connection, which)

    with database_url(load_settings()) as url:
        asyncio.run(remove(url))
    say(f"webhook {which} removed")


@command.command("enable")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@click.option("--from-now", is_flag=True, help="Skip the events it missed.")
def webhook_enable_command(webhook_id: int, from_now: bool) -> None:
    """Re-enable a disabled webhook where it left off, or retry a failing one now."""

    async def enable(url: str) -> None:
        async with connected(url) as connection, connection.transaction():
            await registry.enable(connection, webhook_id, from_now)

    with database_url(load_settings()) as url:
        asyncio.run(enable(url))
    say(f"webhook {webhook_id} enabled")


@command.command("test")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
def webhook_test_command(webhook_id: int) -> None:
    """Send a test message from this machine and print the answer."""
    settings = load_settings()

    async def try_out(url: str) -> AttemptResult:
        async with connected(url) as connection:
            target = await registry.target_of(connection, webhook_id)
        return await registry.try_out(target, settings)

    with database_url(settings) as url:
        result = asyncio.run(try_out(url))
    if result.error is not None:
        raise FleetMeterError(result.error)
    say(f"the webhook accepted the message: {result.status}")
