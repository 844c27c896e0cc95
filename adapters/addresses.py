"""Which networks an endpoint may be registered in, and which of a name's addresses may be connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ("127.0.0.0/8", "::1/128")
# Never a participant: this host, link-local (cloud metadata), multicast and reserved ranges, and the IPv6 ranges that
# smuggle an IPv4 address (mapped, NAT64, 6to4, Teredo). Private ranges are not here: on closed networks banks sit on
# private addresses, so the rule is "only what is registered", not "no private address".
_NEVER = (
    *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "fe80::/10", "ff00::/8", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "2001::/32"),
)


class NetworkRefused(Exception):
    """The network may not be registered: ``reason`` is ``network.malformed`` or ``network.forbidden``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_registrable(network: str, *, allow_loopback: bool = False, own_networks: Sequence[str] = ()) -> str:
    """Return the CIDR in its canonical form if an endpoint may be registered in it.

    ``own_networks`` are the hub's own subnets. Raises ``NetworkRefused`` for what is no CIDR and for whatever overlaps
    a forbidden range, so that no wide range (``0.0.0.0/0``) smuggles one in.
    """
    try:
        wanted = ipaddress.ip_network(network)
    except ValueError:
        raise NetworkRefused("network.malformed") from None
    if any(
        wanted.version == banned.version and wanted.overlaps(banned) for banned in _banned(allow_loopback, own_networks)
    ):
        raise NetworkRefused("network.forbidden")
    return str(wanted)


def first_registered(
    candidates: Sequence[str], network: str | None, *, allow_loopback: bool = False, own_networks: Sequence[str] = ()
) -> Address | None:
    """Return the first candidate that lies in the registered network and in no forbidden one, or ``None``."""
    if network is None:
        return None
    registered = ipaddress.ip_network(network)
    banned = _banned(allow_loopback, own_networks)
    for candidate in candidates:
        address = ipaddress.ip_address(candidate)
        if address in registered and not any(address in forbidden for forbidden in banned):
            return address
    return None


async def system_resolve(name: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows for a name, in its order; raises ``OSError`` if there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host is a literal loopback address or ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _banned(allow_loopback: bool, own_networks: Sequence[str]) -> list[Network]:
    return [ipaddress.ip_network(text) for text in (*_NEVER, *own_networks, *(() if allow_loopback else _LOOPBACK))]
