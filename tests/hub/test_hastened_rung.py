"""A coordinator has the next rung fire now: once, by whom is on record, and the rungs behind it keep their instants."""

from typing import Any
from uuid import uuid4

import pytest
import steps
import world as worlds
from rigs import FastForward
from steps import vnd
from world import World

from service import errors
from service.actions import escalate_order
from service.engine.hub import Hub
from service.models import AuditEntry, Deadline, Escalation
from service.security.principals import ScopeMissing
from workflows.terms import DeadlineState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def late(world: World, fast_forward: FastForward) -> dict[str, Any]:
    """The order of a freeze whose execution is overdue: the first rung of each stage has fired."""
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    return order


async def rungs(world: World) -> list[int]:
    return [row["rung"] for row in await world.rows(Escalation, stage="execute")]


async def hasten(world: World, order: dict[str, Any]) -> None:
    await escalate_order.escalate(world.hub, world.coordinator, order["id"])


async def test_the_next_rung_fires_at_once_and_the_one_behind_it_in_its_own_time(
    world: World, fast_forward: FastForward
) -> None:
    order = await late(world, fast_forward)
    assert await rungs(world) == [1]
    [second] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=2)
    while await rungs(world) == [1]:
        await hasten(world, order)
        await world.fire()
    assert await rungs(world) == [1, 2]
    [fired] = await world.rows(Deadline, id=second["id"])
    assert fired["settled_at"] < second["due_at"] and fired["settled_at"] >= fired["due_at"]
    [third] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=3)
    assert third["state"] is DeadlineState.PENDING and third["due_at"] > second["due_at"]
    told = await world.rows(AuditEntry, code="escalation.hastened")
    assert {(each["actor_id"], each["tenant"]) for each in told} == {(world.coordinator.client_id, order["tenant"])}
    await fast_forward(hours=2)
    await world.fire()
    assert await rungs(world) == [1, 2, 3]


async def test_where_no_rung_waits_there_is_none_to_hasten(world: World, fast_forward: FastForward) -> None:
    filed = await world.active(worlds.freeze())
    (early,) = await world.orders(filed.id)
    with pytest.raises(errors.Conflict) as refused:
        await hasten(world, early)
    assert refused.value.code == "escalation.no_rung"
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    await world.answer(early, outcome="executed", amount_held=vnd(early["amount"]))
    with pytest.raises(errors.Conflict):
        await hasten(world, early)
    assert "escalation.hastened" not in await world.facts(filed.id)


async def test_pressed_too_often_before_it_fired_each_rung_fires_once(world: World, fast_forward: FastForward) -> None:
    order = await late(world, fast_forward)
    waiting = [each for each in await steps.pending(world, order["id"]) if each[1] > 0]
    for _ in waiting:
        await hasten(world, order)
    with pytest.raises(errors.Conflict):
        await hasten(world, order)
    await world.fire()
    assert await rungs(world) == [1, 2]


async def test_an_agency_and_a_participant_may_not_and_an_unknown_order_is_not_found(
    world: World, fast_forward: FastForward
) -> None:
    order = await late(world, fast_forward)
    for stranger in (world.police, world.participant("vietcombank")):
        with pytest.raises(ScopeMissing):
            await escalate_order.escalate(world.hub, stranger, order["id"])
    with pytest.raises(errors.NotFound):
        await escalate_order.escalate(world.hub, world.coordinator, uuid4())
    await world.fire()
    assert await rungs(world) == [1]
