"""The classes of bad proofs of possession, each with the reason for which it must be refused."""

import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk
from token_forge import (
    ACCESS,
    BODY,
    CLIENT,
    DROP,
    ISSUER,
    KEY,
    METHOD,
    OTHER_KEY,
    PATH,
    POINT,
    PROOF_CLAIMS,
    PROOF_HEADER,
    T,
    access,
    assertion,
    b64,
    changed,
    encoded,
    es256,
    hashed,
    proof,
    public_jwk,
    sealed,
    spki,
    twin,
)

from service.security.refusal import Reason

MINE, ANOTHERS = public_jwk(KEY), public_jwk(OTHER_KEY)
PRIVATE = jwk.ECKey.import_key(KEY).as_dict(private=True)
HEAD, TEXT = json.dumps(PROOF_HEADER), json.dumps(PROOF_CLAIMS)
P384 = jwk.ECKey.generate_key("P-384").as_dict(private=False)


def keyed(**changes: object) -> str:
    """A proof whose header brings its key in another form."""
    return proof({"jwk": changed(MINE, changes)})


def written(header: str = HEAD, claims: str = TEXT) -> str:
    """A proof of just these JSON texts, well signed."""
    return sealed(b64(header.encode()), b64(claims.encode()))


def resealed(signature: bytes) -> str:
    """A proof with another signature."""
    return sealed(encoded(PROOF_HEADER), encoded(PROOF_CLAIMS), lambda _: signature)


