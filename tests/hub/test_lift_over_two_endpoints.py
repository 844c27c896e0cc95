"""A lift waits for the calls about what it lifts, also where they go to another endpoint of the same participant."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import Builder, table
from rigs import FastForward, Rig, refused
from steps import ASKED, vnd
from world import World

from service.engine import handing_over, store
from service.models import Dispatch, EndpointState, QueueItem
from workflows.terms import DispatchState

BANK = "vietcombank"
FREEZE, LIFT = "vn.hoatoc.order.freeze", "vn.hoatoc.order.lift"


@pytest.fixture
async def ways(world: World, build: Builder) -> list[UUID]:
    """The bank's two endpoints, in their order."""
    return [world.endpoints[BANK], await build.endpoint(BANK, position=2)]


@pytest.fixture
async def rig(world: World) -> AsyncIterator[Rig]:
    """A node moved by hand."""
    made = await Rig(world.hub).start()
    yield made
    await made.stop()


async def broken(world: World, endpoint: UUID) -> None:
    """Let an endpoint's breaker be open for long."""
    at = await steps.now(world)
    row = {"endpoint_id": endpoint, "tenant": BANK, "failures": 5, "changed_at": at, "open_seconds": 3_600}
    opened = sa.insert(table(EndpointState)).values(**row, open_until=at + timedelta(hours=1))
    await world.hub.database.write(lambda conn: conn.execute(opened))


def sent(rig: Rig, endpoint: UUID) -> list[str]:
    return [message.type for message in rig.speaker.to(endpoint)]


async def placed(world: World) -> dict[str, Any]:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    return order


async def under_way(world: World, ways: list[UUID], rig: Rig) -> tuple[dict[str, Any], asyncio.Event]:
    """A freeze whose call to the first endpoint hangs until the event that is returned with it."""
    order, gate = await placed(world), rig.speaker.hang(ways[0])
    assert await rig.delivery.claim_once() == 1
    await rig.speaker.reached(ways[0])
    return order, gate


async def test_what_is_carried_over_waits_for_the_call_at_the_endpoint_before(
    world: World, ways: list[UUID], rig: Rig
) -> None:
    order, gate = await under_way(world, ways, rig)
    await world.active(worlds.lift(order["request_id"]))
    await broken(world, ways[0])
    assert await handing_over.hand_over(world.hub) == 1
    # The bank may be taking the freeze in at this moment.
    assert await rig.delivery.claim_once() == 0
    queue = store.of(world.hub.database.dialect)
    async with world.hub.database.read() as conn:
        stats = await queue.stats(conn)
    assert (stats.due, stats.leased, stats.later, stats.resting) == (0, 1, 1, 1)
    gate.set()
    await rig.delivery.settled()
    # Over both: at the first one it is what finds out whether that is well again.
    assert await rig.round() == 2
    assert (sent(rig, ways[0]), sent(rig, ways[1])) == ([FREEZE, LIFT], [LIFT])


async def test_a_lift_waits_for_the_call_that_was_carried_over(world: World, ways: list[UUID], rig: Rig) -> None:
    order = await placed(world)
    await broken(world, ways[0])
    assert await handing_over.hand_over(world.hub) == 1
    # Over both: the urgent one is the probe of the first.
    rig.speaker.fail(ways[0], refused("connect.timeout"))
    gate = rig.speaker.hang(ways[1])
    assert await rig.delivery.claim_once() == 2
    await rig.speaker.reached(ways[1])
    await rig.delivery.settle_once()
    await world.hub.database.write(lambda conn: conn.execute(sa.delete(table(EndpointState))))
    rig.delivery._lanes.tripped.clear()
    rig.speaker.heal(ways[0])
    await world.active(worlds.lift(order["request_id"]))
    assert await rig.delivery.claim_once() == 0
    gate.set()
    await rig.delivery.settled()
    assert await rig.round() == 1
    assert (sent(rig, ways[1]), sent(rig, ways[0])) == ([FREEZE], [FREEZE, LIFT])


async def test_what_only_carries_an_answered_order_further_is_cancelled(
    world: World, ways: list[UUID], rig: Rig, fast_forward: FastForward
) -> None:
    order = await placed(world)
    rig.speaker.fail(ways[0], refused("answer.timeout"))
    await rig.round()
    await broken(world, ways[0])
    assert await handing_over.hand_over(world.hub) == 1
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    states = {row["endpoint_id"]: row["state"] for row in await world.rows(Dispatch, message_type=FREEZE)}
    assert states == {ways[0]: DispatchState.DELIVERED, ways[1]: DispatchState.CANCELLED}
    assert await world.rows(QueueItem) == []
    await fast_forward(minutes=1)
    await world.submit(worlds.lift(order["request_id"]))
    assert await handing_over.hand_over(world.hub) == 1
    while await rig.round():
        continue
    assert FREEZE not in sent(rig, ways[1]) and LIFT in sent(rig, ways[1])
    assert await steps.findings(world) == []


async def test_what_was_answered_is_carried_no_further(
    world: World, ways: list[UUID], rig: Rig, fast_forward: FastForward
) -> None:
    order, gate = await under_way(world, ways, rig)
    rig.speaker.fail(ways[0], refused("answer.timeout"))
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    await broken(world, ways[0])
    await fast_forward(seconds=61)
    assert await handing_over.hand_over(world.hub) == 0
    gate.set()
    await rig.delivery.settled()
    assert await world.rows(QueueItem) == []
    # The lift is another message: that one is carried.
    await world.submit(worlds.lift(order["request_id"]))
    assert await handing_over.hand_over(world.hub) == 1


async def test_what_was_carried_over_before_its_answer_ends_with_the_call_that_brought_it(
    world: World, ways: list[UUID], rig: Rig
) -> None:
    order, gate = await under_way(world, ways, rig)
    await broken(world, ways[0])
    assert await handing_over.hand_over(world.hub) == 1
    rig.speaker.fail(ways[1], refused("http.502"))
    assert await rig.delivery.claim_once() == 1
    await rig.delivery.settle_once()
    # Its copy waits to be tried again; the first call is under way still, and fails.
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    rig.speaker.fail(ways[0], refused("answer.timeout"))
    gate.set()
    await rig.delivery.settled()
    assert await world.rows(QueueItem) == []
    assert {row["state"] for row in await world.rows(Dispatch, message_type=FREEZE)} == {DispatchState.DELIVERED}
