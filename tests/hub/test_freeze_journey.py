"""The freeze, from filing to its end, by the verbs alone and on both databases."""

from datetime import timedelta

import pytest
import world as worlds
from world import World

from service import audit
from service.engine.hub import Hub
from service.models import ActionRequest, Deadline, Dispatch, Escalation, Task
from workflows.terms import OrderState, RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def test_a_freeze_is_placed_only_when_the_second_officer_approves(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    assert filed.state is RequestState.AWAITING_APPROVAL
    assert filed.recipients == ["vietcombank"]
    assert await world.orders(filed.id) == []
    await world.active(worlds.freeze())
    assert len(await world.rows(Dispatch)) == 1


async def test_a_bank_executes_and_the_hold_ends_by_itself(world: World, fast_forward) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="received")
    await world.answer(order, outcome="executed", amount_held={"value": "150000000", "currency": "VND"})
    await fast_forward(hours=73)
    await world.fire()
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.LAPSED and order["lift_ordered"]
    assert [row["message_type"] for row in await world.rows(Dispatch)] == [
        "vn.hoatoc.order.freeze",
        "vn.hoatoc.order.lift",
    ]
    await world.answer(order, outcome="lifted")
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.LIFTED
    [request] = await world.rows(ActionRequest)
    assert request["state"] is RequestState.CLOSED
    assert (await world.facts(filed.id))[-5:] == ["order.lifted", *["deadline.met"] * 3, "request.closed"]


async def test_a_silent_bank_is_escalated_rung_by_rung_up_to_the_supervisor(world: World, fast_forward) -> None:
    filed = await world.active(worlds.freeze())
    for minutes in (2, 3, 5, 1, 19, 31):
        await fast_forward(minutes=minutes)
        await world.fire()
    raised = await world.rows(Escalation)
    assert [(str(row["stage"]), row["rung"]) for row in raised] == [
        ("receipt", 1),
        ("acknowledge", 1),
        ("execute", 1),
        ("execute", 2),
        ("execute", 3),
    ]
    assert [entry["participant_id"] for entry in raised[-1]["reached"]] == ["hoatoc-hub", "sbv"]
    assert all(row["reached_somebody"] for row in raised)
    notices = sorted(row["participant_id"] for row in await world.rows(Dispatch, kind="notice"))
    assert notices == ["hoatoc-hub", "hoatoc-hub", "sbv", "vietcombank", "vietcombank", "vietcombank", "vietcombank"]
    assert await world.fire() == 0
    async with world.hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.PLACED


async def test_a_rung_is_due_from_the_instant_of_placing_however_late_it_fires(world: World, fast_forward) -> None:
    await world.active(worlds.freeze())
    await fast_forward(hours=5)
    await world.fire()
    rungs = [row for row in await world.rows(Deadline, stage="execute") if row["rung"]]
    assert [row["due_at"] - row["started_at"] for row in rungs] == [
        timedelta(minutes=10),
        timedelta(minutes=30),
        timedelta(minutes=60),
    ]
    assert {row["state"] for row in rungs} == {"missed"}


async def test_a_refused_request_leaves_one_fact_and_no_row(world: World) -> None:
    with pytest.raises(Exception, match=r"authority\.rank_too_low"):
        await world.submit(worlds.freeze(officer_id="junior"))
    assert await world.rows(ActionRequest) == []
    assert await world.rows(Task) == []
