"""Where a call comes from, told by trusted proxies alone, and how often one address may knock before we listen."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import TooManyRequests
from service.web import problems
from service.web.limits import Limits

Network = IPv4Network | IPv6Network

_FORWARDED = b"x-forwarded-for"
# A subscriber gets a network of this size: who changes his address inside it is still the same one.
_SUBSCRIBER = 64


def networks(written: Iterable[str]) -> tuple[Network, ...]:
    """Return networks as the settings write them. Raises ValueError."""
    return tuple(ip_network(each) for each in written)


def is_in(address: str, among: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks; what is no address is in none."""
    read = _read(address)
    return read is not None and any(read in network for network in among)


def origin(peer: str, forwarded: Iterable[bytes], proxies: Sequence[Network]) -> str:
    """Return the address of whoever called: the peer's, or what trusted proxies say it was.

    ``forwarded`` are the values of ``X-Forwarded-For``. Each proxy appends the address that it saw, so the list is read
    from its end and believed as long as a trusted proxy wrote; what stands before that, anybody may have made up.
    """
    seen = peer
    hops = [hop.strip() for value in forwarded for hop in value.decode("latin-1").split(",")]
    while hops and is_in(seen, proxies):
        hop = _read(hops.pop())
        if hop is None:
            break
        seen = str(hop)
    return seen


def counted_as(address: str) -> str:
    """Return the name under which an address is counted: IPv6 by its /64, IPv4 in IPv6 as IPv4."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((read, _SUBSCRIBER), strict=False))
    return str(read) if read else address


class AddressGuard:
    """Puts the caller's address into ``scope["client"]`` and takes the call out of that address' budget.

    A trusted proxy's own calls, which carry no forwarded address, are its questions about our health: not counted.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[Network] = ()) -> None:
        self.app = app
        self.proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = [value for name, value in scope["headers"] if name.lower() == _FORWARDED]
        address = origin(peer, forwarded, self.proxies)
        if address != peer:
            scope["client"] = (address, 0)
        if forwarded or not is_in(address, self.proxies):
            limits: dict[str, Limits] = scope["app"].state.limits
            try:
                limits["address"].take(counted_as(address))
            except TooManyRequests as error:
                await problems.answer(error, {"Connection": "close"})(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _read(address: str) -> IPv4Address | IPv6Address | None:
    try:
        read = ip_address(address)
    except ValueError:
        return None
    return (read.ipv4_mapped or read) if isinstance(read, IPv6Address) else read
