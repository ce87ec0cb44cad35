"""Decides which addresses webhooks may be sent to: public ones, and allowed networks.

Python's own `is_global` differs from version to version, so special addresses are listed here:
those of IANA's registries of special-purpose addresses that are not globally reachable, multicast,
and addresses that carry packets to another one.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

_PUBLIC = "public"

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The range of global IPv6 addresses allocated so far (RFC 4291, IANA); others are not public."""

_SPECIAL_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared behind a provider's NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, with the metadata services of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments, with the metadata service of a cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4, deprecated
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_SPECIAL_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, with Teredo, benchmarks and ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which leads to the IPv4 address inside
            "3fff::/20",  # documentation
        ),
    )
)
"""Those inside _GLOBAL_UNICAST."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052)."""


class Networks:
    """The networks in FLEETMETER_WEBHOOK_NETWORKS: `public`, 10.0.0.0/8 and the like."""

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
        """Return whether webhooks may be sent to an address."""
        means = reached(address)
        if any(means in network for network in self._networks):
            return True
        return self._public and _is_public(means)


def reached(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address embeds, or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_V6)
