"""The hub signs each order once, when it is placed; everybody finds the key, and nobody gets an unsigned order."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import builders
import pytest
import rfc8785
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System
from builders import keep_master, table, widened
from opening import opened
from rigs import Rig, refused
from world import World

from service import app as application
from service import db
from service.actions import changes, load_directory
from service.engine.hub import Hub
from service.models import ActionRequest, Dispatch, Endpoint, Order, Participant, PublicKey
from service.security import keyring, signatures
from service.security.keyring import KeyUnfit, SigningKey
from service.security.signatures import Kind
from service.settings import Settings
from workflows.terms import DispatchKind, Role

pytest_plugins = ["api_fixtures"]


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def messages(world: World, order_id: UUID) -> list[dict[str, Any]]:
    """What was written for the participant of an order, opened."""
    rows = await world.rows(Dispatch, order_id=order_id, kind=DispatchKind.ORDER)
    return [
        json.loads(await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]))
        for row in rows
    ]


def check(text: str, body: dict[str, Any], key: SigningKey = builders.ORDER_KEY) -> signatures.Unverified:
    unverified = signatures.read(text, Kind.ORDER)
    assert (unverified.about, unverified.kid) == (body["order_id"], key.kid)
    signatures.verify(unverified, rfc8785.dumps(body), key.private.public_key())
    return unverified


async def test_an_order_and_the_lift_that_the_hub_sends_itself_are_signed(
    world: World, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    order = await steps.held(world)
    await fast_forward(hours=73)
    await world.fire()
    told = await messages(world, order["id"])
    assert [each["body"]["action"] for each in told] == ["freeze", "lift"]
    signed = [check(each["signature"], each["body"]) for each in told]
    assert signed[0].signed_at == order["placed_at"].replace(microsecond=0)
    assert signed[0].jti != signed[1].jti
    with pytest.raises(signatures.SignatureRefused):
        signatures.verify(signed[0], rfc8785.dumps(told[1]["body"]), builders.ORDER_KEY.private.public_key())


async def test_every_attempt_carries_the_very_same_signature(world: World, rig: Rig) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    endpoint = world.endpoints["vietcombank"]
    rig.speaker.fail(endpoint, refused("http.503"))
    await rig.round()
    rig.speaker.heal(endpoint)
    due = sa.text("UPDATE dispatch_queue SET run_at = hub_now()")
    await world.hub.database.write(lambda conn: conn.execute(due))
    await rig.round()
    first, second = rig.speaker.to(endpoint)
    assert first.signature is not None and first.signature == second.signature
    check(first.signature, dict(first.body))
    assert first.subject == str(order["id"])


async def test_what_only_informs_is_not_signed(world: World) -> None:
    endpoint = {"tenant": worlds.AGENCY, "purpose": "status", "id": world.endpoints["sbv"]}
    first = sa.select(table(Endpoint)).where(table(Endpoint).c.tenant == "sbv")

    async def unit(conn: Any) -> None:
        row = (await conn.execute(first)).mappings().first()
        await builders.insert_endpoint(conn, {**row, **endpoint})

    await world.hub.writer.run(unit)
    await steps.held(world)
    [*statuses] = await world.rows(Dispatch, kind=DispatchKind.STATUS)
    assert statuses
    for row in statuses:
        sealed = await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        assert json.loads(sealed)["signature"] is None


async def test_without_a_key_in_force_nothing_is_placed(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    old = SigningKey.generate(not_before=builders.LONG_AGO, not_after=builders.LONG_AGO + timedelta(days=1))
    world.hub = replace(world.hub, order_keys=(old,))
    with pytest.raises(KeyUnfit):
        await world.approve(filed.id)
    [row] = await world.rows(ActionRequest, id=filed.id)
    assert row["state"] == "awaiting_approval"
    assert await world.rows(Order) == await world.rows(Dispatch) == []


async def test_of_two_keys_in_force_the_newer_one_signs_and_both_are_published(world: World) -> None:
    newer = SigningKey.generate(
        not_before=datetime.now(UTC) - timedelta(hours=1), not_after=builders.LONG_AGO.replace(year=2099)
    )
    world.hub = replace(world.hub, order_keys=(builders.ORDER_KEY, newer))
    order = await steps.held(world)
    [told] = await messages(world, order["id"])
    check(told["signature"], told["body"], newer)
    assert keyring.in_force(world.hub.order_keys, builders.LONG_AGO + timedelta(days=1)) is builders.ORDER_KEY


async def test_a_pulled_order_carries_the_signature_and_so_does_the_order_itself(api: Api) -> None:
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.tenant == "vietcombank", endpoints.c.purpose == "orders")
    await api.hub.database.write(lambda conn: conn.execute(pulls.values(channel="pull", url="")))
    await api.active(worlds.freeze())
    (item,) = (await api.get("/v1/orders", api.bank)).json()["items"]
    check(item["signature"], item["body"])
    shown = (await api.get(f"/v1/orders/{item['subject']}", api.bank)).json()
    assert (shown["signature"], shown["body"]) == (item["signature"], item["body"])


async def test_anybody_reads_the_hubs_keys_current_next_and_past(api: Api) -> None:
    async with api.hub.database.read() as conn:
        now = await db.now(conn)
    day = timedelta(days=1)
    made = {
        "next": SigningKey.generate(not_before=now + day, not_after=now + 300 * day),
        "ended": SigningKey.generate(not_before=now - 300 * day, not_after=now - day),
        "revoked": SigningKey.generate(not_before=now - day, not_after=now + day),
    }
    rows = [
        {
            "kid": key.kid,
            "tenant": "hoatoc-hub",
            "owner_kind": "hub",
            "owner_id": "hoatoc-hub",
            "purpose": "signature",
            "jwk": {part: key.public_jwk()[part] for part in ("kty", "crv", "x", "y")},
            "not_before": key.not_before,
            "not_after": key.not_after,
            "revoked_at": now if name == "revoked" else None,
        }
        for name, key in made.items()
    ]
    await api.hub.database.write(lambda conn: db.insert_rows(conn, table(PublicKey), rows))
    answer = await api.http.get("/v1/signing-keys")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=300")
    states = {key["kid"]: key["state"] for key in answer.json()["keys"]}
    assert states == {
        builders.ORDER_KEY.kid: "current",
        made["next"].kid: "next",
        made["ended"].kid: "past",
        made["revoked"].kid: "past",
    }
    for key in answer.json()["keys"]:
        assert keyring.public_key({part: key[part] for part in ("kty", "crv", "x", "y")})[1] == key["kid"]
        assert "d" not in key
    officers = {key.thumbprint() for key in api.world.keys.values()}
    assert not officers & states.keys(), "whose keys officers have is the registry's to know"


async def test_the_body_of_a_request_is_its_own_agencys_alone(api: Api) -> None:
    body = json.dumps(worlds.freeze(), indent=3).encode()
    signature = api.world.sign(Kind.REQUEST, body, "maker")
    headers = {"Content-Type": "application/json", "Idempotency-Key": "body-0001", "Hoatoc-Signature": signature}
    filed = await api.http.post("/v1/requests", content=body, headers={**api.police.headers, **headers})
    path = f"{filed.headers['location']}/body"
    answer = await api.get(path, api.police)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, body, "application/json")
    stranger = {"sector": "agency", "status": "active", "to_be_confirmed": False, "created_at": builders.LONG_AGO}
    named = {"id": "ca-tinh-99", "name_vi": "Công an khác", "name_en": "Another police", "short_name": "Khác"}
    await api.hub.database.write(lambda conn: db.insert_rows(conn, table(Participant), [{**named, **stranger}]))
    other = await api.enroll(System("other-agency"), "ca-tinh-99", Role.MAKER, Role.APPROVER, Role.READER)
    unknown = f"/v1/requests/{UUID(int=7)}/body"
    for system in (other, api.coordinator):
        answers = [await api.get(each, system) for each in (path, unknown)]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    assert (await api.get(path, api.bank)).status_code == 403


async def test_a_start_registers_its_keys_once_there_is_somebody_to_own_them(
    database_url: str | None, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    keep_master(tmp_path)

    async def registered() -> list[tuple[str, str]]:
        async with hub.database.read(db.HUB) as conn:
            keys = table(PublicKey)
            rows = await conn.execute(sa.select(keys.c.kid, keys.c.owner_kind).order_by(keys.c.not_before))
            return [tuple(row) for row in rows.all()]

    hub = widened(await application.open_hub(settings))
    try:
        assert await registered() == []
        await load_directory.load(hub, changes.local_administrator("root"))
        first = await registered()
        assert first == [(key.kid, "hub") for key in hub.order_keys] and len(first) == 2
    finally:
        await application.close_hub(hub)
    for name in ("order-current.jwk", "order-next.jwk"):
        (settings.keys_dir / name).unlink()
    hub = widened(await application.open_hub(settings))
    try:
        assert {kid for kid, _ in await registered()} == {kid for kid, _ in first} | {key.kid for key in hub.order_keys}
    finally:
        await application.close_hub(hub)
