"""Names the proxies in front of the service that are believed about who a client is."""

from ipaddress import ip_network


class Proxies:
    """The addresses and networks in FLEETMETER_PROXIES."""

    def __init__(self, text: str = "") -> None:
        """Take addresses and networks, separated by commas or spaces.

        Raises ValueError for anything else, above all for `*`: whoever is believed can pass for
        anybody.
        """
        self.networks: list[str] = []
        for word in text.replace(",", " ").split():
            try:
                self.networks.append(str(ip_network(word)))
            except ValueError as error:
                raise ValueError(f"{error}; use an address or a network, as 10.0.0.0/8") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxies) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(tuple(self.networks))
