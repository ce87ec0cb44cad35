"""`fleetmeter webhook`: where anomalies are sent to."""

import asyncio
from typing import Literal, get_args

import click

from fleetmeter.anomalies.model import Kind as AnomalyKind
from fleetmeter.cli.shared.database import database_url
from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.webhooks import registry
from fleetmeter.settings import load_settings


@click.group("webhook")
def command() -> None:
    """Who is told, by HTTP, what happens to anomalies.

    Messages are signed (www.standardwebhooks.com) and sent by the running service, in order, until
    they are taken: with any 2xx.
    """


@command.command("add")
@click.argument("target", metavar="URL")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(get_args(AnomalyKind)),
    help="Only anomalies of this kind; can be given several times.",
)
@click.option(
    "--format",
    "format_",
    default="fleetmeter",
    show_default=True,
    type=click.Choice(["fleetmeter", "alertmanager"]),
    help="alertmanager: what Prometheus' Alertmanager sends to its receivers.",
)
def webhook_add_command(
    target: str, kinds: tuple[str, ...], format_: Literal["fleetmeter", "alertmanager"]
) -> None:
    """Tell URL what happens from now on; prints the secret that signs it, this once."""
    settings = load_settings()
    with database_url(settings) as url:
        added = asyncio.run(registry.add(url, settings, target, kinds, format_))
    click.echo(f"webhook {added.id} is told what happens from now on\nsecret: {added.secret}")


@command.command("list")
def webhook_list_command() -> None:
    """Show all webhooks, how it goes, and what went wrong last."""
    with database_url(load_settings()) as url:
        found = asyncio.run(registry.all_webhooks(url))
    for each in found:
        click.echo(f"{each.id:>4}  {each.shown_url}")
        click.echo(f"      {each.format}, {', '.join(each.kinds or ['all kinds'])}")
        click.echo(f"      {each.state}; events waiting: {each.waiting:,}")
        if each.last_error:
            click.echo(f"      last error: {each.last_error}")
    if not found:
        click.echo("there are no webhooks")


@command.command("remove")
@click.argument("which", metavar="ID|URL")
def webhook_remove_command(which: str) -> None:
    """Tell a webhook no more."""
    with database_url(load_settings()) as url:
        asyncio.run(registry.remove(url, which))
    click.echo(f"webhook {which} is removed")


@command.command("enable")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@click.option("--from-now", is_flag=True, help="Leave out what it has missed.")
def webhook_enable_command(webhook_id: int, from_now: bool) -> None:
    """Tell a webhook again that was disabled, from where it was; one that failed, at once."""
    with database_url(load_settings()) as url:
        asyncio.run(registry.enable(url, webhook_id, from_now))
    click.echo(f"webhook {webhook_id} is told again")


@command.command("test")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
def webhook_test_command(webhook_id: int) -> None:
    """Send a test message to a webhook from here, and tell what it answers."""
    settings = load_settings()
    with database_url(settings) as url:
        outcome = asyncio.run(registry.try_out(url, settings, webhook_id))
    if outcome.error is not None:
        raise FleetMeterError(outcome.error)
    click.echo(f"it took the message, and answered {outcome.status}")
