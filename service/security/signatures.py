"""Detached signatures that stand without the hub: who says what of which JSON content, as a compact ES256 JWS.

The payload is the RFC 8785 form of the content and travels beside the signature, not in it (RFC 7515, appendix F):
``<protected header>..<signature>``. The header says what the signature is for (``typ``), so that one made to file
never passes for one that approves, and which request, order or appeal it belongs to (``sub``), so that it cannot be
moved to a twin. What officers and participants sign names the hub that it is for (``aud``), so that it counts at no
other. ADR 0020 and 0025 say why. An officer's passkey signs in the same form under another ``alg``, with what its
authenticator adds in the last part: ADR 0024.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from service import canonical_json
from service.security import compact, passkeys
from service.security.passkeys import Assertion, AssertionRefused
from service.security.refusal import TokenRefused

LONGEST = 2048
# The officer's hand was on the key just now: this is what "recently authenticated" means for a system without a login.
OLDEST = timedelta(minutes=15)
AHEAD = timedelta(seconds=10)
_HALF = compact.SIGNATURE_BYTES // 2
_HEADER = frozenset({"alg", "typ", "kid", "iat", "jti"})


class Kind(StrEnum):
    """What a signature says of its payload; the value is the header's ``typ``."""

    REQUEST = "hoatoc-request+jws"
    APPROVAL = "hoatoc-approval+jws"
    REVIEW = "hoatoc-review+jws"
    ANSWER = "hoatoc-answer+jws"
    ORDER = "hoatoc-order+jws"
    DECISION = "hoatoc-decision+jws"
    WITHDRAWAL = "hoatoc-withdrawal+jws"
    SILENCE = "hoatoc-silence+jws"
    REPLY = "hoatoc-reply+jws"
    EVIDENCE = "hoatoc-evidence+jws"
    CERTIFICATION = "hoatoc-certification+jws"
    ARCHIVE = "hoatoc-archive+jws"


# What the hub itself signs, for whoever reads it; everything else is signed for one hub.
OWN = frozenset({Kind.ORDER, Kind.EVIDENCE, Kind.CERTIFICATION, Kind.ARCHIVE})


class SignatureRefused(Exception):
    """A signature failed a check; ``reason`` is the last part of the error code ``signature.<reason>``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Unverified:
    """A signature whose form is right and that nobody has checked yet.

    ``signed_at`` is the signer's own instant, ``about`` the id of what it belongs to (None where it files a request),
    ``audience`` the address of the hub it is for (None where it names none, as the hub's own do), ``assertion`` what a
    passkey's authenticator adds (None for a key that signs by itself).
    """

    kind: Kind
    kid: str
    signed_at: datetime
    jti: str
    about: str | None
    audience: str | None
    header: str = field(repr=False)
    signature: bytes = field(repr=False)
    assertion: Assertion | None = None

    @property
    def purpose(self) -> str:
        """The purpose that the key must be registered for: a passkey signs as one, and any other key never does."""
        return "passkey" if self.assertion else "signature"


def canonical(raw: bytes) -> bytes:
    """Return the RFC 8785 form of a JSON text, which is what is signed. Raises ValueError for what is no JSON."""
    return canonical_json.dumps(json.loads(raw))


def sign(
    private: ec.EllipticCurvePrivateKey,
    kid: str,
    kind: Kind,
    payload: bytes,
    *,
    at: datetime,
    about: str | None = None,
    audience: str | None = None,
) -> str:
    """Sign ``payload`` (the canonical form) with a P-256 key and return ``<header>..<signature>``.

    ``kid`` is the key's RFC 7638 thumbprint, ``at`` an aware instant; only a filed request leaves ``about`` out.
    ``audience`` is the address of the hub that it is for; only what a hub signs itself leaves it out.
    """
    members = {"alg": compact.ALGORITHM, "typ": str(kind), "kid": kid, "iat": int(at.timestamp())}
    members |= {"jti": secrets.token_urlsafe(16)} | ({"sub": about} if about else {})
    members |= {"aud": audience} if audience else {}
    header = _encode(json.dumps(members, separators=(",", ":")).encode())
    r, s = utils.decode_dss_signature(private.sign(signing_input(header, payload), ec.ECDSA(hashes.SHA256())))
    return f"{header}..{_encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"


def read(text: str, kind: Kind) -> Unverified:
    """Read a detached signature of one kind, without trusting it.

    Raises SignatureRefused: ``malformed``, ``algorithm`` or ``type``.
    """
    parts = text.split(".")
    if len(text) > LONGEST or len(parts) != 3 or parts[1]:
        raise SignatureRefused("malformed")
    raw, signature = compact.canonical_base64url(parts[0]), compact.canonical_base64url(parts[2])
    if raw is None or signature is None:
        raise SignatureRefused("malformed")
    try:
        members = compact.strict_json(raw)
        assertion = _assertion(members.get("alg"), signature)
        if members.get("typ") != kind:
            raise SignatureRefused("type")
        about, audience = _named(members, kind)
        signed_at = datetime.fromtimestamp(compact.seconds(members, "iat"), UTC)
        kid, jti = compact.identifier(members, "kid"), compact.identifier(members, "jti")
    except (TokenRefused, OverflowError, ValueError, OSError):
        raise SignatureRefused("malformed") from None
    signature = signature[: compact.SIGNATURE_BYTES]
    return Unverified(kind, kid, signed_at, jti, about, audience, parts[0], signature, assertion)


def key_of(text: str) -> str | None:
    """Return the id of the key that a signature's header names, without trusting it; None where it names none."""
    raw = compact.canonical_base64url(text.partition(".")[0])
    try:
        return compact.identifier(compact.strict_json(raw or b""), "kid")
    except (TokenRefused, KeyError):
        return None


def verify(unverified: Unverified, payload: bytes, public: ec.EllipticCurvePublicKey) -> None:
    """Return if this key signed exactly this payload under this header. Raises SignatureRefused ``invalid``.

    It takes the public key alone, for a passkey too: that the site in a passkey's signature is this hub's own is for
    whoever accepts it to ask.
    """
    message = signing_input(unverified.header, payload)
    r, s = (int.from_bytes(half, "big") for half in (unverified.signature[:_HALF], unverified.signature[_HALF:]))
    try:
        if unverified.assertion is not None:
            message = passkeys.signed_bytes(unverified.assertion, message)
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, AssertionRefused):
        raise SignatureRefused("invalid") from None


def signing_input(header: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: RFC 7515, section 5.1, step 5."""
    return f"{header}.{_encode(payload)}".encode()


def _assertion(algorithm: object, signature: bytes) -> Assertion | None:
    if algorithm == compact.ALGORITHM:
        if len(signature) != compact.SIGNATURE_BYTES:
            raise SignatureRefused("malformed")
        return None
    if algorithm != passkeys.ALGORITHM:
        raise SignatureRefused("algorithm")
    try:
        return passkeys.read(signature[compact.SIGNATURE_BYTES :])
    except AssertionRefused as refused:
        raise SignatureRefused(refused.reason) from None


def _named(members: Mapping[str, object], kind: Kind) -> tuple[str | None, str | None]:
    """Return what a signature is about and which hub it is for; one that names no hub is for none."""
    wanted = _HEADER if kind is Kind.REQUEST else _HEADER | {"sub"}
    if members.keys() - (set() if kind in OWN else {"aud"}) != wanted:
        raise SignatureRefused("malformed")
    about, audience = (compact.identifier(members, name) if name in members else None for name in ("sub", "aud"))
    return about, audience


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
