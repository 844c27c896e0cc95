"""Makes tokens for the tests, good ones and bad ones, without the library that the hub reads them with."""

import base64
import hashlib
import hmac
import json
import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from joserfc import jwk

from service.security.keyring import SigningKey, VerificationKey
from service.security.profiles import KeyPurpose

NOW = datetime(2026, 11, 23, 16, 0, 0, 500_000, UTC)
T = int(NOW.timestamp())
DAY = timedelta(days=1)
ISSUER = "https://hub.example.vn"
CLIENT, OTHER = "bca-c06", "vcb-core"
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
HUB = SigningKey.generate(not_before=NOW - DAY, not_after=NOW + DAY)
JKT = jwk.ECKey.import_key(KEY).thumbprint()
DROP: Any = object()
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def enrolled(private: ec.EllipticCurvePrivateKey, issuer: str, kid: str) -> VerificationKey:
    members = jwk.ECKey.import_key(private).as_dict(private=False) | {"kid": kid}
    return VerificationKey.from_jwk(
        members, issuer=issuer, purpose=KeyPurpose.CLIENT_ASSERTION, not_before=NOW - DAY, not_after=NOW + DAY
    )


GOOD = enrolled(KEY, CLIENT, "k1")
KEYS = {
    (CLIENT, "k1"): GOOD,
    (OTHER, "k2"): enrolled(OTHER_KEY, OTHER, "k2"),
    (CLIENT, "ended"): replace(GOOD, kid="ended", not_after=NOW),
    (CLIENT, "early"): replace(GOOD, kid="early", not_before=NOW + timedelta(microseconds=1)),
    (CLIENT, "purpose"): replace(GOOD, kid="purpose", purpose=KeyPurpose.ACCESS_TOKEN),
    (CLIENT, "confused"): enrolled(OTHER_KEY, OTHER, "confused"),
    (CLIENT, "renamed"): replace(GOOD, kid="another"),
    (ISSUER, HUB.kid): HUB.verification_key(ISSUER),
    (ISSUER, "client"): replace(GOOD, issuer=ISSUER, kid="client"),
}


def key_of(issuer: str, kid: str) -> VerificationKey | None:
    return KEYS.get((issuer, kid))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encoded(members: Mapping[str, Any]) -> str:
    return b64(json.dumps(members).encode())


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not DROP}


def es256(message: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


Signer = Callable[[bytes], bytes]


def sealed(header: str, claims: str, signer: Signer | None = None) -> str:
    text = f"{header}.{claims}"
    return f"{text}.{b64((signer or (lambda message: es256(message, KEY)))(text.encode()))}"


def public_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    members = jwk.ECKey.import_key(private).as_dict(private=False)
    return {name: members[name] for name in ("kty", "crv", "x", "y")}


def hashed(raw: bytes) -> str:
    return b64(hashlib.sha256(raw).digest())


HEADER = {"alg": "ES256", "typ": "JWT", "kid": "k1"}
CLAIMS = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "iat": T, "exp": T + 300, "jti": "b2f0-1"}


def assertion(signer: Signer | None = None, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    return sealed(encoded(changed(HEADER, header or {})), encoded(changed(CLAIMS, claims)), signer)


ACCESS_HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": HUB.kid}
ACCESS_CLAIMS = {
    "iss": ISSUER,
    "sub": CLIENT,
    "aud": ISSUER,
    "client_id": CLIENT,
    "scope": "requests:read requests:write",
    "iat": T,
    "exp": T + 300,
    "jti": "a-1",
    "cnf": {"jkt": JKT},
}


def access(header: Mapping[str, Any] | None = None, key: Any = HUB.private, **claims: Any) -> str:
    parts = encoded(changed(ACCESS_HEADER, header or {})), encoded(changed(ACCESS_CLAIMS, claims))
    return sealed(*parts, lambda message: es256(message, key))


# The call that the proofs are made for, and the token that it carries.
METHOD, PATH = "POST", "/v1/participants/bca/contacts"
BODY = b'{"name": "made up", "reached_by": {"channel": "email", "address": "duty@example.vn"}}'
ACCESS = access()
PROOF_HEADER = {"alg": "ES256", "typ": "dpop+jwt", "jwk": public_jwk(KEY)}
PROOF_CLAIMS = {
    "htm": METHOD,
    "htu": ISSUER + PATH,
    "iat": T,
    "jti": "p-1",
    "ath": hashed(ACCESS.encode()),
    "bsh": hashed(BODY),
}


def proof(header: Mapping[str, Any] | None = None, key: Any = KEY, **claims: Any) -> str:
    parts = encoded(changed(PROOF_HEADER, header or {})), encoded(changed(PROOF_CLAIMS, claims))
    return sealed(*parts, lambda message: es256(message, key))


def raw(header: str | None = None, claims: str | None = None) -> str:
    head, body = header or json.dumps(HEADER), claims or json.dumps(CLAIMS)
    return sealed(b64(head.encode("utf-8", "surrogatepass")), b64(body.encode("utf-8", "surrogatepass")))


def headed(**header: Any) -> str:
    return assertion(header=header)


def mac_signed(secret: bytes, algorithm: str = "HS256") -> str:
    return assertion(lambda message: hmac.new(secret, message, hashlib.sha256).digest(), {"alg": algorithm})


def respelled(part: int, spell: Callable[[str], str]) -> str:
    segments = assertion().split(".")
    segments[part] = spell(segments[part])
    return ".".join(segments)


def twin(segment: str) -> str:
    """Another spelling of the same bytes: the last character differs in a bit that decoders ignore."""
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) + 1]


def unsigned() -> str:
    return assertion(header={"alg": "none"}).rpartition(".")[0] + "."


def spki(encoding: serialization.Encoding) -> bytes:
    return KEY.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def text_with(members: str) -> str:
    return json.dumps(CLAIMS)[:-1] + f", {members}}}"


PUBLIC_JWK = json.dumps(jwk.ECKey.import_key(KEY).as_dict(private=False))
POINT = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
