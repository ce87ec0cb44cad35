"""Where webhooks may be sent to: the public internet, and networks that somebody has allowed."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

_PUBLIC = "public"

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""What IPv6 addresses of the internet are in so far (RFC 4291, IANA)."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052)."""


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
