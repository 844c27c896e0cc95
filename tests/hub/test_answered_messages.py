"""Whoever answers a message has it: it is not sent again, and the lift that comes after it does not wait for that."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import steps
import world as worlds
from rigs import FastForward, Rig
from steps import ASKED, vnd
from world import World

from adapters.base import DeliveryFailed
from service import db
from service.actions import replay_dispatches
from service.engine.hub import OPERATOR
from service.models import Attempt, Dispatch, QueueItem, Task
from service.schemas.replays import ReplaySelection
from service.security.principals import of_person
from workflows.replay import Replayed
from workflows.terms import DispatchState, OrderState, Role, Sector

BANK = "vietcombank"
UNHEARD = DeliveryFailed("answer.timeout")
FREEZE, LIFT = "vn.hoatoc.order.freeze", "vn.hoatoc.order.lift"


@pytest.fixture
async def rig(world: World) -> AsyncIterator[Rig]:
    """A node whose calls to the bank arrive, and bring no receipt."""
    made = await Rig(world.hub).start()
    made.speaker.fail(world.endpoints[BANK], UNHEARD)
    yield made
    await made.stop()


def sent(world: World, rig: Rig) -> list[str]:
    return [message.type for message in rig.speaker.to(world.endpoints[BANK])]


async def of(world: World, order: dict[str, Any], kind: str = FREEZE) -> dict[str, Any]:
    [dispatch] = await world.rows(Dispatch, order_id=order["id"], message_type=kind)
    return dispatch


async def queued(world: World, order: dict[str, Any], kind: str = FREEZE) -> list[dict[str, Any]]:
    return await world.rows(QueueItem, dispatch_id=(await of(world, order, kind))["id"])


async def placed(world: World) -> dict[str, Any]:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    return order


async def test_what_waits_to_be_tried_again_is_delivered_by_its_answer_and_the_lift_goes_at_once(
    world: World, rig: Rig, fast_forward: FastForward
) -> None:
    order = await placed(world)
    await rig.round()
    assert len(await queued(world, order)) == 1
    await fast_forward(minutes=9)
    await rig.round()
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    assert await queued(world, order) == []
    dispatch = await of(world, order)
    assert dispatch["state"] is DispatchState.DELIVERED and dispatch["delivered_at"] is not None

    rig.speaker.heal(world.endpoints[BANK])
    await world.submit(worlds.lift(order["request_id"]))
    await rig.round()
    assert sent(world, rig) == [FREEZE, FREEZE, LIFT]
    assert await world.rows(Task) == []


@pytest.mark.parametrize("outcome", ["received", "executed", "refused"])
async def test_a_call_that_fails_after_the_answer_is_not_made_again(world: World, rig: Rig, outcome: str) -> None:
    order = await placed(world)
    gate = rig.speaker.hang(world.endpoints[BANK])
    assert await rig.delivery.claim_once() == 1
    await rig.speaker.reached(world.endpoints[BANK])
    more = {
        "received": {},
        "executed": {"amount_held": vnd(ASKED)},
        "refused": {"refusal_code": "target_not_found"},
    }[outcome]
    await world.answer(order, outcome=outcome, **more)
    # The call is on the wire: its row holds the lane until it has ended.
    [row] = await queued(world, order)
    assert row["leased"] and (await of(world, order))["state"] is DispatchState.PENDING
    gate.set()
    await rig.delivery.settled()
    assert await queued(world, order) == []
    dispatch = await of(world, order)
    assert (dispatch["state"], dispatch["attempts"]) == (DispatchState.DELIVERED, 1)
    [attempt] = await world.rows(Attempt, dispatch_id=dispatch["id"])
    assert (attempt["error"], attempt["superseded"]) == ("answer.timeout", False)
    assert await world.rows(Task) == []
    assert await steps.findings(world) == []


async def test_an_answer_that_contradicts_proves_nothing_and_the_lift_is_sent(
    world: World, rig: Rig, fast_forward: FastForward
) -> None:
    order = await placed(world)
    await rig.round()
    # Too early: nobody has ordered a lift.
    await world.answer(order, outcome="lifted")
    assert len(await queued(world, order)) == 1
    await fast_forward(seconds=3)
    await rig.round()
    assert len(await queued(world, order)) == 1
    await world.active(worlds.lift(order["request_id"]))
    rig.speaker.heal(world.endpoints[BANK])
    await rig.round()
    assert sent(world, rig)[-1] == LIFT


async def test_what_nobody_ever_called_with_goes_out_whatever_is_answered(world: World, rig: Rig) -> None:
    order = await placed(world)
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    rig.speaker.heal(world.endpoints[BANK])
    await rig.round()
    assert sent(world, rig) == [FREEZE]


async def test_what_is_sent_once_more_is_answered_by_what_comes_after_that(
    world: World, rig: Rig, fast_forward: FastForward
) -> None:
    order = await placed(world)
    rig.speaker.heal(world.endpoints[BANK])
    await rig.round()
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    async with world.hub.database.read() as conn:
        until = await db.now(conn)
    desk = of_person("truc-ban", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
    asked = ReplaySelection(which=Replayed.DELIVERED, until=until, order_id=order["id"])
    assert (await replay_dispatches.run(world.hub, desk, asked)).count == 1
    # The bank lost its data: that it answered before, or says so late, is no reason to leave it alone.
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    assert len(await queued(world, order)) == 1
    rig.speaker.fail(world.endpoints[BANK], UNHEARD)
    await rig.round()
    assert len(await queued(world, order)) == 1
    await fast_forward(minutes=1)
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    assert await queued(world, order) == []
    assert (await of(world, order))["state"] is DispatchState.DELIVERED


async def test_an_answer_to_the_order_is_none_to_its_lift(world: World, rig: Rig, fast_forward: FastForward) -> None:
    order = await placed(world)
    rig.speaker.heal(world.endpoints[BANK])
    await rig.round()
    await world.answer(order, outcome="received")
    rig.speaker.fail(world.endpoints[BANK], UNHEARD)
    await fast_forward(hours=80)
    await world.fire()
    assert (await steps.order_now(world, order))["state"] is OrderState.LAPSED
    await rig.round()
    lift = await of(world, order, LIFT)
    # That it executes the freeze now says nothing of the lift; it is asked to let go once more.
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    [tried] = await world.rows(QueueItem, dispatch_id=lift["id"])
    assert tried["attempt"] == 1
    await world.answer(order, outcome="lifted")
    assert await world.rows(QueueItem, dispatch_id=lift["id"]) == []
    [lift] = await world.rows(Dispatch, id=lift["id"])
    assert lift["state"] is DispatchState.DELIVERED
