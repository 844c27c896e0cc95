"""What a provider signs, verified: ID tokens and logout tokens, by the keys that it publishes."""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

# Never "none", and never a MAC: the public key of a signature is no secret that could be one's key.
ALGORITHMS = ("ES256", "PS256", "RS256")
LEEWAY = 60  # seconds
_LONGEST = 16_384
_SMALLEST_RSA = 2048  # bits

Key = RSAKey | ECKey


class Refused(Exception):
    """What came back is not what was asked for, or not from whom it was asked; ``reason`` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(token: str, key: Key, now: datetime, *, issuer: str, client_id: str, nonce: str | None) -> Mapping[str, Any]:
    """Return the claims of a token that this key signed for this client and for now.

    ``nonce`` is what an ID token must repeat; None is for a logout token, which has none. Raises ``Refused``.
    """
    try:
        decoded = jwt.decode(token, key, algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError):
        raise Refused("provider.signature") from None
    # A logout token may name a session alone.
    claims = decoded.claims if nonce is not None else {"sub": "", **decoded.claims}
    wanted = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    params = {"client_id": client_id} | ({"nonce": nonce} if nonce is not None else {})
    try:
        CodeIDToken(claims, decoded.header, wanted, params).validate(now=int(now.timestamp()), leeway=LEEWAY)
    except (JoseError, ValueError, TypeError) as error:
        raise Refused(f"provider.{getattr(error, 'claim', None) or 'token'}") from None
    # Whom else a token is for could show it here as his own.
    if claims["aud"] not in (client_id, [client_id]):
        raise Refused("provider.aud")
    if nonce is not None and not _is_same(claims.get("nonce"), nonce):
        raise Refused("provider.nonce")
    return decoded.claims


def header(token: str) -> Mapping[str, Any]:
    """Return the header of a token, to know which key to verify it with. Raises ``Refused`` for another algorithm."""
    if len(token) > _LONGEST:
        raise Refused("provider.token")
    try:
        found = read(base64.urlsafe_b64decode(token.partition(".")[0].encode("ascii") + b"=="))
    except ValueError:
        raise Refused("provider.token") from None
    if found.get("alg") not in ALGORITHMS or "crit" in found:
        raise Refused("provider.algorithm")
    return found


def keys(published: object) -> Sequence[Key]:
    """Return those of a published set (RFC 7517) that are for signatures of the algorithms that are taken here."""
    found = [_public(each) for each in published if isinstance(each, dict)] if isinstance(published, list) else []
    return [each for each in found if each is not None]


def fits(key: Key, said: Mapping[str, Any]) -> bool:
    """Tell whether a key may be the one that a header names: by its id, and by its kind."""
    named = said.get("kid")
    return (said["alg"] == "ES256") == isinstance(key, ECKey) and (named is None or key.kid == named)


def read(raw: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises ``Refused`` for what is none."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("provider.answer")
    return found


def _public(members: Mapping[str, Any]) -> Key | None:
    if members.get("use", "sig") != "sig":
        return None
    try:
        if members.get("kty") == "EC" and members.get("crv") == "P-256":
            return ECKey.import_key(dict(members))
        if members.get("kty") == "RSA":
            key = RSAKey.import_key(dict(members))
            return key if key.public_key.key_size >= _SMALLEST_RSA else None
    except (JoseError, ValueError, TypeError):
        return None
    return None


def _is_same(given: object, wanted: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())
