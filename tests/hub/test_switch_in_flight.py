"""A call that the door let in waits for a lock; what happens meanwhile (a suspension, an extension) counts."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import appeal_steps
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from registry_forms import ADMIN
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service import audit, db, errors
from service.actions import suspend
from service.engine import writer
from service.engine.hub import Hub
from service.models import ActionRequest, AuditEntry, Client, Order, PublicKey
from service.schemas.registry import SuspendedKind, Suspension
from workflows.terms import ActorKind, OrderState, RequestState

SYSTEM = "pc02-system"


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network whose agency calls by an enrolled system with a key."""
    made = World(hub)
    await made.settle_in()

    async def unit(conn: AsyncConnection) -> None:
        now = await db.now(conn)
        row = {"id": SYSTEM, "tenant": AGENCY, "roles": ["maker", "approver"], "active": True, "created_at": now}
        await db.insert_rows(conn, table(Client), [row])
        key = {**made.new_key("client", SYSTEM, AGENCY, now), "purpose": "assertion"}
        await db.insert_rows(conn, table(PublicKey), [key])
        # The chain of the agency has a head from now on, which calls can wait for.
        await writer.lock(conn, [audit.tenant_chain(AGENCY)])

    await hub.writer.run(unit)
    made.police = replace(made.police, jkt=made.keys[SYSTEM].thumbprint())
    return made


async def queue(world: World, chain: str, first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any]) -> Any:
    """Let two calls wait for one lock, in this order, and return the second one's result or error.

    On PostgreSQL the second has read whatever it reads before its lock; SQLite has one writer: it just comes after.
    """
    if world.hub.database.dialect == "sqlite":
        await first
        return (await asyncio.gather(second, return_exceptions=True))[0]
    tasks: list[asyncio.Task[Any]] = []
    async with world.hub.database.engine.connect() as conn:
        await db.extend(conn, db.HUB)
        await writer.lock(conn, [chain])
        for call in (first, second):
            tasks.append(asyncio.create_task(call))
            await _until(world, waiting=len(tasks))
        await conn.rollback()
    before, after = await asyncio.gather(*tasks, return_exceptions=True)
    assert not isinstance(before, BaseException), before
    return after


async def _until(world: World, *, waiting: int) -> None:
    those = "wait_event_type = 'Lock' AND datname = current_database()"
    for _ in range(500):
        async with world.hub.database.read() as conn:
            query = sa.text(f"SELECT count(*) FROM pg_stat_activity WHERE {those}")
            if (await conn.execute(query)).scalar_one() >= waiting:
                return
        await asyncio.sleep(0.02)
    pytest.fail(f"fewer than {waiting} wait for the lock")


async def prepared(world: World, verb: str) -> Coroutine[Any, Any, Any]:
    """Return a call of the agency, with whatever it is about filed."""
    if verb == "submit":
        return world.submit(steps.emergency())
    if verb in {"approve", "withdraw"}:
        filed = await world.submit(worlds.freeze())
        if verb == "approve":
            return world.approve(filed.id)
        return world.withdraw(filed.id)
    if verb == "review":
        filed = await world.submit(steps.emergency())
        return world.review(filed.id)
    hold = await steps.held(world)
    case = await appeal_steps.file(world, hold)
    body = appeal_steps.signed(world, case.id, appeal_steps.decision())
    return appeal_steps.send(world, case.id, body)


PARTICIPANT = Suspension(kind=SuspendedKind.PARTICIPANT, id=AGENCY)
CASES = {
    **{verb: (verb, PARTICIPANT) for verb in ("submit", "approve", "review", "withdraw", "decide")},
    "approve, its system": ("approve", Suspension(kind=SuspendedKind.CLIENT, id=SYSTEM)),
    "approve, a person": ("approve", PARTICIPANT),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_waited_while_its_caller_was_suspended_does_nothing(world: World, case: str) -> None:
    verb, what = CASES[case]
    if case.endswith("a person"):
        world.police = replace(world.police, kind=ActorKind.PERSON, jkt=None)
    call = await prepared(world, verb)
    before = await world.rows(ActionRequest), await world.rows(Order)
    switch = suspend.suspend(world.hub, ADMIN, AGENCY, what)
    refused = await queue(world, audit.tenant_chain(AGENCY), switch, call)
    assert isinstance(refused, errors.Unauthenticated), refused
    assert refused.code == "token.refused"
    assert (await world.rows(ActionRequest), await world.rows(Order)) == before
    [fact] = await world.rows(AuditEntry, code="token.refused")
    assert "client.not_in_force" in fact["data"]


async def test_a_call_whose_key_was_revoked_while_it_waited_does_nothing(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    keys = table(PublicKey)

    async def revoke(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [audit.tenant_chain(AGENCY)])
        await conn.execute(sa.update(keys).where(keys.c.kid == world.police.jkt).values(revoked_at=log.at))

    call = world.approve(filed.id)
    refused = await queue(world, audit.tenant_chain(AGENCY), world.hub.writer.run(revoke), call)
    assert isinstance(refused, errors.Unauthenticated), refused
    assert await world.orders(filed.id) == []


@pytest.mark.parametrize("ending", ["lift", "upheld appeal"])
async def test_an_extension_that_was_approved_just_before_a_hold_ends_is_taken_back(world: World, ending: str) -> None:
    hold = await steps.held(world)
    longer = await world.submit(steps.extend(hold))
    if ending == "lift":
        call: Any = world.submit(worlds.lift(hold["request_id"]))
    else:
        case = await appeal_steps.file(world, hold)
        call = appeal_steps.send(world, case.id, appeal_steps.signed(world, case.id, appeal_steps.decision()))
    done = await queue(world, audit.request_chain(hold["request_id"]), world.approve(longer.id), call)
    assert not isinstance(done, BaseException), done
    [order] = await world.orders(longer.id)
    assert order["state"] is OrderState.WITHDRAWN
    [request] = await world.rows(ActionRequest, id=longer.id)
    assert request["state"] is RequestState.CLOSED
    assert await steps.findings(world) == []
