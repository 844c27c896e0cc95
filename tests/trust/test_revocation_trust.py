"""T-REVOKE (P10): what is suspended or revoked is refused on all nodes at once; a planned rotation refuses nobody."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import token_forge as forge
import trust_sizes
import world as worlds
from apis import Api, System
from joserfc.jwk import ECKey
from nodes_trust import Nodes, Wired
from sqlalchemy.ext.asyncio import AsyncEngine

from service.security import keyring, signing_keys, tokens
from service.security.keyring import SigningKey
from service.security.refusal import TokenRefused
from service.security.scopes import Scope
from workflows.terms import Role

Record = Callable[..., None]
FastForward = Callable[..., Awaitable[None]]
# All nodes know within ten seconds; what is read from the database at each call is known at once.
WITHIN = 10
ALMOST = timedelta(seconds=250)


@dataclass(frozen=True)
class Stop:
    """One switch: how it is thrown and thrown back, the call that it must stop, and what the caller is told."""

    name: str
    path: str
    body: dict[str, Any]
    call: Callable[[Nodes], Awaitable[Wired]]
    told: tuple[int, str]


async def _read(nodes: Nodes) -> Wired:
    return nodes.call("GET", "/v1/requests", nodes.api.police)


async def _pull(nodes: Nodes) -> Wired:
    return nodes.call("GET", "/v1/orders", nodes.api.bank)


async def _file(nodes: Nodes) -> Wired:
    return await _posted(nodes, "/v1/requests", worlds.freeze())


async def _approve(nodes: Nodes) -> Wired:
    filed = await nodes.api.file(worlds.freeze())
    assert filed.status_code == 201, filed.text
    return await _posted(nodes, f"{filed.headers['location']}/approvals", {"officer_id": "approver"})


async def _posted(nodes: Nodes, path: str, body: dict[str, Any]) -> Wired:
    body, headers = await nodes.api.signed(path, nodes.api.police, body)
    return nodes.call("POST", path, nodes.api.police, body, **headers, **{"Idempotency-Key": uuid4().hex})


UNKNOWN, INACTIVE = (401, "token.refused"), (403, "authority.officer_inactive")
AGENCY, BANK = f"/v1/participants/{worlds.AGENCY}", "/v1/participants/vietcombank"
STOPS = (
    Stop("agency", AGENCY, {"kind": "participant", "id": worlds.AGENCY}, _read, UNKNOWN),
    Stop("agency's filing", AGENCY, {"kind": "participant", "id": worlds.AGENCY}, _file, UNKNOWN),
    Stop("bank", BANK, {"kind": "participant", "id": "vietcombank"}, _pull, UNKNOWN),
    Stop("client", AGENCY, {"kind": "client", "id": "pc02-system"}, _read, UNKNOWN),
    Stop("bank's client", BANK, {"kind": "client", "id": "vcb-system"}, _pull, UNKNOWN),
    Stop("officer who files", AGENCY, {"kind": "officer", "id": "maker"}, _file, INACTIVE),
    Stop(
        "second officer", AGENCY, {"kind": "officer", "id": "approver"}, _approve, (403, "authority.officer_inactive")
    ),
)


async def test_what_is_suspended_is_refused_on_both_nodes_at_once_and_let_in_again(
    nodes: Nodes, fast_forward: FastForward, record_property: Record
) -> None:
    api, draw = nodes.api, random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=70, full=500)
    wrong: list[str] = []
    checks = 0
    while checks < wanted:
        for stop in STOPS:
            for system in (api.admin, api.police, api.bank):
                await api.sign_on(system)
            for door in nodes.doors:
                before = await nodes.send(await stop.call(nodes), door)
                assert before.status_code in (200, 201), (stop.name, before.text)
            waiting = [await stop.call(nodes) for _ in range(4)]
            # Thrown on one node, it counts on the other as well.
            thrown = nodes.call("POST", f"{stop.path}/suspensions", api.admin, stop.body)
            assert (await nodes.send(thrown, draw.choice(nodes.doors))).status_code == 200
            for wired, door, seconds in zip(waiting, nodes.doors * 2, (0, 0, WITHIN, 0), strict=True):
                await fast_forward(seconds=seconds)
                answer = await nodes.send(wired, door)
                checks += 1
                if (answer.status_code, answer.json()["code"]) != stop.told:
                    wrong.append(f"{stop.name}: {answer.status_code} {answer.json()}")
            back = nodes.call("POST", f"{stop.path}/resumptions", api.admin, stop.body)
            assert (await nodes.send(back)).status_code == 200
    record_property(
        *trust_sizes.figure(
            "P10",
            "T-REVOKE: suspended",
            n=checks,
            violations=len(wrong),
            switches=len(STOPS),
            database=api.hub.database.dialect,
        )
    )
    assert wrong == []


async def test_a_revoked_key_ends_its_tokens_its_assertions_and_its_signatures_on_both_nodes(
    nodes: Nodes, record_property: Record
) -> None:
    api = nodes.api
    wrong: list[str] = []
    checks = 0

    def check(name: str, answer: httpx.Response, told: tuple[int, str]) -> None:
        nonlocal checks
        checks += 1
        if (answer.status_code, answer.json().get("code")) != told:
            wrong.append(f"{name}: {answer.status_code} {answer.text}")

    async def revoke(kid: str, door: httpx.AsyncClient) -> None:
        call = nodes.call("POST", f"{AGENCY}/revocations", api.admin, {"kid": kid})
        assert (await nodes.send(call, door)).status_code == 204

    for number in range(trust_sizes.size(gate=10, full=60)):
        system = await api.enroll(System(f"system-{number}"), worlds.AGENCY, Role.READER)
        calls = [nodes.call("GET", "/v1/requests", system) for _ in range(2)]
        assertion = await api.assertion(system)
        await revoke(system.kid, nodes.doors[number % 2])
        for wired, door in zip(calls, nodes.doors, strict=True):
            check("token", await nodes.send(wired, door), UNKNOWN)
        check("assertion", await api.ask(assertion), UNKNOWN)
        # A revoked key never comes back.
        again = {"id": system.id, "roles": ["reader"], "key": system.key.as_dict(private=False)}
        check("enrolled", await api.post(f"{AGENCY}/clients", api.admin, again), (409, "key.taken"))

        signed = [await _file(nodes) for _ in range(2)]
        await revoke(api.world.keys["maker"].thumbprint(), nodes.doors[number % 2])
        for wired, door in zip(signed, nodes.doors, strict=True):
            check("signature", await nodes.send(wired, door), (403, "signature.key_revoked"))
        await api.world.give_key("maker")
        assert (await nodes.send(await _file(nodes))).status_code == 201
    record_property(
        *trust_sizes.figure(
            "P10", "T-REVOKE: revoked", n=checks, violations=len(wrong), database=api.hub.database.dialect
        )
    )
    assert wrong == []


async def test_a_planned_rotation_of_a_systems_key_refuses_no_call(
    nodes: Nodes, fast_forward: FastForward, record_property: Record
) -> None:
    api, draw = nodes.api, random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=300, full=3_000)
    refused: list[str] = []
    calls = rotations = 0
    old = api.police

    async def use(systems: list[System]) -> None:
        nonlocal calls
        for system in systems:
            for door in nodes.doors:
                calls += 2
                changing = nodes.call("POST", f"/v1/requests/{uuid4()}/withdrawals", system, {"officer_id": "maker"})
                answers = [await nodes.send(nodes.call("GET", "/v1/requests", system), door)]
                answers.append(await nodes.send(changing, door))
                refused.extend(answer.text for answer in answers if answer.status_code not in (200, 404))

    while calls < wanted:
        rotations += 1
        await api.sign_on(api.admin)
        new = System(old.id, key=ECKey.generate_key("P-256"))
        await api.sign_on(old)
        await use([old])
        enrolled = {"id": new.id, "roles": ["maker", "approver"], "key": new.key.as_dict(private=False)}
        assert (await api.post(f"{AGENCY}/clients", api.admin, enrolled)).status_code == 201
        # The overlap: both keys get tokens, and both tokens are good, in whatever order the system's parts change over.
        for system in draw.sample([old, new], 2):
            await api.sign_on(system)
        await use([old, new])
        await fast_forward(seconds=draw.randrange(1, 200))
        await use([new, old])
        await api.sign_on(new)
        await api.sign_on(api.admin)
        # The end: the old key goes, and what the new one got goes on.
        assert (await api.post(f"{AGENCY}/revocations", api.admin, {"kid": old.kid})).status_code == 204
        await use([new])
        old = new
    record_property(
        *trust_sizes.figure(
            "P10",
            "T-REVOKE: a system's key rotated",
            n=calls,
            violations=len(refused),
            rotations=rotations,
            database=api.hub.database.dialect,
        )
    )
    assert refused == []


def test_rotating_the_hubs_token_keys_refuses_no_token_on_any_node_for_years(
    tmp_path: Path, record_property: Record
) -> None:
    draw = random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=1_000, full=10_000)
    issuer, now = forge.ISSUER, forge.NOW
    nodes = [signing_keys.load(tmp_path, now) for _ in range(3)]
    started = [now] * len(nodes)
    refused: list[str] = []
    kids: set[str] = set()
    checked = 0

    def taken(keys: tuple[SigningKey, ...], token: str, at: Any) -> None:
        published = {key.kid: key for key in keys}
        tokens.verify_access_token(
            token,
            key_of=lambda _, kid: published[kid].verification_key(issuer) if kid in published else None,
            issuer=issuer,
            audience=issuer,
            now=at,
        )

    while checked < wanted:
        # The hard moment: a token of the old key's last minutes, and a node that is started in them.
        later, moves = now + timedelta(hours=draw.randrange(1, 60)), nodes[0][0].not_after - signing_keys.TOKENS.overlap
        now = moves - timedelta(seconds=draw.randrange(1, 250)) if now < moves - ALMOST < later else later
        # Each node is started again now and then, and all of them within any two months.
        for place in range(len(nodes)):
            if draw.random() < 0.1 or now - started[place] > timedelta(days=50):
                nodes[place], started[place] = signing_keys.load(tmp_path, now), now
        signing = keyring.current(draw.choice(nodes), now)
        kids.add(signing.kid)
        token, _, _ = tokens.issue_access_token(
            signing,
            issuer=issuer,
            audience=issuer,
            client_id=forge.CLIENT,
            subject=forge.CLIENT,
            scopes=[Scope.REQUESTS_READ],
            jkt=forge.JKT,
            now=now,
            lifetime=timedelta(seconds=300),
        )
        for keys in nodes:
            # A node may be started between the issue and the last second of the token.
            at = now + timedelta(seconds=draw.randrange(0, 300))
            checked += 1
            try:
                taken(draw.choice([keys, signing_keys.load(tmp_path, at)]), token, at)
            except TokenRefused as refusal:
                refused.append(f"{now}: {refusal.reason}")
    record_property(
        *trust_sizes.figure(
            "P10", "T-REVOKE: the hub's token keys rotated", n=checked, violations=len(refused), keys=len(kids)
        )
    )
    assert refused == []
    assert len(kids) >= 3


async def test_nodes_before_and_after_a_move_of_the_token_keys_take_each_others_tokens(nodes: Nodes) -> None:
    api = nodes.api
    current, following = api.hub.signing
    fresh = SigningKey.generate(not_before=following.not_before, not_after=following.not_after)
    # Node C has moved the next key up and made another one; A and B have been running since before.
    door = await nodes.start("node-c", signing=(following, fresh, current))
    for asked in nodes.doors:
        answer = await asked.post("/oauth/token", data=await _form(api), auth=None)
        assert answer.status_code == 200, answer.text
        api.police.token = answer.json()["access_token"]
        for used in nodes.doors:
            assert (await nodes.send(nodes.call("GET", "/v1/requests", api.police), used)).status_code == 200
    assert {key["kid"] for key in (await door.get("/oauth/jwks")).json()["keys"]} == {
        following.kid,
        fresh.kid,
        current.kid,
    }


async def test_a_node_that_cannot_read_who_is_suspended_opens_to_nobody(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = nodes.api
    calls = [nodes.call("GET", "/v1/requests", api.police), await _file(nodes)]
    before = await nodes.effects()

    def gone(self: AsyncEngine) -> Any:
        raise ConnectionResetError("the database has gone")

    with monkeypatch.context() as broken:
        broken.setattr(AsyncEngine, "connect", gone)
        for wired in calls:
            for door in nodes.doors:
                assert (await nodes.send(wired, door)).status_code == 503
    assert await nodes.effects() == before
    assert [(await nodes.send(wired)).status_code for wired in calls] == [200, 201]


async def _form(api: Api) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": await api.assertion(api.police),
    }
