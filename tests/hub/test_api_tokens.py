"""Who may come in: assertions and access tokens at the real door, on both databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import sqlalchemy as sa
import world as worlds
from apis import ASSERTION, Api, System, grown
from builders import table
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from service import clock
from service.models import Client, Participant, PublicKey
from service.security import tokens
from service.security.keyring import SigningKey
from service.security.scopes import Scope

pytest_plugins = ["api_fixtures"]

# What a refused token leaves behind: one fact on this node's chain.
ONE_FACT = {"audit_entries": 1}
LIST = "/v1/requests"


async def test_an_assertion_buys_one_token_and_is_then_spent(api: Api) -> None:
    assertion = await api.assertion(api.police)
    answer = await api.ask(assertion)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["token_type"] == "DPoP" and 0 < answer.json()["expires_in"] <= 300
    assert set(answer.json()["scope"].split()) >= {
        "requests:write",
        "requests:approve",
        "requests:read",
        "escalations:read",
    }
    again = await api.ask(assertion)
    assert (again.status_code, again.json()["code"]) == (401, "token.refused")
    assert [fact["data"] for fact in await api.facts("token.refused")] == [
        '{"client_id":"pc02-system","reason":"jti.spent"}'
    ]


async def test_a_bad_assertion_gets_one_and_the_same_answer_and_leaves_one_fact(api: Api) -> None:
    now = int(clock.utc_now().timestamp())
    stranger = System("pc02-system")
    unknown = System("nobody")
    bad = {
        "claim.audience": await api.assertion(api.police, aud="https://other.example.vn"),
        "time.expired": await api.assertion(api.police, iat=now - 400, exp=now - 100),
        "time.issued_in_future": await api.assertion(api.police, iat=now + 90, exp=now + 120),
        "time.lifetime": await api.assertion(api.police, exp=now + 3600),
        "claim.unexpected": await api.assertion(api.police, role="hub_admin"),
        "claim.subject": await api.assertion(api.police, sub="vcb-system"),
        "header.typ": await api.assertion(api.police, {"typ": "at+jwt"}),
        "signature.invalid": await api.assertion(stranger, {"kid": api.police.kid}),
        "key.unknown": await api.assertion(unknown),
        "form.segments": "not.a.token.at.all",
    }
    answers = []
    for reason, assertion in bad.items():
        before, told = await api.counts(), len(await api.facts("token.refused"))
        answer = await api.ask(assertion)
        answers.append((answer.status_code, answer.content))
        facts = await api.facts("token.refused")
        assert facts[told:] and facts[-1]["data"] == f'{{"reason":"{reason}"}}', reason
        left = grown(before, await api.counts())
        assert left in (ONE_FACT, {**ONE_FACT, "audit_heads": 1}), (reason, left)
    assert len(set(answers)) == 1 and answers[0][0] == 401
    assert b"audience" not in answers[0][1]


async def test_another_systems_key_makes_nobody_else(api: Api) -> None:
    assertion = await api.assertion(api.bank, iss="pc02-system", sub="pc02-system")
    answer = await api.ask(assertion)
    assert answer.status_code == 401


async def test_a_form_that_is_no_token_request_is_a_400_and_writes_nothing(api: Api) -> None:
    good = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": await api.assertion(api.police),
    }
    bodies: dict[str, tuple[Any, int]] = {
        "oauth.unsupported_grant_type": ({**good, "grant_type": "password"}, 400),
        "oauth.invalid_request": ({name: value for name, value in good.items() if name != "client_assertion"}, 400),
        "form.duplicate_parameter": ("grant_type=client_credentials&grant_type=client_credentials", 400),
        "form.malformed": ("grant_type=%00", 400),
        "body.too_large": ("client_assertion=" + "a" * 9_000, 413),
    }
    before = await api.counts()
    for code, (body, status) in bodies.items():
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        content = str(httpx.QueryParams(body)) if isinstance(body, dict) else body
        answer = await api.http.post("/oauth/token", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = await api.http.post("/oauth/token", json=good)
    assert (answer.status_code, answer.json()["code"]) == (415, "body.content_type")
    assert grown(before, await api.counts()) == {}
    assert (await api.http.post("/oauth/token", data=good)).status_code == 200


async def test_no_token_is_a_401_with_a_challenge_and_no_fact(api: Api) -> None:
    before = await api.counts()
    for headers in ({}, {"Authorization": ""}, {"Authorization": "DPoP"}, {"Authorization": "Bearer "}):
        answer = await api.http.get(LIST, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'DPoP realm="hoatoc", algs="ES256"')
        assert answer.headers["content-type"] == "application/problem+json"
    assert grown(before, await api.counts()) == {}


async def test_a_token_of_another_scheme_is_refused_with_one_fact(api: Api) -> None:
    good = api.police.token
    refused = (
        [("Authorization", f"Bearer {good}")],
        [("Authorization", "Basic cGMwMjp4")],
        [("Authorization", good), ("Authorization", "")],
        [("Authorization", f"DPoP {good}"), ("Authorization", f"DPoP {good}")],
    )
    for headers in refused:
        told = len(await api.facts("token.refused"))
        answer = await api.http.get(LIST, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token.refused"), headers
        facts = (await api.facts("token.refused"))[told:]
        assert [fact["data"] for fact in facts] == ['{"reason":"form.scheme"}']


async def test_an_assertion_may_have_an_identifier_of_any_allowed_length(api: Api) -> None:
    jti = "j" * 200
    assert (await api.ask(await api.assertion(api.police, jti=jti))).status_code == 200
    assert (await api.ask(await api.assertion(api.police, jti=jti))).status_code == 401
    assert (await api.ask(await api.assertion(api.police, jti="j" * 199))).status_code == 200


async def test_a_token_of_another_issuer_or_key_or_kind_is_refused_with_one_fact(api: Api) -> None:
    hub, now = api.hub, clock.utc_now()
    address = hub.settings.address
    stranger = SigningKey.generate(not_before=now - timedelta(days=1), not_after=now + timedelta(days=1))

    def made(key: SigningKey, issuer: str = address, audience: str = address) -> str:
        token, _, _ = tokens.issue_access_token(
            key,
            issuer=issuer,
            audience=audience,
            client_id="pc02-system",
            subject="pc02-system",
            scopes=[Scope.REQUESTS_READ],
            jkt=api.police.kid,
            now=now,
            lifetime=timedelta(minutes=5),
        )
        return token

    assert (await api.http.get(LIST, headers=with_token(made(hub.signing[0])))).status_code == 200
    head, _, signature = api.police.token.rpartition(".")
    bad = {
        "key.unknown": made(stranger),
        "claim.issuer": made(hub.signing[0], issuer="https://other.example.vn"),
        "claim.audience": made(hub.signing[0], audience="https://other.example.vn"),
        "signature.invalid": f"{head}.{signature[:-4]}AAAA",
        "header.typ": await api.assertion(api.police),
    }
    for reason, token in bad.items():
        told = len(await api.facts("token.refused"))
        answer = await api.http.get(LIST, headers=with_token(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "token.refused"), reason
        facts = (await api.facts("token.refused"))[told:]
        assert [fact["data"] for fact in facts] == [f'{{"reason":"{reason}"}}']


async def test_an_access_token_ends_after_five_minutes(api: Api, fast_forward: Callable[..., Awaitable[None]]) -> None:
    assert (await api.get(LIST, api.police)).status_code == 200
    await fast_forward(seconds=311)
    assert (await api.get(LIST, api.police)).status_code == 401
    await api.sign_on(api.police)
    assert (await api.get(LIST, api.police)).status_code == 200


async def test_what_is_suspended_or_revoked_loses_access_at_once_and_gets_it_back(api: Api) -> None:
    stops = (
        (Client, Client.id == "pc02-system", {"active": False}, {"active": True}),
        (Participant, Participant.id == worlds.AGENCY, {"status": "suspended"}, {"status": "active"}),
        (PublicKey, PublicKey.kid == api.police.kid, {"revoked_at": clock.utc_now()}, {"revoked_at": None}),
    )
    for model, where, stop, start in stops:
        await change(api, model, where, stop)
        assert (await api.get(LIST, api.police)).status_code == 401, model
        told = len(await api.facts("token.refused"))
        assert (await api.ask(await api.assertion(api.police))).status_code == 401, model
        assert len(await api.facts("token.refused")) == told + 1, model
        await change(api, model, where, start)
        assert (await api.get(LIST, api.police)).status_code == 200, model


async def test_a_role_that_is_withdrawn_counts_at_once(api: Api) -> None:
    await change(api, Client, Client.id == "pc02-system", {"roles": ["reader"]})
    assert (await api.get(LIST, api.police)).status_code == 200
    refused = await api.file(worlds.freeze())
    assert (refused.status_code, refused.json()["code"]) == (403, "scope.missing")


async def test_a_key_serves_until_its_end(api: Api, fast_forward: Callable[..., Awaitable[None]]) -> None:
    await fast_forward(hours=23)
    assert (await api.ask(await api.assertion(api.police))).status_code == 200
    await fast_forward(hours=2)
    assert (await api.ask(await api.assertion(api.police))).status_code == 401


async def test_anybody_can_check_a_token_with_the_published_keys(api: Api) -> None:
    metadata = (await api.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == api.hub.settings.address
    published = (await api.http.get(metadata["jwks_uri"])).json()
    assert len(published["keys"]) == 2 and all("d" not in key for key in published["keys"])
    read = jwt.decode(api.police.token, KeySet.import_key_set(published), algorithms=["ES256"])
    assert read.header["typ"] == "at+jwt"
    assert read.claims["cnf"] == {"jkt": ECKey.import_key(api.police.key.as_dict(private=False)).thumbprint()}


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"DPoP {token}"}


async def change(api: Api, model: Any, where: Any, values: dict[str, Any]) -> None:
    await api.hub.database.write(lambda conn: conn.execute(sa.update(table(model)).where(where).values(**values)))
