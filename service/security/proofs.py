"""Proofs of possession (RFC 9449): made by a client for one call with its key, and checked against that very call."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk, jwt

from service.security import compact, keyring, profiles, tokens
from service.security.compact import VerifiedClaims
from service.security.keyring import KeyUnfit
from service.security.profiles import Profile
from service.security.refusal import Reason, TokenRefused
from service.security.single_use import SingleUse

_KEY_MEMBERS = frozenset({"kty", "crv", "x", "y"})
_READING = frozenset({"GET", "HEAD"})
# A spent proof is kept a minute longer than any clock could still take it.
_KEPT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Call:
    """The call that a proof must have been made for.

    ``target`` is the hub's address and the path as it stood on the wire, without query; ``query`` what stood behind
    its ``?``, byte for byte; ``body`` the bytes received.
    """

    method: str
    target: str
    query: bytes = b""
    body: bytes = field(default=b"", repr=False)

    @property
    def changes(self) -> bool:
        """Whether the call may change something: its proof is then bound to the body, and good for once."""
        return self.method not in _READING

    @property
    def profile(self) -> Profile:
        """Which claims its proof has: those of a change, of a reading, or of a reading with a query."""
        if self.changes:
            return profiles.PROOF_OF_CHANGE
        return profiles.PROOF_OF_READING_WITH_QUERY if self.query else profiles.PROOF_OF_READING


def verify(proof: str, call: Call, *, access_token: str, jkt: str, now: datetime) -> SingleUse:
    """Check a proof and return its ``jti``, which a call that changes something must spend with its effect.

    In: the proof as it came; the call that it came with; the access token beside it, already verified; the thumbprint
    that this token is bound to; the instant. Raises TokenRefused.
    """
    unverified = compact.parse(proof, call.profile)
    public, thumbprint = _key(unverified.header["jwk"])
    if thumbprint != jkt:
        raise TokenRefused(Reason.PROOF_BINDING)
    claims = tokens.verified(unverified, public)
    made_at = _made_at(claims, call.profile, now)
    if claims["htm"] != call.method:
        raise TokenRefused(Reason.PROOF_METHOD)
    if claims["htu"] != call.target:
        raise TokenRefused(Reason.PROOF_TARGET)
    # htu ends before the query (RFC 9449, section 4.2): what no proof covers steers nothing.
    if call.changes and call.query:
        raise TokenRefused(Reason.PROOF_QUERY)
    if not call.changes and call.query and claims["qsh"] != digest(call.query):
        raise TokenRefused(Reason.PROOF_QUERY)
    if claims["ath"] != digest(access_token.encode()):
        raise TokenRefused(Reason.PROOF_TOKEN)
    if call.changes and claims["bsh"] != digest(call.body):
        raise TokenRefused(Reason.PROOF_BODY)
    return SingleUse(f"proof:{jkt}", compact.identifier(claims, "jti"), made_at + call.profile.lifetime + _KEPT)


def make(
    private: ec.EllipticCurvePrivateKey, method: str, target: str, access_token: str, body: bytes, at: datetime
) -> str:
    """Make the proof for one call: the value of its ``DPoP`` header.

    In: the client's key; the method; the hub's address and path, with the query as it will be sent; the token that the
    call carries; the body's bytes (none for a call without one); the instant.
    """
    path, _, query = target.partition("?")
    call = Call(method, path, query.encode())
    key = jwk.ECKey.import_key(private)
    members = key.as_dict(private=False)
    header = {"alg": compact.ALGORITHM, "typ": "dpop+jwt", "jwk": {name: members[name] for name in _KEY_MEMBERS}}
    claims = {
        "htm": method,
        "htu": call.target,
        "iat": int(at.timestamp()),
        "jti": str(uuid4()),
        "ath": digest(access_token.encode()),
    }
    if call.changes:
        claims["bsh"] = digest(body)
    elif call.query:
        claims["qsh"] = digest(call.query)
    return jwt.encode(header, claims, key, algorithms=[compact.ALGORITHM])


def digest(raw: bytes) -> str:
    """Return SHA-256 in unpadded base64url: the form of ``ath``, ``bsh`` and ``qsh``."""
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


def _key(members: object) -> tuple[ec.EllipticCurvePublicKey, str]:
    # The only place where a header brings a key: it proves nothing by itself, the token's thumbprint does.
    if not isinstance(members, Mapping) or members.keys() != _KEY_MEMBERS:
        raise TokenRefused(Reason.PROOF_KEY)
    try:
        return keyring.public_key(members)
    except KeyUnfit:
        raise TokenRefused(Reason.PROOF_KEY) from None


def _made_at(claims: VerifiedClaims, profile: Profile, now: datetime) -> datetime:
    made, instant = compact.seconds(claims, "iat"), now.timestamp()
    if made > instant + tokens.CLOCK_TOLERANCE.total_seconds():
        raise TokenRefused(Reason.ISSUED_IN_FUTURE)
    if made < instant - profile.lifetime.total_seconds():
        raise TokenRefused(Reason.TOO_OLD)
    return datetime.fromtimestamp(made, UTC)
