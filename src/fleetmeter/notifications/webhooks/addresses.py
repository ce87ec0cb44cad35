"""Addresses that webhooks may be sent to: public ones, and networks that are allowed.

A webhook must not reach what only this machine can reach: the database, a router's pages, a
cloud's metadata service.
"""

import asyncio
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from fleetmeter.errors import FleetMeterError
from fleetmeter.webhook_networks import Address, Networks

_MAX_URL = 2000


class ForbiddenAddressError(FleetMeterError):
    """A webhook's address is not allowed."""


class UnresolvedError(FleetMeterError):
    """A webhook's host has no address."""


def check_url(url: str) -> str:
    """Return a URL if a webhook can have it. Raises FleetMeterError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FleetMeterError(f"the URL cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise FleetMeterError("the URL must be http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise FleetMeterError(
            "the URL must not have a user or a password: it is shown and logged; messages are "
            "signed instead"
        )
    if parts.fragment:
        raise FleetMeterError("the URL must not have a fragment (#…)")
    if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise FleetMeterError(
            f"the URL must be at most {_MAX_URL} ASCII characters, without spaces"
        )
    return url


async def addresses_of(host: str, port: int, networks: Networks) -> list[Address]:
    """Return the addresses of a host, all of them allowed; connect to these very addresses.

    Raises UnresolvedError, and ForbiddenAddressError when even one is not allowed, since a
    connection might pick any of them.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ip_address(where[0]) for *_, where in found))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a name"
        raise UnresolvedError(f"the host {host} has no address: {reason}") from None
    except ValueError as error:
        raise ForbiddenAddressError(f"{host}: {error}") from None
    for address in addresses:
        if not networks.allow(address):
            named = str(address) if str(address) == host else f"{address} (of {host})"
            raise ForbiddenAddressError(
                f"{named} is not an address that webhooks may be sent to; "
                "FLEETMETER_WEBHOOK_NETWORKS allows more"
            )
    return addresses
