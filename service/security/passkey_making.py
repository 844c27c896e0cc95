"""A new passkey (WebAuthn Level 3, without attestation): read strictly, for one site and one challenge."""

import base64
import hashlib
import re
from dataclasses import dataclass

from service.security import compact, passkeys
from service.security.passkeys import AssertionRefused
from service.security.refusal import TokenRefused

_LONGEST = 4096
_LONGEST_CLIENT_DATA = 1024
_HEAD = 55  # site, flags, counter, model, length of the name
_PRESENT, _VERIFIED, _ATTESTED = 1 << 0, 1 << 2, 1 << 6
_COUNTER = slice(33, 37)
# A COSE key for ES256 in the one form that CTAP2 allows (canonical CBOR): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
_KEY = re.compile(rb"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20(.{32})\x22\x58\x20(.{32})", re.DOTALL)
_LONGEST_NAME = 1023  # bytes, section 5.8.5


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey as it was made: how the browser names it, its public key, and where its counter stands."""

    credential_id: str
    jwk: dict[str, str]
    counter: int


def read(data: bytes, client_data: bytes, *, origin: str, wanted: bytes) -> Made:
    """Read the authenticator data and the client data (JSON) of a registration.

    No attestation is asked for: nobody here keeps a list of makers (ADR 0024). Raises AssertionRefused: ``malformed``,
    ``user_unverified``, ``origin`` for another site's, ``invalid`` for another challenge.
    """
    if len(data) > _LONGEST or not 0 < len(client_data) <= _LONGEST_CLIENT_DATA:
        raise AssertionRefused("malformed")
    try:
        said = compact.strict_json(client_data)
    except TokenRefused:
        raise AssertionRefused("malformed") from None
    if said.get("type") != "webauthn.create" or said.get("crossOrigin", False) is not False:
        raise AssertionRefused("malformed")
    site = passkeys.site_of(origin)
    if said.get("origin") != origin or site is None or data[:32] != hashlib.sha256(site.encode()).digest():
        raise AssertionRefused("origin")
    if said.get("challenge") != passkeys.challenge(wanted):
        raise AssertionRefused("invalid")
    if len(data) < _HEAD or not data[32] & _ATTESTED:
        raise AssertionRefused("malformed")
    if not (data[32] & _PRESENT and data[32] & _VERIFIED):
        raise AssertionRefused("user_unverified")
    length = int.from_bytes(data[_HEAD - 2 : _HEAD])
    name = data[_HEAD : _HEAD + length]
    # Extensions may follow the key: nobody asked for any, and some browsers ask for one of their own.
    key = _KEY.match(data, _HEAD + length)
    if not 0 < len(name) == length <= _LONGEST_NAME or key is None:
        raise AssertionRefused("malformed")
    jwk = {"kty": "EC", "crv": "P-256", "x": _encode(key[1]), "y": _encode(key[2])}
    return Made(_encode(name), jwk, int.from_bytes(data[_COUNTER]))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
