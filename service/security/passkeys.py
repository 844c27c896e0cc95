"""A passkey's signature (WebAuthn Level 3, an assertion): read strictly, checked without asking anybody.

A passkey signs no text of ours but what the browser says of the ceremony: which site asked, and for which challenge.
The challenge is the SHA-256 of what an ordinary key would sign, so the signature covers the same content. ADR 0024.
"""

import base64
import hashlib
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from service.security import compact
from service.security.refusal import TokenRefused

# No registered name says "ES256 over the words of a browser": who knows ES256 alone must refuse it, not fail at it.
ALGORITHM = "hoatoc-webauthn-ES256"

# SHA-256 of the site, one byte of flags, a counter of four: more would be extensions, for which nobody asked.
_DATA_BYTES = 37
_SITE = slice(0, 32)
_FLAGS = 32
_PRESENT, _VERIFIED, _ELIGIBLE, _BACKED_UP, _ATTESTED, _EXTENDED = (1 << bit for bit in (0, 2, 3, 4, 6, 7))
_CLIENT_DATA_BYTES = range(1, 1025)
_DEFAULT_PORTS = {"https": 443, "http": 80}


class AssertionRefused(Exception):
    """An assertion failed a check; ``reason`` is the last part of the error code ``signature.<reason>``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator signed, in the right form and made for one site; nobody has checked the signature yet.

    ``origin`` is the site that asked, ``challenge`` what it asked for.
    """

    origin: str
    challenge: str
    data: bytes = field(repr=False)
    client_data: bytes = field(repr=False)


def read(raw: bytes) -> Assertion:
    """Read what follows the 64 bytes of the signature: authenticator data (37 bytes) and client data (JSON).

    Raises AssertionRefused: ``malformed``; ``user_unverified`` where the authenticator did not see the person, or took
    neither PIN nor finger nor face (flags UP and UV).
    """
    data, client_data = raw[:_DATA_BYTES], raw[_DATA_BYTES:]
    if len(client_data) not in _CLIENT_DATA_BYTES:
        raise AssertionRefused("malformed")
    try:
        # Members may be added by browsers (section 5.8.1.1); none may stand there twice.
        said = compact.strict_json(client_data)
    except TokenRefused:
        raise AssertionRefused("malformed") from None
    origin, challenge = said.get("origin"), said.get("challenge")
    if not isinstance(origin, str) or not isinstance(challenge, str):
        raise AssertionRefused("malformed")
    if said.get("type") != "webauthn.get" or said.get("crossOrigin", False) is not False:
        raise AssertionRefused("malformed")
    flags = data[_FLAGS]
    if flags & (_ATTESTED | _EXTENDED) or (flags & _BACKED_UP and not flags & _ELIGIBLE):
        raise AssertionRefused("malformed")
    if not (flags & _PRESENT and flags & _VERIFIED):
        raise AssertionRefused("user_unverified")
    site = site_of(origin)
    if site is None or origin_of(origin) != origin or data[_SITE] != hashlib.sha256(site.encode()).digest():
        raise AssertionRefused("malformed")
    return Assertion(origin, challenge, data, client_data)


def signed_bytes(assertion: Assertion, wanted: bytes) -> bytes:
    """Return the bytes under the ECDSA signature (section 6.3.3), if it was ``wanted`` that the site asked to sign.

    Raises AssertionRefused ``invalid``.
    """
    if assertion.challenge != challenge(wanted):
        raise AssertionRefused("invalid")
    return assertion.data + hashlib.sha256(assertion.client_data).digest()


def challenge(wanted: bytes) -> str:
    """Return the challenge by which a passkey signs ``wanted``: its SHA-256 in unpadded base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(wanted).digest()).rstrip(b"=").decode()


def origin_of(address: str) -> str | None:
    """Return the origin of a hub's address as browsers write it, or None for one at which no passkey works."""
    site = site_of(address)
    if site is None:
        return None
    parts = urlsplit(address)
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{site}{port}"


def site_of(address: str) -> str | None:
    """Return the relying party's id of a hub's address: its host name, if browsers let it have passkeys.

    They want TLS, but for ``localhost``, and a name: an IP address has none.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host == "localhost")
    if not is_safe or not host.isascii() or parts.username is not None:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or None
    return None
