"""Who stands on each rung of a ladder now, what became of the rungs that fired, and who may read the names."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from world import World

from service.engine import rungs
from service.engine.hub import OPERATOR, Hub
from service.engine.rungs import Ladder, RungState
from service.models import Contact, Deadline, Escalation
from service.security.principals import Principal, of_person
from workflows.terms import Reach, Role, Sector

COORDINATOR = of_person("tran-lan-thu", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
AUDITOR = of_person("vu-hai-an", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.AUDITOR])
APPROVER = of_person("approver", tenant=worlds.AGENCY, sector=Sector.AGENCY, roles=[Role.APPROVER])


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def ladder(world: World, order: dict[str, Any], who: Principal = COORDINATOR) -> Ladder:
    """The ladder behind the execution of an order."""
    async with world.hub.database.read(who.reach) as conn:
        found = await rungs.of_request(conn, world.hub, who, order["request_id"])
    [execute] = [each for each in found if each.stage == "execute"]
    assert execute.order_id == order["id"]
    return execute


async def placed(world: World) -> dict[str, Any]:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    return order


def states(found: Ladder) -> list[RungState]:
    return [rung.state for rung in found.rungs]


async def off_duty(world: World, *names: str) -> None:
    contacts = table(Contact)
    off = sa.update(contacts).where(contacts.c.tenant.in_(names)).values(active=False)
    await world.hub.writer.run(lambda conn: conn.execute(off))


async def test_each_rung_has_its_instant_and_whoever_is_on_duty_by_name(world: World) -> None:
    order = await placed(world)
    found = await ladder(world, order)
    assert states(found) == [RungState.NEXT, RungState.LATER, RungState.LATER] and found.current is None
    assert [rung.due_at - order["placed_at"] for rung in found.rungs] == [
        timedelta(minutes=each) for each in (10, 30, 60)
    ]
    assert [[(place.reach, place.house) for place in rung.places] for rung in found.rungs] == [
        [(Reach.PARTICIPANT, "vietcombank")],
        [(Reach.PARTICIPANT, "vietcombank"), (Reach.COORDINATOR, OPERATOR)],
        [(Reach.COORDINATOR, OPERATOR), (Reach.SUPERVISOR, "sbv")],
    ]
    assert {place.people for rung in found.rungs for place in rung.places} == {("Trực ban mẫu",)}
    assert (found.policy_name, found.policy_version) == ("vn-default", 2)


@pytest.mark.parametrize("who", [AUDITOR, APPROVER], ids=["auditor", "approver"])
async def test_whoever_does_not_call_learns_how_many_are_on_duty_and_no_name(world: World, who: Principal) -> None:
    order = await placed(world)
    found = await ladder(world, order, who)
    places = [place for rung in found.rungs for place in rung.places]
    assert {(place.on_duty, place.people) for place in places} == {(1, ())}


async def test_a_rung_on_which_nobody_stands_says_so_and_what_fired_says_whom_it_reached(
    world: World, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    await off_duty(world, "vietcombank", OPERATOR)
    order = await placed(world)
    found = await ladder(world, order)
    assert [[place.on_duty for place in rung.places] for rung in found.rungs] == [[0], [0, 0], [0, 1]]
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    found = await ladder(world, order)
    assert [(rung.state, rung.reached) for rung in found.rungs] == [(RungState.DONE, each) for each in (0, 0, 1)]
    raised = {row["rung"]: row["raised_at"] for row in await world.rows(Escalation, stage="execute")}
    assert {rung.number: rung.raised_at for rung in found.rungs} == raised
    # Nobody is left to be called, and yet what it waits for is still owed.
    assert found.is_over and found.current == 3


async def test_what_is_answered_needs_no_further_rung(
    world: World, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    order = await placed(world)
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    climbing = await ladder(world, order)
    assert states(climbing) == [RungState.DONE, RungState.NEXT, RungState.LATER] and climbing.current == 1
    waiting = [row["id"] for row in await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=2)]
    assert [rung.deadline_id for rung in climbing.rungs[:2]] == [None, *waiting]
    await world.answer(order, outcome="executed", amount_held=steps.vnd(order["amount"]))
    answered = await ladder(world, order)
    assert states(answered) == [RungState.DONE, RungState.OVER, RungState.OVER] and answered.current is None


async def test_an_order_that_was_answered_in_time_has_no_ladder_any_more(world: World) -> None:
    order = await steps.held(world)
    async with world.hub.database.read(COORDINATOR.reach) as conn:
        found = await rungs.of_request(conn, world.hub, COORDINATOR, order["request_id"])
        # What is left is the agency's own: the warning before the hold ends.
        assert [(ladder.order_id, ladder.stage) for ladder in found] == [(None, "end_warning")]
        assert [place.reach for place in found[0].rungs[0].places] == [Reach.AGENCY]
        assert await rungs.of_request(conn, world.hub, COORDINATOR, worlds.uuid4()) == []
