"""Who is answered while there are no keys: programs of this machine, and the service's own pages.

The page of any site can make a browser on this machine send requests: to 127.0.0.1, which says
`Origin`, or to a name of that site which leads to 127.0.0.1 by now (DNS rebinding), as `Host` says.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from fleetmeter.http.shared.addresses import host_name


def is_from_own_machine(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request names this machine, and no other site sent it."""
    host = origin = b""
    for name, value in headers:
        if name == b"host":
            host = value
        elif name == b"origin":
            origin = value
    return _is_own_name(host) and (not origin or origin.partition(b"://")[2] == host)


@lru_cache(maxsize=64)
def _is_own_name(host: bytes) -> bool:
    """Return whether a Host header has a name that no other site can have, or none."""
    name = host_name(host)
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return "." not in name or name.endswith(".localhost")
