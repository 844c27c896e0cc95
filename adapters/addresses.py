"""Which networks an endpoint may be registered in, and which of a name's addresses may be connected to."""

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
# Never a participant: this host, link-local, multicast and reserved ranges; the addresses at which clouds serve
# credentials to whoever asks from the machine; and the IPv6 ranges that carry an IPv4 address within. Private ranges
# are not here: on closed networks banks sit on private addresses, so the rule is "only what is registered".
_NEVER = (
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::254/128"),
    *("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23"),
    *("100::/64", "fe80::/10", "fec0::/10", "ff00::/8"),
)
# The IPv4-compatible addresses, without the loopback that lies among them and has a rule of its own.
_COMPATIBLE = tuple(ipaddress.IPv6Network("::/96").address_exclude(ipaddress.IPv6Network("::1/128")))
_FORBIDDEN: tuple[Network, ...] = (*map(ipaddress.ip_network, _NEVER), *_COMPATIBLE)
# The interface part of ISATAP addresses (RFC 5214, 6.1), which end in an IPv4 address under any prefix.
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
# On threads of their own, in a loop a name at most one of them: a participant whose name server never answers holds
# that one, and not the few that the loop shares among all participants and the connections to the database.
_RESOLVERS = ThreadPoolExecutor(64, thread_name_prefix="names")
# Of each loop, what is being looked up: all who wait for a name wait for one thing.
_awaited: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], asyncio.Future[Sequence[str]]]] = (
    WeakKeyDictionary()
)
# Read once a range: each call asks for its endpoint's.
_network = functools.lru_cache(4096)(ipaddress.ip_network)
# One organisation's site at most: a range is there to name a participant's machines, not half a country's.
WIDEST = {4: 16, 6: 48}


class NetworkRefused(Exception):
    """The network may not be registered: ``network.malformed``, ``network.too_wide`` or ``network.forbidden``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_registrable(network: str, *, allow_loopback: bool = False, own_networks: Sequence[str] = ()) -> str:
    """Return the CIDR if an endpoint may be registered in it.

    ``own_networks`` are the hub's own subnets. Raises ``NetworkRefused`` for what is no CIDR in its one spelling, for
    more than a /16 (IPv6: a /48), and for whatever overlaps a forbidden range.
    """
    try:
        wanted = ipaddress.ip_network(network)
    except ValueError:
        raise NetworkRefused("network.malformed") from None
    if str(wanted) != network or "%" in network:
        raise NetworkRefused("network.malformed")
    if any(
        wanted.version == banned.version and wanted.overlaps(banned)
        for banned in _banned(allow_loopback, tuple(own_networks))
    ):
        raise NetworkRefused("network.forbidden")
    if wanted.prefixlen < WIDEST[wanted.version]:
        raise NetworkRefused("network.too_wide")
    return network


def is_forbidden(address: Address, *, allow_loopback: bool = False, own_networks: Sequence[str] = ()) -> bool:
    """Tell whether an address is one that no participant has, whatever was registered."""
    if isinstance(address, ipaddress.IPv6Address) and (
        # A zone names an interface of this machine; no participant's address has one.
        address.scope_id is not None or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
    ):
        return True
    return any(address in banned for banned in _banned(allow_loopback, tuple(own_networks)))


def first_registered(
    candidates: Sequence[str], network: str | None, *, allow_loopback: bool = False, own_networks: Sequence[str] = ()
) -> Address | None:
    """Return the first candidate that lies in the registered network and in no forbidden one, or ``None``."""
    try:
        registered = _network(network or "")
    except ValueError:
        return None
    for candidate in candidates:
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        if address in registered and not is_forbidden(
            address, allow_loopback=allow_loopback, own_networks=own_networks
        ):
            return address
    return None


def is_own(address: Address) -> bool:
    """Tell whether an address is this machine's own: from there it would speak to itself. Nothing is sent.

    A datagram socket that is "connected" gets the address it would send from; only a machine's own address would send
    to itself from itself. Asked for each call, because a machine gains addresses while the hub runs.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 443))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
    except OSError:
        # There is no way to it, and so none for a call either.
        return False


async def system_resolve(name: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows for a name, in its order; raises ``OSError`` if there are none.

    Calls that ask for the same name at the same time share one look-up, which a caller that gives up does not end.
    """
    awaited = _awaited.setdefault(asyncio.get_running_loop(), {})
    found = awaited.get((name, port))
    if found is None:
        found = awaited[name, port] = asyncio.wrap_future(_RESOLVERS.submit(_ask_system, name, port))
        found.add_done_callback(lambda _: awaited.pop((name, port)))
    # Nobody's cancellation reaches the look-up: others wait for it.
    return await asyncio.shield(found)


def _ask_system(name: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host is a literal loopback address or ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(16)
def _banned(allow_loopback: bool, own_networks: tuple[str, ...]) -> list[Network]:
    return [*_FORBIDDEN, *map(ipaddress.ip_network, own_networks), *(() if allow_loopback else _LOOPBACK)]
