"""The only door to python-jose: it issues access tokens and checks signatures of all profiles, by ES256 alone."""

import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jose
from cryptography.hazmat.primitives.asymmetric import ec
from jose import backends, jws
from jose.backends.cryptography_backend import CryptographyECKey

from service.security import compact, profiles
from service.security.compact import Unverified, VerifiedClaims
from service.security.keyring import SigningKey, VerificationKey
from service.security.refusal import Reason, TokenRefused
from service.security.scopes import Scope

CLOCK_TOLERANCE = timedelta(seconds=10)
_OLDEST_JOSE = (3, 5, 0)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")

KeyOf = Callable[[str, str], VerificationKey | None]


@dataclass(frozen=True, slots=True)
class ClientAssertion:
    """A verified client assertion. ``jti`` still has to be spent, once, in the transaction of its effect."""

    client_id: str
    kid: str
    jkt: str
    jti: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says; ``jkt`` is the thumbprint of the key that each call must prove."""

    client_id: str
    subject: str
    scopes: frozenset[Scope]
    jkt: str
    kid: str
    jti: str
    issued_at: datetime
    expires_at: datetime


def assert_backend() -> None:
    """Stop the start-up where python-jose is older than 3.5.0 or does not compute with ``cryptography``.

    Its pure Python fallback leaks the private key by timing (CVE-2024-23342). Raises RuntimeError.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", jose.__version__)[:3])
    if version < _OLDEST_JOSE:
        raise RuntimeError(f"python-jose {jose.__version__} is too old: 3.5.0 or later is needed")
    if backends.ECKey is not CryptographyECKey:
        raise RuntimeError("python-jose does not use the cryptography backend")


def verify_client_assertion(token: str, *, key_of: KeyOf, audience: str, now: datetime) -> ClientAssertion:
    """Check a client's assertion (RFC 7523) and say which client it is.

    In: the assertion as it came; the table of keys by (client id, kid); our issuer string; the instant.
    Raises TokenRefused; what ``key_of`` raises passes through.
    """
    unverified = compact.parse(token, profiles.CLIENT_ASSERTION)
    client_id = compact.identifier(unverified.claims, "iss")
    key = _key(unverified, client_id, key_of, now)
    claims = verified(unverified, key.public)
    if compact.identifier(claims, "sub") != client_id:
        raise TokenRefused(Reason.SUBJECT)
    _check_audience(claims, audience)
    _, expires_at = _check_times(claims, unverified.profile, now)
    return ClientAssertion(client_id, key.kid, key.jkt, compact.identifier(claims, "jti"), expires_at)


def verify_access_token(token: str, *, key_of: KeyOf, issuer: str, audience: str, now: datetime) -> AccessClaims:
    """Check one of our own access tokens (RFC 9068) and return what it says.

    In: the token as it came; the table of keys by (issuer, kid); our issuer string; this hub's audience; the instant.
    Raises TokenRefused; what ``key_of`` raises passes through.
    """
    unverified = compact.parse(token, profiles.ACCESS_TOKEN)
    if unverified.claims["iss"] != issuer:
        raise TokenRefused(Reason.ISSUER)
    key = _key(unverified, issuer, key_of, now)
    claims = verified(unverified, key.public)
    _check_audience(claims, audience)
    issued_at, expires_at = _check_times(claims, unverified.profile, now)
    return AccessClaims(
        client_id=compact.identifier(claims, "client_id"),
        subject=compact.identifier(claims, "sub"),
        scopes=_scopes(claims["scope"]),
        jkt=_confirmation(claims["cnf"]),
        kid=key.kid,
        jti=compact.identifier(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
    )


def issue_access_token(
    signing: SigningKey,
    *,
    issuer: str,
    audience: str,
    client_id: str,
    subject: str,
    scopes: Iterable[Scope],
    jkt: str,
    now: datetime,
    lifetime: timedelta,
) -> tuple[str, datetime, str]:
    """Sign an access token for a client and bind it to the key with the thumbprint ``jkt``.

    Out: the token, the instant it expires (whole seconds), its ``jti``.
    Raises ValueError where the lifetime is beyond the profile's, there is no scope, the thumbprint is none, or the
    token would outlive its key: each is a mistake of the hub, not of the caller.
    """
    granted = frozenset(scopes)
    issued_at = int(now.timestamp())
    expires_at = datetime.fromtimestamp(issued_at, UTC) + timedelta(seconds=int(lifetime.total_seconds()))
    if not timedelta(seconds=1) <= lifetime <= profiles.ACCESS_TOKEN.lifetime:
        raise ValueError("an access token lives from one second to its profile's longest lifetime")
    if not granted:
        raise ValueError("an access token without a scope opens nothing")
    if not _THUMBPRINT.fullmatch(jkt):
        raise ValueError("the confirmation is no RFC 7638 thumbprint")
    if now < signing.not_before or expires_at > signing.not_after:
        raise ValueError("the signing key is not valid for the whole life of the token")
    jti = secrets.token_urlsafe(16)
    claims = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "client_id": client_id,
        "scope": " ".join(sorted(granted)),
        "iat": issued_at,
        "exp": int(expires_at.timestamp()),
        "jti": jti,
        "cnf": {"jkt": jkt},
    }
    token: str = jws.sign(
        json.dumps(claims, separators=(",", ":")).encode(),
        CryptographyECKey(signing.private, compact.ALGORITHM),
        headers={"typ": "at+jwt", "kid": signing.kid},
        algorithm=compact.ALGORITHM,
    )
    if len(token) > compact.LONGEST_TOKEN:
        raise ValueError("the access token is longer than the hub itself would read")
    return token, expires_at, jti


