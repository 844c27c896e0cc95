"""What became of a request at its participant: since when it holds, why it was refused, what ended; both databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
import steps
import world as worlds
from world import World

from service.actions import read_back_order
from service.engine.hub import Hub
from service.queries import requests, results
from service.queries.results import Result
from workflows.terms import Action, OrderState, RefusalCode

Forward = Callable[..., Awaitable[None]]

HELD = {"value": "150000000", "currency": "VND"}


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def became(world: World, request_id: UUID, state: OrderState) -> Result:
    async with world.hub.database.read(world.coordinator.reach) as conn:
        (result,) = (await results.of_requests(conn, world.coordinator, [request_id]))[request_id]
    assert list(result.states) == [state]
    return result


async def lapsed(world: World, request_id: UUID) -> Result:
    return await became(world, request_id, OrderState.LAPSED)


async def test_what_was_held_until_its_end_was_executed_before_it(world: World, fast_forward: Forward) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_held=HELD)
    await fast_forward(hours=73)
    await world.fire()
    result = await lapsed(world, filed.id)
    assert result.executed_at is not None and result.executed_at < result.at
    assert (result.done, result.at) == (150_000_000, order["ends_at"])
    # That the lift was received says nothing about when the hold ended.
    await fast_forward(hours=1)
    await world.answer(order, outcome="received")
    assert (await lapsed(world, filed.id)).at == order["ends_at"]


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
    assert result.executed_at is not None and result.executed_at >= result.at


async def test_a_hold_stands_since_it_reached_its_amount_and_not_since_it_was_confirmed(
    world: World, fast_forward: Forward
) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    said = {"outcome": "executed", "amount_held": HELD}
    first = await world.answer(order, outcome="executed", amount_held={**HELD, "value": "7"})
    await fast_forward(minutes=10)
    await world.answer(order, **said)
    held = await became(world, filed.id, OrderState.EXECUTED)
    assert held.executed_at is not None and held.at - held.executed_at >= timedelta(minutes=10)
    assert first.state is OrderState.EXECUTED
    await fast_forward(minutes=10)
    await read_back_order.ask(world.hub, world.coordinator, order["id"])
    await world.answer(order, **said)
    assert (await became(world, filed.id, OrderState.EXECUTED)).at == held.at
    assert "hold.confirmed" in await world.facts(filed.id)


async def test_a_refusal_is_told_by_the_answer_that_refused(world: World, fast_forward: Forward) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="refused", refusal_code="no_balance")
    told = await became(world, filed.id, OrderState.REFUSED)
    await fast_forward(minutes=1)
    # It says something else later; the order was refused already, and for the first reason.
    await world.answer(order, outcome="refused", refusal_code="target_closed")
    assert await became(world, filed.id, OrderState.REFUSED) == told
    assert told.refusal is RefusalCode.NO_BALANCE
    async with world.hub.database.read(world.coordinator.reach) as conn:
        detail = await requests.one(conn, world.hub.vault, world.coordinator, filed.id)
    assert detail is not None and detail.order_list[0].refusal_code == told.refusal


async def test_not_mine_without_another_is_a_refusal_with_its_reason(world: World) -> None:
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="not_mine")
    assert (await became(world, filed.id, OrderState.REFUSED)).refusal is RefusalCode.NOT_MINE


async def reached(world: World, request_id: UUID, action: Action) -> list[str]:
    async with world.hub.database.read(world.police.reach) as conn:
        return await results.participants(conn, world.police, request_id, action)


async def test_the_page_names_those_who_then_get_the_order(world: World) -> None:
    """A lift is placed where something may be held, an extension where it still is and nobody was asked to let go."""
    one = worlds.freeze()["target"]
    at = ("970436", "970407", "970418", "momo")
    kinds = ("account", "account", "account", "wallet")
    made = [{**one, "kind": kind, "institution": each} for kind, each in zip(kinds, at, strict=True)]
    soon = (await steps.now(world) + timedelta(days=10)).isoformat()
    filed = await world.active(steps.preserve(*made, ends_at=soon))
    orders = {order["participant_id"]: order for order in await world.orders(filed.id)}
    await world.answer(orders["vietcombank"], outcome="executed")
    await world.answer(orders["techcombank"], outcome="refused", refusal_code="target_closed")
    await steps.delivered(world, orders["bidv"])
    assert await reached(world, filed.id, Action.EXTEND) == ["bidv", "momo", "vietcombank"]
    assert await reached(world, filed.id, Action.LIFT) == ["bidv", "vietcombank"]
    longer = await world.active(steps.extend(orders["bidv"]))
    assert sorted(each["participant_id"] for each in await world.orders(longer.id)) == ["bidv", "momo", "vietcombank"]
    lifted = await world.submit(worlds.lift(filed.id))
    assert lifted.recipients == ["bidv", "vietcombank"]
    if lifted.approvals_needed > 1:
        await world.approve(lifted.id)
    assert sorted(each["participant_id"] for each in await world.orders(lifted.id)) == ["bidv", "vietcombank"]
    assert await reached(world, filed.id, Action.EXTEND) == []
