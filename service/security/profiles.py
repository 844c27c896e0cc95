"""The token profiles as data: which header, which claims and which lifetime each kind of token has, exactly."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum


class KeyPurpose(StrEnum):
    """What a key may sign; a key enrolled for one purpose never verifies another kind of token."""

    CLIENT_ASSERTION = "client_assertion"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a purpose, not a secret
    PROOF = "proof"


LONGEST_LIFETIME = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of token.

    ``header`` is the exact set of header members and ``types`` the accepted spellings of ``typ``; ``required`` claims
    must be there, ``optional`` ones may, any other is refused. A proof of possession names its key itself (``jwk``
    instead of ``kid``) and has no ``exp``: its ``lifetime`` counts from ``iat``.
    """

    purpose: KeyPurpose
    types: frozenset[str]
    header: frozenset[str]
    required: frozenset[str]
    optional: frozenset[str]
    lifetime: timedelta


# RFC 7523 leaves typ open ("JWT" is what libraries write); its successor registers client-authentication+jwt.
CLIENT_ASSERTION = Profile(
    purpose=KeyPurpose.CLIENT_ASSERTION,
    types=frozenset({"JWT", "client-authentication+jwt"}),
    header=frozenset({"alg", "typ", "kid"}),
    required=frozenset({"iss", "sub", "aud", "iat", "exp", "jti"}),
    optional=frozenset({"nbf"}),
    lifetime=LONGEST_LIFETIME,
)

# RFC 9068, with the confirmation of RFC 9449.
ACCESS_TOKEN = Profile(
    purpose=KeyPurpose.ACCESS_TOKEN,
    types=frozenset({"at+jwt"}),
    header=frozenset({"alg", "typ", "kid"}),
    required=frozenset({"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "cnf"}),
    optional=frozenset({"nbf"}),
    lifetime=LONGEST_LIFETIME,
)

# RFC 9449. A proof is made for one call: a minute is for the way and the clocks, not for keeping it.
PROOF_OF_READING = Profile(
    purpose=KeyPurpose.PROOF,
    types=frozenset({"dpop+jwt"}),
    header=frozenset({"alg", "typ", "jwk"}),
    required=frozenset({"htm", "htu", "iat", "jti", "ath"}),
    optional=frozenset(),
    lifetime=timedelta(seconds=60),
)

# What a reading asks for may stand in its query, which RFC 9449 leaves out of htu: a claim of one's own covers it.
PROOF_OF_READING_WITH_QUERY = replace(PROOF_OF_READING, required=PROOF_OF_READING.required | {"qsh"})

# A call that changes something is bound to its body too: RFC 9449 leaves that to a claim of one's own.
PROOF_OF_CHANGE = replace(PROOF_OF_READING, required=PROOF_OF_READING.required | {"bsh"})
