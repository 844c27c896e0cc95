"""Proofs at the real door: one for each call, spent with its effect, and of no use to whoever captured it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
import world as worlds
from apis import Api, System, hashed, prove
from builders import table
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Contact, Endpoint, SpentIdentifier
from service.web.doors import Caller

pytest_plugins = ["api_fixtures"]

CONTACTS = f"/v1/participants/{worlds.AGENCY}/contacts"
CONTACT = {"name": "Trực ban mẫu", "reached_by": {"channel": "email", "address": "truc@example.vn"}}
Refused = Callable[[httpx.Response, str], Any]


def built(api: Api, method: str, path: str, who: System, body: Any = None, **claims: Any) -> httpx.Request:
    """A call with its proof, not yet sent; sent twice it is a replay."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = {**who.headers, "Content-Type": "application/json"} if content else who.headers
    made = api.http.build_request(method, path, content=content or None, headers=headers)
    made.headers["DPoP"] = prove(who.key, made, who.token, **claims)
    return made


@pytest.fixture
async def refused(api: Api) -> AsyncIterator[Refused]:
    """Check that an answer is the one generic refusal and that one fact says why."""
    told = len(await api.facts("token.refused"))

    async def check(answer: httpx.Response, reason: str) -> None:
        nonlocal told
        assert (answer.status_code, answer.json()["code"]) == (401, "token.refused"), answer.text
        assert answer.headers["www-authenticate"] == 'DPoP realm="hoatoc", algs="ES256"'
        facts = (await api.facts("token.refused"))[told:]
        told += 1
        assert [json.loads(fact["data"]) for fact in facts] == [{"reason": reason, "client_id": facts_client(answer)}]

    def facts_client(answer: httpx.Response) -> str:
        token = answer.request.headers["Authorization"].removeprefix("DPoP ")
        return next(each.id for each in (api.police, api.admin, api.bank, api.coordinator) if each.token == token)

    yield check


async def gone(_: AsyncConnection) -> None:
    """A commit that does not come through."""
    raise ConnectionResetError("the database has gone")


async def rows(api: Api, model: Any) -> int:
    async with api.hub.database.read() as conn:
        found: int = (await conn.execute(sa.select(sa.func.count()).select_from(table(model)))).scalar_one()
        return found


async def test_a_token_without_a_proof_opens_nothing_not_even_a_reading(api: Api, refused: Refused) -> None:
    before = await rows(api, Contact)
    for method, path in (("GET", "/v1/requests"), ("GET", f"/v1/requests/{uuid4()}/timeline"), ("POST", CONTACTS)):
        call = built(api, method, path, api.admin, CONTACT if method == "POST" else None)
        del call.headers["DPoP"]
        await refused(await api.http.send(call, auth=None), "proof.missing")
    assert await rows(api, Contact) == before


async def test_two_proofs_are_none(api: Api, refused: Refused) -> None:
    call = built(api, "GET", "/v1/requests", api.police)
    call.headers = httpx.Headers([*call.headers.multi_items(), ("DPoP", call.headers["DPoP"])])
    await refused(await api.http.send(call, auth=None), "proof.repeated")


async def test_a_stolen_token_is_of_no_use_without_its_key(api: Api, refused: Refused) -> None:
    thief = System("thief", token=api.police.token)
    await refused(await api.http.send(built(api, "GET", "/v1/requests", thief), auth=None), "proof.binding")
    await refused(await api.http.send(built(api, "POST", CONTACTS, thief, CONTACT), auth=None), "proof.binding")
    another = System("pc02-system", key=api.bank.key, token=api.police.token)
    await refused(await api.http.send(built(api, "GET", "/v1/requests", another), auth=None), "proof.binding")


async def test_a_captured_change_has_its_effect_once(api: Api, refused: Refused) -> None:
    before = await rows(api, Contact)
    call = built(api, "POST", CONTACTS, api.admin, CONTACT)
    assert (await api.http.send(call, auth=None)).status_code == 201
    for _ in range(3):
        await refused(await api.http.send(call, auth=None), "jti.spent")
    assert await rows(api, Contact) == before + 1
    # The same content under a fresh proof is another call.
    assert (await api.http.send(built(api, "POST", CONTACTS, api.admin, CONTACT), auth=None)).status_code == 201


async def test_a_call_that_comes_many_times_at_once_has_its_effect_once(api: Api) -> None:
    before = await rows(api, Contact)
    call = built(api, "POST", CONTACTS, api.admin, CONTACT)
    answers = await asyncio.gather(*(api.http.send(call, auth=None) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * 7
    assert await rows(api, Contact) == before + 1


async def test_a_repeated_submission_needs_a_fresh_proof_for_the_first_answer(api: Api, refused: Refused) -> None:
    body, key = worlds.freeze(), uuid4().hex
    first = await api.file(body, key)
    assert first.status_code == 201
    await refused(await api.http.send(first.request, auth=None), "jti.spent")
    again = await api.file(body, key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CONTACTS, CONTACT, 403),
        ("/v1/requests", {"nonsense": True}, 422),
        (f"/v1/requests/{uuid4()}/withdrawals", {"officer_id": "maker"}, 404),
        ("/v1/requests/no-uuid/withdrawals", {"officer_id": "maker"}, 422),
        ("/v1/requests", worlds.freeze(officer_id="junior"), 400),
    ],
    ids=["no scope", "no request", "unknown", "no id", "no idempotency key"],
)
async def test_a_call_that_is_refused_spends_its_proof_too(
    api: Api, refused: Refused, path: str, body: Any, status: int
) -> None:
    call = built(api, "POST", path, api.police, body)
    assert (await api.http.send(call, auth=None)).status_code == status
    await refused(await api.http.send(call, auth=None), "jti.spent")


