"""A seeded random walk over a freeze's life: whatever comes in whatever order, the house's invariants hold."""

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import world as worlds
from conftest import FastForward
from world import World

from service import audit, db, errors
from service.engine.hub import Hub
from service.models import ActionRequest, Deadline
from workflows import states
from workflows.terms import Action, OrderState, RequestState

SEEDS, STEPS = 6, 14
ANSWERS: tuple[dict[str, Any], ...] = (
    {"outcome": "received"},
    {"outcome": "executed", "amount_held": {"value": "60000000", "currency": "VND"}},
    {"outcome": "executed", "amount_held": {"value": "150000000", "currency": "VND"}},
    {"outcome": "refused", "refusal_code": "no_balance"},
    {"outcome": "not_mine", "ported_to": "techcombank"},
    {"outcome": "not_mine"},
    {"outcome": "lifted"},
)


def _reachable(before: OrderState, after: OrderState) -> bool:
    seen, edge = {before}, [before]
    while edge:
        state = edge.pop()
        following = {to for (start, _), to in states.MOVES.items() if start is state} - seen
        seen |= following
        edge += following
    return after in seen


async def _violations(world: World, before: dict[Any, OrderState]) -> list[str]:
    wrong = []
    orders = [order for request in await world.rows(ActionRequest) for order in await world.orders(request["id"])]
    async with world.hub.database.read() as conn:
        now = await db.now(conn)
        wrong += [str(finding) for finding in (await audit.verify(conn)).findings]
    pending = {row["subject_id"] for row in await world.rows(Deadline, state="pending")}
    for order in orders:
        old = before.get(order["id"], OrderState.PLACED)
        if not _reachable(old, order["state"]):
            wrong.append(f"{old} became {order['state']}")
        out_there = bool(order["delivered_at"] or order["answered_at"] or order["lift_ordered"])
        gone = order["state"] in {OrderState.REFUSED, OrderState.REROUTED, OrderState.LIFTED}
        if gone and order["id"] in pending:
            wrong.append(f"a deadline waits for a final order ({order['state']})")
        holds = order["state"] is OrderState.EXECUTED and order["action"] is Action.FREEZE
        if holds and order["ends_at"] < now - timedelta(seconds=1):
            wrong.append("a hold outlived its end")
        before[order["id"]] = order["state"]
        request = next(row for row in await world.rows(ActionRequest, id=order["request_id"]))
        closed = request["state"] is RequestState.CLOSED
        if closed and not states.is_final(order["state"], order["action"], out_there):
            wrong.append(f"closed with an order that is {order['state']}")
    return wrong


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_walk_through_a_freeze_breaks_an_invariant(
    hub: Hub, fast_forward: FastForward, seed: int, record_property: Callable[[str, object], None]
) -> None:
    draw = random.Random(seed)
    world = World(hub)
    await world.settle_in()
    filed = await world.active(worlds.freeze())
    before: dict[Any, OrderState] = {}
    wrong: list[str] = []
    for _ in range(STEPS):
        kind = draw.choice(("answer", "answer", "answer", "time", "lift"))
        orders = [order for row in await world.rows(ActionRequest) for order in await world.orders(row["id"])]
        try:
            if kind == "answer":
                await world.answer(draw.choice(orders), **draw.choice(ANSWERS))
            elif kind == "time":
                await fast_forward(minutes=draw.choice((1, 11, 70, 5_000)))
            else:
                await world.submit(worlds.lift(filed.id))
        except errors.InvalidInput:
            pass  # an answer or a lift that does not fit is refused and changes nothing
        await world.fire()
        wrong += await _violations(world, before)
    record_property("T-LIFE", json.dumps({"seed": seed, "steps": STEPS, "violations": len(wrong)}))
    assert not wrong, f"seed {seed}: {wrong}"