def verified(unverified: Unverified, public: ec.EllipticCurvePublicKey) -> VerifiedClaims:
    """Check the signature with this very key and return the claims. Raises TokenRefused."""
    # The prepared key is of one kind, whatever the header says; a dict or text would let the library choose.
    prepared = CryptographyECKey(public, compact.ALGORITHM)
    try:
        jws.verify(unverified.text, prepared, algorithms=[compact.ALGORITHM])
    except Exception:  # whatever a library raises on a hostile token, the answer is the same
        raise TokenRefused(Reason.SIGNATURE) from None
    # Safe to promote: with three canonical segments the signature covers exactly the bytes these were read from.
    return VerifiedClaims(unverified.claims)


def _key(unverified: Unverified, issuer: str, key_of: KeyOf, now: datetime) -> VerificationKey:
    kid = str(unverified.header["kid"])
    key = key_of(issuer, kid)
    # Asked again here: a look-up that forgets one half of the pair must not make anybody else.
    if key is None or key.issuer != issuer or key.kid != kid:
        raise TokenRefused(Reason.KEY_UNKNOWN)
    if key.purpose is not unverified.profile.purpose:
        raise TokenRefused(Reason.KEY_PURPOSE)
    if now < key.not_before:
        raise TokenRefused(Reason.KEY_NOT_YET_VALID)
    if now >= key.not_after:
        raise TokenRefused(Reason.KEY_EXPIRED)
    return key


def _check_audience(claims: VerifiedClaims, audience: str) -> None:
    # A list, even of one, is refused: a token for us is for nobody else.
    if claims["aud"] != audience:
        raise TokenRefused(Reason.AUDIENCE)


def _check_times(claims: VerifiedClaims, profile: profiles.Profile, now: datetime) -> tuple[datetime, datetime]:
    issued, expires = compact.seconds(claims, "iat"), compact.seconds(claims, "exp")
    instant, tolerance = now.timestamp(), CLOCK_TOLERANCE.total_seconds()
    if issued > instant + tolerance:
        raise TokenRefused(Reason.ISSUED_IN_FUTURE)
    if "nbf" in claims and compact.seconds(claims, "nbf") > instant + tolerance:
        raise TokenRefused(Reason.NOT_YET_VALID)
    if expires <= instant - tolerance:
        raise TokenRefused(Reason.EXPIRED)
    if not 0 < expires - issued <= profile.lifetime.total_seconds():
        raise TokenRefused(Reason.LIFETIME)
    return datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC)


def _scopes(value: object) -> frozenset[Scope]:
    if not isinstance(value, str):
        raise TokenRefused(Reason.CLAIM_TYPE)
    words = value.split(" ")
    try:
        granted = frozenset(Scope(word) for word in words)
    except ValueError:
        raise TokenRefused(Reason.SCOPE) from None
    if len(granted) != len(words):
        raise TokenRefused(Reason.SCOPE)
    return granted


def _confirmation(value: object) -> str:
    if not isinstance(value, Mapping) or value.keys() != {"jkt"}:
        raise TokenRefused(Reason.CONFIRMATION)
    jkt = value["jkt"]
    if not isinstance(jkt, str) or not _THUMBPRINT.fullmatch(jkt):
        raise TokenRefused(Reason.CONFIRMATION)
    return jkt
