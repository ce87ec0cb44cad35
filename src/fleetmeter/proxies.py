"""Knows the proxies in front of the service, and whom they forward requests for."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from fleetmeter.addresses import parsed


class Proxies:
    """The networks in FLEETMETER_PROXIES: 10.0.0.5, 10.1.0.0/16 and the like."""

    def __init__(self, text: str = "") -> None:
        """Take addresses and networks, separated by commas or spaces.

        Raises ValueError for anything else, above all for everybody: whoever is believed can pass
        for anybody.
        """
        self._networks: list[IPv4Network | IPv6Network] = []
        for word in text.replace(",", " ").split():
            try:
                network = ip_network(word)
            except ValueError as error:
                raise ValueError(f"{error}; use an address or a network, as 10.0.0.0/8") from None
            if network.prefixlen == 0:
                raise ValueError(f"{word} is everybody; use the addresses of the proxies")
            self._networks.append(network)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxies) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(self._networks))

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._networks)

    def include(self, host: str) -> bool:
        """Return whether an address is that of a proxy."""
        if not self._networks or (address := parsed(host)) is None:
            return False
        return any(address in network for network in self._networks)

    def client_of(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the address that a request comes from.

        `peer` is who sends it, and `forwarded` the values of its X-Forwarded-For, in order. Each
        proxy appends the address that it was sent the request from, so they are believed from the
        right, up to the first that is not a proxy's.
        """
        nearest = peer
        hops = [hop for value in forwarded for hop in value.split(",")]
        while self.include(nearest) and hops:
            hop = _without_port(hops.pop().strip())
            if (address := parsed(hop)) is None:
                break  # a proxy that says nothing useful is as far as it can be followed
            nearest = str(address)
        return nearest


def _without_port(hop: str) -> str:
    """Return the address of `192.0.2.1:4711` or `[2001:db8::1]:4711`, which some proxies send."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
