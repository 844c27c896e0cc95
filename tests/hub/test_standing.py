"""Every verb of a caller asks once more, under its locks, whether the caller is still in force."""

import ast
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import appeal_steps
import bounding
import pytest
import registry_forms as forms
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service import actions, db, errors
from service.actions import (
    acknowledge_order,
    add_contact,
    answer_callback,
    enroll_client,
    enroll_officer,
    file_appeal,
    receive_inbox,
    resolve_task,
    set_duty_phone,
    standing,
    suspend,
)
from service.engine.hub import OPERATOR, Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Appeal,
    AuditEntry,
    Callback,
    Client,
    Contact,
    Deadline,
    Dispatch,
    Endpoint,
    Officer,
    Order,
    Participant,
    PublicKey,
    Task,
)
from service.schemas.appeals import NewAppeal
from service.schemas.callbacks import CallbackAnswer, NewDutyPhone
from service.schemas.orders import AcknowledgementBody
from service.schemas.registry import SuspendedKind
from service.schemas.tasks import TaskResolution
from service.security.principals import Principal
from workflows.terms import Channel, Role, Sector

BANK = "vietcombank"
RECEIVED = b'{"outcome": "received"}'
Call = Callable[[], Awaitable[Any]]
WATCHED = (ActionRequest, Order, Acknowledgement, Appeal, Callback, Task, Contact, Officer, Participant, Deadline)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network whose first bank pulls its orders."""
    made = World(hub)
    await made.settle_in()
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == made.endpoints[BANK]).values(channel=Channel.PULL)
    await hub.writer.run(lambda conn: conn.execute(pulls))
    return made


async def enrolled(world: World, who: Principal) -> Principal:
    """The caller as a system that was enrolled, with the key that its token is bound to."""

    async def unit(conn: AsyncConnection) -> None:
        now = await db.now(conn)
        row = {"id": who.client_id, "tenant": who.tenant, "roles": sorted(who.roles), "active": True, "created_at": now}
        await db.insert_rows(conn, table(Client), [row])
        key = {**world.new_key("client", who.client_id, who.tenant, now), "purpose": "assertion"}
        await db.insert_rows(conn, table(PublicKey), [key])

    await world.hub.writer.run(unit)
    return replace(who, jkt=world.keys[who.client_id].thumbprint())


async def _police(world: World, verb: str) -> tuple[Principal, Call]:
    world.police = await enrolled(world, world.police)
    match verb:
        case "submit_request":
            return world.police, lambda: world.submit(worlds.freeze())
        case "approve_request":
            filed = await world.submit(worlds.freeze())
            return world.police, lambda: world.approve(filed.id)
        case "review_request":
            filed = await world.submit(steps.emergency())
            return world.police, lambda: world.review(filed.id)
        case "withdraw_request":
            filed = await world.submit(worlds.freeze())
            return world.police, lambda: world.withdraw(filed.id)
    case = await appeal_steps.file(world, await steps.held(world))
    if verb == "answer_appeal":
        return world.police, lambda: appeal_steps.reply(world, case)
    return world.police, lambda: appeal_steps.decide(world, case)


async def _bank(world: World, verb: str) -> tuple[Principal, Call]:
    bank = await enrolled(world, world.participant(BANK))
    if verb == "file_appeal":
        order = await steps.held(world)
        return bank, lambda: appeal_steps.file(world, order, bank)
    [order] = await world.orders((await world.active(worlds.freeze())).id)
    if verb == "receive_inbox":
        [given] = await world.rows(Dispatch, order_id=order["id"])
        return bank, lambda: receive_inbox.receive(world.hub, bank, given["position"])
    body = AcknowledgementBody.model_validate_json(RECEIVED)
    return bank, lambda: acknowledge_order.acknowledge(world.hub, bank, order["id"], body, RECEIVED, None)


async def _desk(world: World, verb: str) -> tuple[Principal, Call]:
    desk = await enrolled(world, world.coordinator)
    if verb == "file_appeal for a person":
        order = await steps.held(world)
        body = {"order_id": str(order["id"]), "ground": "wrong_person", "statement": "Nhầm người."}
        appeal = NewAppeal.model_validate({**body, "appellant": appeal_steps.APPELLANT})
        return desk, lambda: file_appeal.file(world.hub, desk, appeal)
    if verb == "resolve_task":
        case = await appeal_steps.file_for_a_person(world, order_id=str((await steps.held(world))["id"]))
        await appeal_steps.reply(world, case)
        [task] = await world.rows(Task)
        return desk, lambda: resolve_task.resolve(world.hub, desk, task["id"], TaskResolution(note="Đã báo."))
    await bounding.set_bounds(world.hub, {"subject": "officer", "amount": 1})
    held = await world.active(worlds.freeze())
    said = CallbackAnswer.model_validate({"outcome": "denied"})
    return desk, lambda: answer_callback.answer(world.hub, desk, held.id, said)


async def _administrator(world: World, verb: str) -> tuple[Principal, Call]:
    who = await enrolled(world, worlds._principal("admin-system", OPERATOR, Sector.HUB, Role.HUB_ADMIN))
    calls: Mapping[str, Call] = {
        "add_contact": lambda: add_contact.add(world.hub, who, BANK, forms.contact()),
        "enroll_client": lambda: enroll_client.enroll(world.hub, who, BANK, forms.client()),
        "enroll_officer": lambda: enroll_officer.enroll(world.hub, who, AGENCY, forms.officer()),
        "set_duty_phone": lambda: set_duty_phone.set_duty_phone(
            world.hub, who, AGENCY, NewDutyPhone(phone="+842838387342")
        ),
        "suspend": lambda: suspend.suspend(world.hub, who, AGENCY, forms.stop(SuspendedKind.PARTICIPANT, AGENCY)),
    }
    return who, calls[verb]


VERBS: dict[str, Callable[[World, str], Awaitable[tuple[Principal, Call]]]] = {
    **dict.fromkeys(("submit_request", "approve_request", "review_request", "withdraw_request"), _police),
    **dict.fromkeys(("answer_appeal", "decide_appeal"), _police),
    **dict.fromkeys(("acknowledge_order", "receive_inbox", "file_appeal"), _bank),
    **dict.fromkeys(("file_appeal for a person", "resolve_task", "answer_callback"), _desk),
    **dict.fromkeys(("add_contact", "enroll_client", "enroll_officer", "set_duty_phone", "suspend"), _administrator),
}


async def change(world: World, model: Any, column: str, name: str, **values: Any) -> None:
    rows = table(model)
    await world.hub.writer.run(
        lambda conn: conn.execute(sa.update(rows).where(rows.c[column] == name).values(**values))
    )


@pytest.mark.parametrize("verb", VERBS)
async def test_a_caller_who_was_stopped_after_the_door_changes_nothing(world: World, verb: str) -> None:
    who, call = await VERBS[verb](world, verb)
    now = await steps.now(world)
    stops: list[tuple[Any, str, str, dict[str, Any], dict[str, Any]]] = [
        (Client, "id", who.client_id, {"active": False}, {"active": True}),
        (PublicKey, "kid", str(who.jkt), {"revoked_at": now}, {"revoked_at": None}),
    ]
    if who.tenant != OPERATOR:
        stops.append((Participant, "id", who.tenant, {"status": "suspended"}, {"status": "active"}))
    for model, column, name, stopped, back in stops:
        # The door has let the call in: its principal is made. What stops the caller is committed before the change.
        await change(world, model, column, name, **stopped)
        before = [await world.rows(each) for each in WATCHED]
        with pytest.raises(errors.Unauthenticated) as refused:
            await call()
        assert refused.value.code == "token.refused"
        assert [await world.rows(each) for each in WATCHED] == before
        await change(world, model, column, name, **back)
    facts = await world.rows(AuditEntry, code="token.refused")
    assert len(facts) == len(stops) and all("client.not_in_force" in fact["data"] for fact in facts)
    await call()
    assert len(await world.rows(AuditEntry, code="token.refused")) == len(stops)


async def test_a_suspension_waits_for_the_call_that_has_asked_and_another_call_does_not(world: World) -> None:
    who, call = await VERBS["acknowledge_order"](world, "acknowledge_order")
    async with world.hub.database.engine.connect() as conn:
        await db.extend(conn, db.HUB)
        await standing.check(conn, who)
        if world.hub.database.dialect == "postgresql":
            await call()
        stop = asyncio.create_task(change(world, Client, "id", who.client_id, active=False))
        done, _ = await asyncio.wait({stop}, timeout=0.3)
        assert not done
        await conn.rollback()
    await stop
    with pytest.raises(errors.Unauthenticated):
        await call()


def test_no_verb_of_a_caller_writes_without_asking() -> None:
    asked, unasked = set(), set()
    for path in sorted(Path(actions.__file__).parent.glob("*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            if "principal" not in [argument.arg for argument in node.args.args]:
                continue
            verb = ast.get_source_segment(text, node) or ""
            if "writer.run(" in verb:
                unasked.add(f"{path.stem}.{node.name}")
            # What messages of standards share only runs their verbs, which ask themselves.
            if path.stem != "receiving" and ("standing.run(" in verb or "receiving.run(" in verb):
                asked.add(path.stem)
                assert "standing.check(" in text, path.stem
    # The one keeps as a fact that a signature was refused, the other is what all others ask by.
    assert unasked == {"signing.refuse", "standing.run"}
    assert {"acknowledge_order", "answer_appeal", "changes", "receive_inbox", "report_fault"} <= asked