BAD: dict[str, tuple[str, Reason]] = {
    # form
    "empty": ("", Reason.SEGMENTS),
    "two proofs in one header": (f"{proof()}, {proof()}", Reason.SEGMENTS),
    "the access token again": (ACCESS, Reason.HEADER_MEMBERS),
    "a client assertion": (assertion(), Reason.HEADER_MEMBERS),
    "longer than 4 KiB": (proof(jti="x" * 4096), Reason.TOO_LONG),
    "trailing space": (proof() + " ", Reason.ALPHABET),
    "twin of the signature": (twin(proof()), Reason.BASE64),
    "DER signature": (
        sealed(encoded(PROOF_HEADER), encoded(PROOF_CLAIMS), lambda m: KEY.sign(m, ec.ECDSA(hashes.SHA256()))),
        Reason.SIGNATURE_LENGTH,
    ),
    "no signature": (proof().rpartition(".")[0] + ".", Reason.ALPHABET),
    "claims are a list": (written(claims="[]"), Reason.JSON),
    "duplicate htu": (written(claims=TEXT[:-1] + f', "htu": "{ISSUER}"}}'), Reason.JSON_DUPLICATE),
    "duplicate key in the header": (written(header=HEAD[:-1] + ', "typ": "dpop+jwt"}'), Reason.JSON_DUPLICATE),
    "duplicate coordinate": (
        written(header=HEAD.replace('"jwk": {', '"jwk": {"x": "AA", ')),
        Reason.JSON_DUPLICATE,
    ),
    "deep key": (keyed(x=[[1]]), Reason.JSON_DEPTH),
    # header
    "alg none": (proof({"alg": "none"}), Reason.ALGORITHM),
    "alg HS256": (proof({"alg": "HS256"}), Reason.ALGORITHM),
    "alg ES384": (proof({"alg": "ES384"}), Reason.ALGORITHM),
    "no alg": (proof({"alg": DROP}), Reason.ALGORITHM),
    "typ JWT": (proof({"typ": "JWT"}), Reason.TYPE),
    "typ of an access token": (proof({"typ": "at+jwt"}), Reason.TYPE),
    "typ in other letters": (proof({"typ": "DPoP+JWT"}), Reason.TYPE),
    "no typ": (proof({"typ": DROP}), Reason.HEADER_MEMBERS),
    "no key": (proof({"jwk": DROP}), Reason.HEADER_MEMBERS),
    "a kid too": (proof({"kid": "k1"}), Reason.HEADER_MEMBERS),
    "kid instead of the key": (proof({"jwk": DROP, "kid": "k1"}), Reason.HEADER_MEMBERS),
    "crit": (proof({"crit": ["jwk"]}), Reason.HEADER_MEMBERS),
    "jku": (proof({"jku": "https://evil.example/jwks"}), Reason.HEADER_MEMBERS),
    "x5c": (proof({"x5c": ["MIIB"]}), Reason.HEADER_MEMBERS),
    # the key in the header
    "key null": (proof({"jwk": None}), Reason.PROOF_KEY),
    "key as text": (proof({"jwk": json.dumps(MINE)}), Reason.PROOF_KEY),
    "key as a list": (proof({"jwk": ["EC"]}), Reason.PROOF_KEY),
    "key as PEM": (proof({"jwk": spki(serialization.Encoding.PEM).decode()}), Reason.PROOF_KEY),
    "key as a point": (proof({"jwk": b64(POINT)}), Reason.PROOF_KEY),
    "key with its private part": (proof({"jwk": changed(MINE, {"d": PRIVATE["d"]})}), Reason.PROOF_KEY),
    "key with a kid": (keyed(kid="k1"), Reason.PROOF_KEY),
    "key with a use": (keyed(use="sig"), Reason.PROOF_KEY),
    "key without y": (keyed(y=DROP), Reason.PROOF_KEY),
    "key of another curve's name": (keyed(crv="P-384"), Reason.PROOF_KEY),
    "key of another curve": (proof({"jwk": P384}), Reason.PROOF_KEY),
    "symmetric key": (proof({"jwk": {"kty": "oct", "k": b64(b"k" * 32)}}), Reason.PROOF_KEY),
    "key off the curve": (keyed(y=MINE["x"]), Reason.PROOF_KEY),
    "key at infinity": (keyed(x=b64(bytes(32)), y=b64(bytes(32))), Reason.PROOF_KEY),
    "short coordinate": (keyed(x=b64(b"\1")), Reason.PROOF_KEY),
    "padded coordinate": (keyed(x=MINE["x"] + "="), Reason.PROOF_KEY),
    "coordinate as a number": (keyed(x=1), Reason.PROOF_KEY),
    "key of another client": (proof({"jwk": ANOTHERS}, OTHER_KEY), Reason.PROOF_BINDING),
    "key of another, signed with one's own": (proof({"jwk": ANOTHERS}), Reason.PROOF_BINDING),
    # signature
    "signed by another key": (proof(key=OTHER_KEY), Reason.SIGNATURE),
    "signature of zeros": (resealed(bytes(64)), Reason.SIGNATURE),
    "signature of another proof": (resealed(es256(b"another", KEY)), Reason.SIGNATURE),
    "claims of another proof": (
        ".".join([proof().split(".")[0], proof(jti="p-2").split(".")[1], proof().split(".")[2]]),
        Reason.SIGNATURE,
    ),
    # claims
    **{f"no {name}": (proof(**{name: DROP}), Reason.CLAIM_MISSING) for name in PROOF_CLAIMS},
    "exp": (proof(exp=T + 60), Reason.CLAIM_UNEXPECTED),
    "iss": (proof(iss=CLIENT), Reason.CLAIM_UNEXPECTED),
    "nonce": (proof(nonce="n"), Reason.CLAIM_UNEXPECTED),
    "iat as text": (proof(iat=str(T)), Reason.CLAIM_TYPE),
    "iat float": (proof(iat=float(T)), Reason.CLAIM_TYPE),
    "iat true": (proof(iat=True), Reason.CLAIM_TYPE),
    "iat null": (proof(iat=None), Reason.CLAIM_TYPE),
    "jti empty": (proof(jti=""), Reason.CLAIM_TYPE),
    "jti as a number": (proof(jti=1), Reason.CLAIM_TYPE),
    "jti with NUL": (proof(jti="a\0"), Reason.CLAIM_TYPE),
    "jti of 201 characters": (proof(jti="j" * 201), Reason.CLAIM_TYPE),
    # clocks
    "made 61 s ago": (proof(iat=T - 60), Reason.TOO_OLD),
    "made in 1970": (proof(iat=0), Reason.TOO_OLD),
    "made before 1970": (proof(iat=-(10**30)), Reason.TOO_OLD),
    "made 11 s ahead": (proof(iat=T + 11), Reason.ISSUED_IN_FUTURE),
    "made in milliseconds": (proof(iat=T * 1000), Reason.ISSUED_IN_FUTURE),
    # the call
    "another method": (proof(htm="PUT"), Reason.PROOF_METHOD),
    "method in small letters": (proof(htm=METHOD.lower()), Reason.PROOF_METHOD),
    "method as a list": (proof(htm=[METHOD]), Reason.PROOF_METHOD),
    "method null": (proof(htm=None), Reason.PROOF_METHOD),
    "another path": (proof(htu=f"{ISSUER}/v1/requests"), Reason.PROOF_TARGET),
    "path with a slash": (proof(htu=f"{ISSUER}{PATH}/"), Reason.PROOF_TARGET),
    "path with dots": (proof(htu=f"{ISSUER}/v1/../v1/participants/bca/contacts"), Reason.PROOF_TARGET),
    "path in other spelling": (proof(htu=ISSUER + PATH.replace("bca", "%62ca")), Reason.PROOF_TARGET),
    "path in other letters": (proof(htu=ISSUER + PATH.upper()), Reason.PROOF_TARGET),
    "path alone": (proof(htu=PATH), Reason.PROOF_TARGET),
    "with a query": (proof(htu=f"{ISSUER}{PATH}?a=1"), Reason.PROOF_TARGET),
    "with a fragment": (proof(htu=f"{ISSUER}{PATH}#a"), Reason.PROOF_TARGET),
    "another hub": (proof(htu=f"https://other.example.vn{PATH}"), Reason.PROOF_TARGET),
    "another scheme": (proof(htu=f"http://hub.example.vn{PATH}"), Reason.PROOF_TARGET),
    "with the port": (proof(htu=f"{ISSUER}:443{PATH}"), Reason.PROOF_TARGET),
    "target as a list": (proof(htu=[ISSUER + PATH]), Reason.PROOF_TARGET),
    "another token": (proof(ath=hashed(access(jti="a-2").encode())), Reason.PROOF_TOKEN),
    "a hash of nothing": (proof(ath="A" * 43), Reason.PROOF_TOKEN),
    "token's hash, padded": (proof(ath=hashed(ACCESS.encode()) + "="), Reason.PROOF_TOKEN),
    "token's hash null": (proof(ath=None), Reason.PROOF_TOKEN),
    "another body": (proof(bsh=hashed(BODY + b" ")), Reason.PROOF_BODY),
    "no body": (proof(bsh=hashed(b"")), Reason.PROOF_BODY),
    "body's hash in hex": (proof(bsh="ab" * 32), Reason.PROOF_BODY),
    "body's hash as a list": (proof(bsh=[hashed(BODY)]), Reason.PROOF_BODY),
}
