"""Keys as values: public keys that verify, private keys that sign, and the set of public keys the hub publishes."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk

from service.security import compact, profiles
from service.security.profiles import KeyPurpose

_REQUIRED = frozenset({"kty", "crv", "x", "y"})
_OPTIONAL = frozenset({"kid", "use", "alg"})
_COORDINATE_BYTES = 32


class KeyUnfit(ValueError):
    """A key cannot be taken up; ``code`` says why and never holds key material."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One pre-parsed P-256 public key of one issuer, for one purpose, from ``not_before`` until before ``not_after``.

    ``jkt`` is the RFC 7638 thumbprint, ``public`` the parsed key: parsing it once makes a verification a third faster.
    """

    issuer: str
    kid: str
    purpose: KeyPurpose
    not_before: datetime
    not_after: datetime
    jkt: str
    public: ec.EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def from_jwk(
        cls,
        members: Mapping[str, object],
        *,
        issuer: str,
        purpose: KeyPurpose,
        not_before: datetime,
        not_after: datetime,
    ) -> Self:
        """Parse an enrolled public JWK; ``kid`` is the one it names, or else its thumbprint.

        Raises KeyUnfit with a ``key.…`` code: no P-256 signing key, a private one, a point off the curve, an odd kid.
        """
        check_window(not_before, not_after)
        public, jkt = public_key(members)
        kid = members.get("kid", jkt)
        if not isinstance(kid, str) or not compact.is_identifier(kid):
            raise KeyUnfit("key.kid")
        return cls(issuer, kid, purpose, not_before, not_after, jkt, public)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A P-256 private key of the hub itself; ``kid`` is the thumbprint of its public half."""

    kid: str
    not_before: datetime
    not_after: datetime
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls, *, not_before: datetime, not_after: datetime) -> Self:
        """Make a new key that signs from ``not_before`` until before ``not_after``."""
        return cls.of(ec.generate_private_key(ec.SECP256R1()), not_before=not_before, not_after=not_after)

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey, *, not_before: datetime, not_after: datetime) -> Self:
        """Wrap a private key. Raises KeyUnfit for another curve than P-256 or an empty validity."""
        if not isinstance(private.curve, ec.SECP256R1):
            raise KeyUnfit("key.curve")
        check_window(not_before, not_after)
        return cls(jwk.ECKey.import_key(private).thumbprint(), not_before, not_after, private)

    def public_jwk(self) -> dict[str, str]:
        """Return the public half as a JWK with ``kid``, ``use`` and ``alg``."""
        members = jwk.ECKey.import_key(self.private).as_dict(private=False)
        public = {name: str(members[name]) for name in ("kty", "crv", "x", "y")}
        return public | {"kid": self.kid, "use": "sig", "alg": compact.ALGORITHM}

    def verification_key(self, issuer: str) -> VerificationKey:
        """Return the key that verifies this one's access tokens, bound to the hub's own ``issuer`` string."""
        return _verifying(self, issuer)


# Each call at a door asks for it.
@functools.lru_cache(maxsize=16)
def _verifying(key: SigningKey, issuer: str) -> VerificationKey:
    return VerificationKey.from_jwk(
        key.public_jwk(),
        issuer=issuer,
        purpose=KeyPurpose.ACCESS_TOKEN,
        not_before=key.not_before,
        not_after=key.not_after,
    )


def jwks(keys: Sequence[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """Return the public set (RFC 7517) of the hub's signing keys, in the order given.

    Raises ValueError below two different keys: the next key is published before it signs, so that a rotation refuses
    nobody who caches the set.
    """
    if len({key.kid for key in keys}) != len(keys) or len(keys) < 2:
        raise ValueError("publish at least two different keys: the current one and the next")
    return {"keys": [key.public_jwk() for key in keys]}


def current(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Return the key to sign with: of those valid for the whole life of a token made now, the one that began last.

    Raises KeyUnfit ``key.none_valid`` where there is none: the hub then issues nothing.
    """
    fit = [key for key in keys if key.not_before <= now and now + profiles.LONGEST_LIFETIME <= key.not_after]
    if not fit:
        raise KeyUnfit("key.none_valid")
    return max(fit, key=lambda key: key.not_before)


def in_force(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Return the key to sign an order with: of those valid now, the one that began last.

    Raises KeyUnfit ``key.none_valid`` where there is none: an unsigned order is never placed.
    """
    fit = [key for key in keys if key.not_before <= now < key.not_after]
    if not fit:
        raise KeyUnfit("key.none_valid")
    return max(fit, key=lambda key: key.not_before)


def public_key(members: Mapping[str, object]) -> tuple[ec.EllipticCurvePublicKey, str]:
    """Parse a public P-256 signing JWK and return it with its RFC 7638 thumbprint. Raises KeyUnfit."""
    if "d" in members:
        raise KeyUnfit("key.private")  # somebody sent us their secret: it is burnt
    if _REQUIRED - members.keys() or members.keys() - _REQUIRED - _OPTIONAL:
        raise KeyUnfit("key.members")
    if members["kty"] != "EC" or members["crv"] != "P-256":
        raise KeyUnfit("key.curve")
    if members.get("use", "sig") != "sig" or members.get("alg", compact.ALGORITHM) != compact.ALGORITHM:
        raise KeyUnfit("key.use")
    return _point(coordinate(members["x"]), coordinate(members["y"]))


# The same few keys come with each call: parsing one costs as much as checking its signature.
@functools.lru_cache(maxsize=1024)
def _point(x: int, y: int) -> tuple[ec.EllipticCurvePublicKey, str]:
    try:
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise KeyUnfit("key.point") from None
    return public, jwk.ECKey.import_key(public).thumbprint()


def coordinate(value: object) -> int:
    """Decode a coordinate or private scalar of P-256: canonical base64url of 32 bytes. Raises KeyUnfit."""
    raw = compact.canonical_base64url(value) if isinstance(value, str) else None
    if raw is None or len(raw) != _COORDINATE_BYTES:
        raise KeyUnfit("key.coordinate")
    return int.from_bytes(raw, "big")


def check_window(not_before: datetime, not_after: datetime) -> None:
    """Refuse an empty validity and instants without a time zone. Raises KeyUnfit."""
    if not_before.tzinfo is None or not_after.tzinfo is None or not_before >= not_after:
        raise KeyUnfit("key.validity")
