"""The one spelling of a webhook's address that is registered and connected to; every other one is refused."""

import functools
import ipaddress
import re
from dataclasses import dataclass

from adapters.addresses import Address

# Lower case, ASCII, no user, no fragment, no backslash, no blank, no escape in the host, a port without sign or leading
# zero: registry and transport read an address with this pattern alone, so that no two readers differ about its host.
_URL = re.compile(
    r"""
    https://(?P<host>\[[0-9a-f:]+\]|[a-z0-9.-]+)
    (?::(?P<port>[1-9][0-9]{0,4}))?
    (?P<path>
        /(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*
        (?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?
    )?
    """,
    re.ASCII | re.VERBOSE,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# Resolvers read a last label of this form as a number, and the whole as an address (octal, hexadecimal, short forms).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LONGEST_NAME = 253
_OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"})
HTTP, HTTPS = 80, 443


class UrlRefused(ValueError):
    """The text is no address that the hub takes: ``reason`` is ``url.not_tls`` or ``url.malformed``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: host (a name, or an address without brackets), port, and path with query.

    ``address`` is the host as an address where it is one, ``None`` for a name.
    """

    host: str
    port: int
    path: str
    address: Address | None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return f"{bracketed(self.host)}:{self.port}" if self.port != HTTPS else bracketed(self.host)

    @property
    def is_own_name(self) -> bool:
        """Tell whether the host is a name of the machine itself, on whichever machine it is asked for."""
        return self.host in _OWN_NAMES or self.host.endswith(".localhost")


@functools.lru_cache(4096)
def parse(url: str) -> Target:
    """Read an https address in its one spelling. Raises ``UrlRefused``."""
    if not url.startswith("https://"):
        raise UrlRefused("url.not_tls" if url.startswith("http://") else "url.malformed")
    found = _URL.fullmatch(url)
    if found is None:
        raise UrlRefused("url.malformed")
    port = int(found["port"] or HTTPS)
    if port > 65535:
        raise UrlRefused("url.malformed")
    host, address = _host(found["host"])
    return Target(host, port, found["path"] or "/", address)


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _host(text: str) -> tuple[str, Address | None]:
    try:
        if text.startswith("["):
            return _canonical(text[1:-1], ipaddress.IPv6Address(text[1:-1]))
        labels = text.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return _canonical(text, ipaddress.IPv4Address(text))
    except ValueError:
        raise UrlRefused("url.malformed") from None
    if len(text) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("url.malformed")
    return text, None


def _canonical(text: str, address: Address) -> tuple[str, Address]:
    if str(address) != text:
        raise ValueError(text)
    return text, address
