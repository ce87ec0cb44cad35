"""`fleetmeter webhook`: manages the webhooks that anomalies are sent to."""

import asyncio
from typing import Literal

import click

from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.cli.shared.database import database_url
from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.webhooks import registry
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
    with database_url(settings) as url:
        added = asyncio.run(registry.add(url, settings, target, kinds, format_))
    say(f"webhook {added.id} added; it receives events from now on\nsecret: {added.secret}")


@command.command("list")
def webhook_list_command() -> None:
    """List webhooks with their state, waiting events and last error."""
    with database_url(load_settings()) as url:
        found = asyncio.run(registry.all_webhooks(url))
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
    with database_url(load_settings()) as url:
        asyncio.run(registry.remove(url, which))
    say(f"webhook {which} removed")


@command.command("enable")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@click.option("--from-now", is_flag=True, help="Skip the events it missed.")
def webhook_enable_command(webhook_id: int, from_now: bool) -> None:
    """Re-enable a disabled webhook where it left off, or retry a failing one now."""
    with database_url(load_settings()) as url:
        asyncio.run(registry.enable(url, webhook_id, from_now))
    say(f"webhook {webhook_id} enabled")


@command.command("test")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
def webhook_test_command(webhook_id: int) -> None:
    """Send a test message from this machine and print the answer."""
    settings = load_settings()
    with database_url(settings) as url:
        result = asyncio.run(registry.try_out(url, settings, webhook_id))
    if result.error is not None:
        raise FleetMeterError(result.error)
    say(f"the webhook accepted the message: {result.status}")
