"""`fleetmeter key`: manages the keys that requests are sent with."""

import asyncio
from datetime import UTC, datetime, timedelta

import click

from fleetmeter.access import keys
from fleetmeter.access.keys import Key, MadeKey
from fleetmeter.access.principal import SCOPES
from fleetmeter.cli.shared.database import database_url, migrate_when_new
from fleetmeter.cli.shared.parameters import parse_time
from fleetmeter.database.pool import connected
from fleetmeter.settings import load_settings
from fleetmeter.terminal import say

_BY = "fleetmeter key"


@click.group("key")
def command() -> None:
    """Manage access keys.

    As soon as there is one, every request needs a key, in `Authorization: Bearer KEY`. A change
    holds within five seconds in every running service.
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; can be repeated, and none includes another.",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="PATTERN",
    help="Only devices whose ids fit, like 'EV-1*'; can be repeated.",
)
@click.option(
    "--site", "sites", multiple=True, metavar="SITE", help="Only devices of this site; repeatable."
)
@click.option(
    "--subject",
    metavar="DN",
    help="Subject of a client certificate that stands for it, exactly as the proxy sends it.",
)
@click.option(
    "--expires", "expires_at", type=parse_time, metavar="TIME", help="When it stops working."
)
def key_create_command(
    name: str,
    scopes: tuple[str, ...],
    devices: tuple[str, ...],
    sites: tuple[str, ...],
    subject: str | None,
    expires_at: datetime | None,
) -> None:
    """Create a key and print it, once."""
    settings = load_settings()

    async def create(url: str) -> MadeKey:
        async with connected(url) as connection, connection.transaction():
            return await keys.create(
                connection,
                name=name,
                scopes=scopes,
                devices=devices,
                sites=sites,
                subject=subject,
                expires_at=expires_at,
                created_by=_BY,
            )

    with database_url(settings) as url:
        migrate_when_new(url, settings)
        made = asyncio.run(create(url))
    say(f"key {made.key.id} ({name}) created; it is not shown again:\n{made.text}")


@command.command("list")
@click.option("--all", "revoked", is_flag=True, help="List revoked keys, too.")
def key_list_command(revoked: bool) -> None:
    """List keys with their scopes, limits, expiry and last use."""

    async def read(url: str) -> list[Key]:
        async with connected(url) as connection:
            return await keys.keys_after(connection, revoked=revoked)

    with database_url(load_settings()) as url:
        found = asyncio.run(read(url))
    for key in found:
        say(f"{key.id}  {key.name}")
        say(f"            {', '.join(key.scopes)}; {_limits(key)}")
        if key.subject is not None:
            say(f"            certificate {key.subject}")
        say(f"            {_state(key)}; {_used(key)}")
    if not found:
        say("no keys")


@command.command("revoke")
@click.argument("which", metavar="ID|NAME")
def key_revoke_command(which: str) -> None:
    """Revoke a key for good."""

    async def revoke(url: str) -> Key:
        async with connected(url) as connection, connection.transaction():
            return await keys.revoke(connection, which)

    with database_url(load_settings()) as url:
        key = asyncio.run(revoke(url))
    say(f"key {key.id} ({key.name}) revoked")


@command.command("rotate")
@click.argument("which", metavar="ID|NAME")
@click.option(
    "--grace-s",
    default=0,
    show_default=True,
    type=click.IntRange(0, round(keys.MOST_GRACE.total_seconds())),
    metavar="SECONDS",
    help="How long the old secret goes on working.",
)
@click.option(
    "--expires",
    "expires_at",
    type=parse_time,
    metavar="TIME",
    help="When the key stops working; by default, when it would have.",
)
def key_rotate_command(which: str, grace_s: int, expires_at: datetime | None) -> None:
    """Give a key a new secret and print it, once. Name, scopes and limits stay."""

    async def rotate(url: str) -> MadeKey:
        async with connected(url) as connection, connection.transaction():
            return await keys.rotate(
                connection, which, grace=timedelta(seconds=grace_s), expires_at=expires_at
            )

    with database_url(load_settings()) as url:
        made = asyncio.run(rotate(url))
    say(f"key {made.key.id} ({made.key.name}) has a new secret:\n{made.text}")


def _limits(key: Key) -> str:
    limits = [*(f"devices {each}" for each in key.devices), *(f"site {each}" for each in key.sites)]
    return ", ".join(limits) or "all devices"


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {_time(key.revoked_at)}"
    if key.expires_at is None:
        return "does not expire"
    expired = key.expires_at <= datetime.now(UTC)
    return f"{'expired' if expired else 'expires'} {_time(key.expires_at)}"


def _used(key: Key) -> str:
    return f"last used {_time(key.last_used_at)}" if key.last_used_at else "never used"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