async def test_a_change_that_changed_nothing_spends_its_proof_too(api: Api, refused: Refused) -> None:
    path, body = f"/v1/participants/{worlds.AGENCY}/suspensions", {"kind": "officer", "id": "junior"}
    for _ in range(2):
        call = built(api, "POST", path, api.admin, body)
        assert (await api.http.send(call, auth=None)).status_code == 200
        await refused(await api.http.send(call, auth=None), "jti.spent")


async def test_a_call_that_wrote_nothing_spends_its_proof_before_its_answer_leaves(
    api: Api, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    nothing = APIRouter()

    @nothing.post("/v1/nothing")
    async def do_nothing(_: Caller) -> str:
        return "done"

    api.app.include_router(nothing)
    call = built(api, "POST", "/v1/nothing", api.police, {})
    with monkeypatch.context() as broken:
        broken.setattr(AsyncConnection, "commit", gone)
        assert (await api.http.send(call, auth=None)).status_code == 503
    assert (await api.http.send(call, auth=None)).status_code == 200
    await refused(await api.http.send(call, auth=None), "jti.spent")


async def test_a_reading_may_be_repeated_while_its_proof_lasts(api: Api, fast_forward: Any, refused: Refused) -> None:
    call = built(api, "GET", "/v1/requests", api.police)
    before = await rows(api, SpentIdentifier)
    for _ in range(3):
        assert (await api.http.send(call, auth=None)).status_code == 200
    assert await rows(api, SpentIdentifier) == before
    await fast_forward(seconds=62)
    await refused(await api.http.send(call, auth=None), "time.too_old")


async def test_a_change_with_a_query_is_refused_and_a_reading_with_one_is_not(api: Api, refused: Refused) -> None:
    call = built(api, "POST", f"{CONTACTS}?dry=1", api.admin, CONTACT)
    await refused(await api.http.send(call, auth=None), "proof.query")
    assert (await api.http.send(built(api, "GET", "/v1/requests?limit=1", api.police), auth=None)).status_code == 200


async def test_the_body_is_bound_byte_for_byte(api: Api, refused: Refused) -> None:
    call = built(api, "POST", CONTACTS, api.admin, CONTACT, bsh=hashed(json.dumps(CONTACT, indent=1).encode()))
    await refused(await api.http.send(call, auth=None), "proof.body")


async def test_an_identifier_of_any_allowed_length_is_spent_once(api: Api, refused: Refused) -> None:
    for jti in ("j" * 200, "j" * 199):
        call = built(api, "POST", CONTACTS, api.admin, CONTACT, jti=jti)
        assert (await api.http.send(call, auth=None)).status_code == 201
        await refused(await api.http.send(call, auth=None), "jti.spent")


async def test_a_commit_that_fails_leaves_neither_the_effect_nor_a_spent_proof(
    api: Api, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    before, spent, commit = await rows(api, Contact), await rows(api, SpentIdentifier), AsyncConnection.commit

    call = built(api, "POST", CONTACTS, api.admin, CONTACT)
    monkeypatch.setattr(AsyncConnection, "commit", gone)
    assert (await api.http.send(call, auth=None)).status_code == 503
    monkeypatch.setattr(AsyncConnection, "commit", commit)
    assert (await rows(api, Contact), await rows(api, SpentIdentifier)) == (before, spent)
    # Nobody knew whether it was done: the same call is still good for one effect, and for no second one.
    assert (await api.http.send(call, auth=None)).status_code == 201
    await refused(await api.http.send(call, auth=None), "jti.spent")
    assert await rows(api, Contact) == before + 1


async def pulled(api: Api) -> None:
    """One order that the bank pulls."""
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == api.world.endpoints["vietcombank"]).values(channel="pull")
    await api.hub.writer.run(lambda conn: conn.execute(pulls))
    await api.active(worlds.freeze())


async def test_a_captured_poll_with_another_cursor_confirms_nothing(api: Api, refused: Refused) -> None:
    await pulled(api)
    for asked in ("/v1/orders?after=0", "/v1/orders"):
        call = built(api, "GET", asked, api.bank)
        answer = await api.http.send(call, auth=None)
        assert len(answer.json()["items"]) == 1
        forged = api.http.build_request("GET", f"/v1/orders?after={answer.json()['next']}", headers=call.headers)
        await refused(await api.http.send(forged, auth=None), "proof.query" if "?" in asked else "claim.missing")
        assert await api.facts("dispatch.pulled") == []
    # Nobody took the order from the bank.
    assert len((await api.get("/v1/orders?after=0", api.bank)).json()["items"]) == 1


async def test_a_reading_that_confirms_what_was_pulled_spends_its_proof_with_the_confirmation(api: Api) -> None:
    await pulled(api)
    page = (await api.get("/v1/orders", api.bank)).json()
    assert len(page["items"]) == 1
    before = await rows(api, SpentIdentifier)
    call = built(api, "GET", f"/v1/orders?after={page['next']}", api.bank)
    assert (await api.http.send(call, auth=None)).status_code == 200
    assert await rows(api, SpentIdentifier) == before + 1
    assert len(await api.facts("dispatch.pulled")) == 1
    # Asked again it has nothing to confirm, and reads.
    assert (await api.http.send(call, auth=None)).status_code == 200
    assert await rows(api, SpentIdentifier) == before + 1
