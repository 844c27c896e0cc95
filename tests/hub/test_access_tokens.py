"""Access tokens: what the hub issues it accepts, and nothing else, not even from its own key or another token."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwk, jws
from token_forge import (
    CLIENT,
    DAY,
    DROP,
    GOOD,
    HUB,
    ISSUER,
    JKT,
    KEY,
    NOW,
    OTHER_KEY,
    T,
    assertion,
    changed,
    encoded,
    es256,
    key_of,
    sealed,
)

from service.security import keyring, tokens
from service.security.keyring import SigningKey
from service.security.refusal import Reason, TokenRefused
from service.security.scopes import Scope

API = "https://hub.example.vn/v1"
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": HUB.kid}
CLAIMS = {
    "iss": ISSUER,
    "sub": CLIENT,
    "aud": API,
    "client_id": CLIENT,
    "scope": "requests:read requests:write",
    "iat": T,
    "exp": T + 300,
    "jti": "a-1",
    "cnf": {"jkt": JKT},
}


def access(header: dict[str, Any] | None = None, key: Any = HUB.private, **claims: Any) -> str:
    parts = encoded(changed(HEADER, header or {})), encoded(changed(CLAIMS, claims))
    return sealed(*parts, lambda message: es256(message, key))


def check(token: str) -> tokens.AccessClaims:
    return tokens.verify_access_token(token, key_of=key_of, issuer=ISSUER, audience=API, now=NOW)


def issue(signing: SigningKey = HUB, **changes: Any) -> tuple[str, datetime, str]:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": API,
        "client_id": CLIENT,
        "subject": CLIENT,
        "scopes": {Scope.REQUESTS_WRITE, Scope.REQUESTS_READ},
        "jkt": JKT,
        "now": NOW,
        "lifetime": timedelta(seconds=300),
    }
    return tokens.issue_access_token(signing, **(values | changes))


BAD = {
    "a client assertion": (assertion(), Reason.TYPE),
    "typ JWT": (access({"typ": "JWT"}), Reason.TYPE),
    "the long name of the type": (access({"typ": "application/at+jwt"}), Reason.TYPE),
    "header jwk": (access({"jwk": jwk.ECKey.import_key(OTHER_KEY).as_dict(private=False)}), Reason.HEADER_MEMBERS),
    "alg none": (access({"alg": "none"}), Reason.ALGORITHM),
    "another issuer": (access(iss="https://evil.example"), Reason.ISSUER),
    "a client as issuer": (access({"kid": "k1"}, KEY, iss=CLIENT), Reason.ISSUER),
    "issuer as a list": (access(iss=[ISSUER]), Reason.ISSUER),
    "unknown kid": (access({"kid": "gone"}), Reason.KEY_UNKNOWN),
    "signed with a client's key": (access({"kid": "client"}, KEY), Reason.KEY_PURPOSE),
    "signed by a stranger": (access(key=OTHER_KEY), Reason.SIGNATURE),
    **{f"no {name}": (access(**{name: DROP}), Reason.CLAIM_MISSING) for name in CLAIMS},
    "unexpected claim": (access(roles=["hub_admin"]), Reason.CLAIM_UNEXPECTED),
    "the token endpoint's audience": (access(aud=ISSUER), Reason.AUDIENCE),
    "audience as a list": (access(aud=[API]), Reason.AUDIENCE),
    "client_id as a number": (access(client_id=1), Reason.CLAIM_TYPE),
    "sub null": (access(sub=None), Reason.CLAIM_TYPE),
    "jti with a space": (access(jti="a b"), Reason.CLAIM_TYPE),
    "scope as a list": (access(scope=["requests:read"]), Reason.CLAIM_TYPE),
    "scope empty": (access(scope=""), Reason.SCOPE),
    "scope unknown": (access(scope="requests:read root"), Reason.SCOPE),
    "scope twice": (access(scope="requests:read requests:read"), Reason.SCOPE),
    "scope with two spaces": (access(scope="requests:read  requests:write"), Reason.SCOPE),
    "cnf null": (access(cnf=None), Reason.CONFIRMATION),
    "cnf of a certificate": (access(cnf={"x5t#S256": JKT}), Reason.CONFIRMATION),
    "cnf with two": (access(cnf={"jkt": JKT, "kid": "x"}), Reason.CONFIRMATION),
    "jkt too short": (access(cnf={"jkt": JKT[:-1]}), Reason.CONFIRMATION),
    "jkt as a number": (access(cnf={"jkt": 1}), Reason.CONFIRMATION),
    "lives 301 s": (access(exp=T + 301), Reason.LIFETIME),
    "expired": (access(iat=T - 200, exp=T - 10), Reason.EXPIRED),
    "from the future": (access(iat=T + 11), Reason.ISSUED_IN_FUTURE),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_access_token_is_refused_with_its_reason(name: str) -> None:
    token, reason = BAD[name]
    with pytest.raises(TokenRefused) as refusal:
        check(token)
    assert refusal.value.reason is reason


def test_what_the_hub_issues_it_accepts_and_reads_back_whole() -> None:
    token, expires_at, jti = issue()
    said = check(token)
    assert said == tokens.AccessClaims(
        client_id=CLIENT,
        subject=CLIENT,
        scopes=frozenset({Scope.REQUESTS_READ, Scope.REQUESTS_WRITE}),
        jkt=JKT,
        kid=HUB.kid,
        jti=jti,
        issued_at=datetime.fromtimestamp(T, UTC),
        expires_at=expires_at,
    )
    assert expires_at == datetime.fromtimestamp(T + 300, UTC)


def test_an_issued_token_has_exactly_the_profile_and_another_library_reads_it_with_the_published_keys() -> None:
    following = SigningKey.generate(not_before=NOW, not_after=NOW + DAY)
    published = jwk.KeySet.import_key_set(keyring.jwks([HUB, following]))  # type: ignore[arg-type]
    read = jws.deserialize_compact(issue()[0], published, algorithms=["ES256"])
    assert read.headers() == HEADER
    assert read.payload is not None
    assert json.loads(read.payload) | {"jti": "a-1"} == CLAIMS


def test_no_two_issued_tokens_share_their_jti() -> None:
    assert len({issue()[2] for _ in range(100)}) == 100


def test_an_issued_token_is_no_client_assertion() -> None:
    with pytest.raises(TokenRefused) as refusal:
        tokens.verify_client_assertion(issue()[0], key_of=lambda _issuer, _kid: GOOD, audience=API, now=NOW)
    assert refusal.value.reason is Reason.TYPE


@pytest.mark.parametrize(
    "changes",
    [
        {"lifetime": timedelta(seconds=301)},
        {"lifetime": timedelta(0)},
        {"lifetime": timedelta(seconds=-5)},
        {"scopes": ()},
        {"jkt": "short"},
        {"jkt": JKT + "\n"},
        {"signing": SigningKey.generate(not_before=NOW + timedelta(seconds=1), not_after=NOW + DAY)},
        {"signing": SigningKey.generate(not_before=NOW - DAY, not_after=NOW + timedelta(seconds=299))},
        {"audience": "https://" + "x" * 4096},
    ],
)
def test_the_hub_refuses_to_issue_a_token_it_would_not_accept(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"token|key|thumbprint"):
        issue(**changes)
