"""Where webhooks may be sent to: public addresses, and networks that somebody has allowed.

Whoever adds a webhook must not reach by it what only this machine reaches: the database, a
router's pages, a cloud's metadata service.
"""

import asyncio
import socket
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from fleetmeter.errors import FleetMeterError

Address = IPv4Address | IPv6Address

_PUBLIC = "public"

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What IPv6 addresses of the internet are in so far (RFC 4291, IANA)."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052)."""

_MAX_URL = 2000


class ForbiddenAddressError(FleetMeterError):
    """A webhook's address is not one that may be sent to."""


class UnresolvedError(FleetMeterError):
    """A webhook's host has no address."""


class Networks:
    """What FLEETMETER_WEBHOOK_NETWORKS allows: `public`, and networks as 10.0.0.0/8."""

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        words = [word for word in text.replace(",", " ").split() if word]
        self._public = _PUBLIC in words
        self._networks: list[IPv4Network | IPv6Network] = []
        for word in words:
            if word != _PUBLIC:
                try:
                    self._networks.append(ip_network(word))
                except ValueError as error:
                    raise ValueError(f"{error}; say public, or networks as 10.0.0.0/8") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self._public, tuple(self._networks)))

    def allow(self, address: Address) -> bool:
        """Whether it may be sent to."""
        means = reached(address)
        if any(means in network for network in self._networks):
            return True
        return self._public and _is_public(means)


def reached(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it is only a way of writing one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    """Stricter than is_global, which takes multicast and tunnels into private networks as well."""
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or address.sixtofour is not None or address.teredo
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def check_url(url: str) -> str:
    """The URL, when a webhook can have it. Raises FleetMeterError."""
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
    """The addresses of a host, all of them allowed, for a connection to those very addresses.

    Raises UnresolvedError, and ForbiddenAddressError when a single one is not allowed: which one a
    connection would take is a matter of luck.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ip_address(where[0]) for *_, where in found))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name"
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
