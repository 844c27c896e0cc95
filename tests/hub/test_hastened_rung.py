"""A coordinator has the next rung fire now: once, by whom is on record, and the rungs behind it keep their instants."""

from typing import Any
from uuid import uuid4

import pytest
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


async def rung_of(world: World, order: dict[str, Any], rung: int) -> dict[str, Any]:
    [found] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=rung)
    return found


async def hasten(world: World, order: dict[str, Any], deadline_id: int) -> None:
    await escalate_order.escalate(world.hub, world.coordinator, order["id"], deadline_id)


async def test_the_next_rung_fires_at_once_and_the_one_behind_it_in_its_own_time(
    world: World, fast_forward: FastForward
) -> None:
    order = await late(world, fast_forward)
    assert await rungs(world) == [1]
    second = await rung_of(world, order, 2)
    await hasten(world, order, second["id"])
    await world.fire()
    assert await rungs(world) == [1, 2]
    [fired] = await world.rows(Deadline, id=second["id"])
    assert fired["settled_at"] < second["due_at"] and fired["settled_at"] >= fired["due_at"]
    third = await rung_of(world, order, 3)
    assert third["state"] is DeadlineState.PENDING and third["due_at"] > second["due_at"]
    told = await world.rows(AuditEntry, code="escalation.hastened")
    assert [(each["actor_id"], each["tenant"]) for each in told] == [(world.coordinator.client_id, order["tenant"])]
    await fast_forward(hours=2)
    await world.fire()
    assert await rungs(world) == [1, 2, 3]


async def test_where_no_rung_waits_there_is_none_to_hasten(world: World, fast_forward: FastForward) -> None:
    filed = await world.active(worlds.freeze())
    (early,) = await world.orders(filed.id)
    # A deadline that is not missed yet is no rung: nobody is called over a participant's head.
    with pytest.raises(errors.Conflict) as refused:
        await hasten(world, early, (await rung_of(world, early, 0))["id"])
    assert refused.value.code == "escalation.no_rung"
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    second = await rung_of(world, early, 2)
    await world.answer(early, outcome="executed", amount_held=vnd(early["amount"]))
    with pytest.raises(errors.Conflict):
        await hasten(world, early, second["id"])
    assert "escalation.hastened" not in await world.facts(filed.id)


async def test_pressed_twice_it_fires_once_and_no_rung_behind_it_is_hastened(
    world: World, fast_forward: FastForward
) -> None:
    order, other = await late(world, fast_forward), await late(world, fast_forward)
    second = await rung_of(world, order, 2)
    with pytest.raises(errors.Conflict):
        await hasten(world, other, second["id"])
    await hasten(world, order, second["id"])
    # Before it has fired, and after.
    for _ in range(2):
        with pytest.raises(errors.Conflict):
            await hasten(world, order, second["id"])
        await world.fire()
    fired = await world.rows(Escalation, stage="execute", order_id=order["id"])
    assert [row["rung"] for row in fired] == [1, 2]


async def test_an_agency_and_a_participant_may_not_and_an_unknown_order_is_not_found(
    world: World, fast_forward: FastForward
) -> None:
    order = await late(world, fast_forward)
    second = await rung_of(world, order, 2)
    for stranger in (world.police, world.participant("vietcombank")):
        with pytest.raises(ScopeMissing):
            await escalate_order.escalate(world.hub, stranger, order["id"], second["id"])
    with pytest.raises(errors.NotFound):
        await escalate_order.escalate(world.hub, world.coordinator, uuid4(), second["id"])
    await world.fire()
    assert await rungs(world) == [1]
