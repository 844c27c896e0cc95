"""What became of a request at its participant tells a hold that ended from one that nobody made, on both databases."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
import world as worlds
from world import World

from service.engine.hub import Hub
from service.queries import results
from service.queries.results import Result
from workflows.terms import OrderState

Forward = Callable[..., Awaitable[None]]

HELD = {"value": "150000000", "currency": "VND"}


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def lapsed(world: World, request_id: UUID) -> Result:
    async with world.hub.database.read(world.coordinator.reach) as conn:
        (result,) = (await results.of_requests(conn, world.coordinator, [request_id]))[request_id]
    assert list(result.states) == [OrderState.LAPSED]
    return result


async def test_what_was_held_until_its_end_was_executed_before_it(world: World, fast_forward: Forward) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_held=HELD)
    await fast_forward(hours=73)
    await world.fire()
    result = await lapsed(world, filed.id)
    assert result.executed_at is not None and result.executed_at < result.at
    assert result.done == 150_000_000


async def test_what_nobody_did_before_its_end_was_not_executed_or_only_once_it_was_over(
    world: World, fast_forward: Forward
) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="received")
    await fast_forward(hours=73)
    await world.fire()
    assert (await lapsed(world, filed.id)).executed_at is None
    await world.answer(order, outcome="executed", amount_held=HELD)
    result = await lapsed(world, filed.id)
    assert result.executed_at == result.at
