"""Decides which addresses webhooks may be sent to: public ones, and allowed networks."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

_PUBLIC = "public"

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The range of global IPv6 addresses allocated so far (RFC 4291, IANA)."""

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
    """Return whether an address is public; is_global also accepts multicast and tunnels."""
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or address.sixtofour is not None or address.teredo
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
