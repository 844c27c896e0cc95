"""Access tokens: what the hub issues it accepts, and nothing else, not even from its own key or another token."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bad_access import BAD
from joserfc import jwk, jws
from token_forge import ACCESS_CLAIMS, ACCESS_HEADER, CLIENT, DAY, GOOD, HUB, ISSUER, JKT, NOW, T, key_of

from service.security import keyring, tokens
from service.security.keyring import SigningKey
from service.security.refusal import Reason, TokenRefused
from service.security.scopes import Scope


def check(token: str) -> tokens.AccessClaims:
    return tokens.verify_access_token(token, key_of=key_of, issuer=ISSUER, audience=ISSUER, now=NOW)


def issue(signing: SigningKey = HUB, **changes: Any) -> tuple[str, datetime, str]:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": ISSUER,
        "client_id": CLIENT,
        "subject": CLIENT,
        "scopes": {Scope.REQUESTS_WRITE, Scope.REQUESTS_READ},
        "jkt": JKT,
        "now": NOW,
        "lifetime": timedelta(seconds=300),
    }
    return tokens.issue_access_token(signing, **(values | changes))


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
    assert read.headers() == ACCESS_HEADER
    assert read.payload is not None
    assert json.loads(read.payload) | {"jti": "a-1"} == ACCESS_CLAIMS


def test_no_two_issued_tokens_share_their_jti() -> None:
    assert len({issue()[2] for _ in range(100)}) == 100


def test_an_issued_token_is_no_client_assertion() -> None:
    with pytest.raises(TokenRefused) as refusal:
        tokens.verify_client_assertion(issue()[0], key_of=lambda _issuer, _kid: GOOD, audience=ISSUER, now=NOW)
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
