"""Addresses of clients, as they are told apart."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def parsed(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, an IPv4 one also where it is written as IPv6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # a Unix socket, or nothing
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one customer gets."""
    address = parsed(host)
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return host if address is None else str(address)
