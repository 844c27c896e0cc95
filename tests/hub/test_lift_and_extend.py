"""How holds end and go on: lifts that never overtake, holds that know nothing of each other, ends that move."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import steps
import world as worlds
from builders import table
from rigs import Rig
from steps import ASKED, vnd
from world import World

from service import errors
from service.engine import outbox
from service.engine.hub import Hub
from service.models import ActionRequest, Deadline, Dispatch, Order, QueueItem, Task
from workflows.terms import Action, OrderState, RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def state_of(world: World, request_id: Any) -> RequestState:
    """The state of a request."""
    [request] = await world.rows(ActionRequest, id=request_id)
    state: RequestState = request["state"]
    return state


async def test_one_officer_lifts_an_executed_hold_and_both_requests_close(world: World) -> None:
    hold = await steps.held(world)
    filed = await world.submit(worlds.lift(hold["request_id"]))
    assert (filed.state, filed.approvals_needed) == (RequestState.ACTIVE, 1)
    assert filed.recipients == ["vietcombank"]
    assert (await steps.order_now(world, hold))["lift_ordered"]
    [order] = await world.orders(filed.id)
    assert (order["action"], order["original_id"]) == (Action.LIFT, hold["id"])
    answered = await world.answer(order, outcome="lifted")
    assert answered.state is OrderState.EXECUTED
    assert (await steps.order_now(world, hold))["state"] is OrderState.LIFTED
    assert await state_of(world, filed.id) is RequestState.CLOSED
    assert await state_of(world, hold["request_id"]) is RequestState.CLOSED
    assert await steps.pending(world, hold["id"]) == await steps.pending(world, order["id"]) == []
    assert "order.lifted" in await world.facts(hold["request_id"])
    assert await steps.findings(world) == []


async def test_a_lift_has_half_the_time_of_the_freeze(world: World) -> None:
    hold = await steps.held(world)
    filed = await world.submit(worlds.lift(hold["request_id"]))
    [order] = await world.orders(filed.id)
    times = {}
    for row in (hold, order):
        [clock] = await world.rows(Deadline, subject_id=row["id"], stage="execute", rung=0)
        times[row["action"]] = clock["due_at"] - clock["started_at"]
    assert times == {Action.FREEZE: timedelta(minutes=10), Action.LIFT: timedelta(minutes=5)}


async def test_a_lift_of_what_was_never_delivered_withdraws_it_and_cancels_its_dispatch(world: World) -> None:
    filed = await world.active(worlds.freeze())
    lifted = await world.active(worlds.lift(filed.id))
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.WITHDRAWN
    [dispatch] = await world.rows(Dispatch)
    assert str(dispatch["state"]) == "cancelled"
    assert await world.rows(QueueItem) == []
    # There is nothing to lift, so nobody is asked to.
    assert await world.orders(lifted.id) == []
    assert await state_of(world, lifted.id) is await state_of(world, filed.id) is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []


async def test_a_lift_of_what_was_delivered_but_not_executed_is_told_to_the_bank(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await steps.delivered(world, order)
    lifted = await world.active(worlds.lift(filed.id))
    assert (await steps.order_now(world, order))["state"] is OrderState.WITHDRAWN
    [lift] = await world.orders(lifted.id)
    await world.answer(lift, outcome="executed")
    assert await state_of(world, lifted.id) is await state_of(world, filed.id) is RequestState.CLOSED
    assert (await steps.order_now(world, order))["state"] is OrderState.WITHDRAWN


@pytest.mark.parametrize("case_number", ["01/2026/CA", "99/2026/OTHER"])
async def test_a_lift_never_overtakes_its_freeze(world: World, case_number: str) -> None:
    placed = await world.active(worlds.freeze())
    [hold] = await world.orders(placed.id)
    rig = await Rig(world.hub).start()
    try:
        gate = rig.speaker.hang(world.endpoints["vietcombank"])
        assert await rig.delivery.claim_once() == 1
        # The bank answers already, but its first message is still on its way: the lift waits behind it.
        await world.answer(hold, outcome="executed", amount_held=vnd(ASKED))
        filed = await world.submit(worlds.lift(hold["request_id"], case_number=case_number))
        [lift] = await world.orders(filed.id)
        assert lift["sequence"] > hold["sequence"]
        first, second = await world.rows(QueueItem)
        assert first["order_key"] == second["order_key"] is not None
        assert await rig.delivery.claim_once() == 0
        gate.set()
        await rig.delivery.settled()
        while await rig.round():
            pass
        sent = [message.type for message in rig.speaker.to(world.endpoints["vietcombank"])]
        assert sent == ["vn.hoatoc.order.freeze", "vn.hoatoc.order.lift"]
    finally:
        rig.delivery.cancel()
        await rig.node.stop()


async def test_what_was_answered_and_never_sent_is_not_sent_before_its_lift(world: World) -> None:
    hold = await steps.held(world)
    await world.submit(worlds.lift(hold["request_id"]))
    rig = await Rig(world.hub).start()
    try:
        while await rig.round():
            pass
        sent = [message.type for message in rig.speaker.to(world.endpoints["vietcombank"])]
        assert sent == ["vn.hoatoc.order.lift"]
    finally:
        await rig.stop()


async def test_what_concerns_different_targets_or_requests_does_not_wait_for_one_another(world: World) -> None:
    agency = await steps.status_endpoint(world)
    for account in ("9990001112223", "9990001112224"):
        filed = await world.active(worlds.freeze(target={**worlds.freeze()["target"], "value": account}))
        [order] = await world.orders(filed.id)
        await world.answer(order, outcome="executed", amount_held=vnd(ASKED))
    queue = await world.rows(QueueItem)
    statuses = {row["order_key"] for row in queue if row["endpoint_id"] == agency}
    orders = {row["order_key"] for row in queue if row["endpoint_id"] != agency}
    assert len(statuses) == len(orders) == 2


async def test_what_the_agency_was_told_is_never_cancelled_with_an_order(world: World) -> None:
    await steps.status_endpoint(world)
    hold = await steps.held(world)
    at = await steps.now(world)
    await world.hub.writer.run(lambda conn: outbox.cancel(conn, at, [hold["id"]]))
    states = {str(row["kind"]): str(row["state"]) for row in await world.rows(Dispatch, order_id=hold["id"])}
    assert states == {"order": "cancelled", "status": "pending"}


async def test_two_holds_on_one_account_are_two_and_a_lift_ends_its_own_only(world: World) -> None:
    first = await steps.held(world)
    second = await steps.held(world, case_number="02/2026/CA")
    # Each agency's timeline says that another hold exists, and nothing about it.
    for own, other in ((first, second), (second, first)):
        async with world.hub.database.read() as conn:
            told = await worlds.timeline.tell(conn, world.police, own["request_id"])
        assert told is not None
        [fact] = [fact for fact in told.facts if fact.code == "hold.overlaps"]
        shown = fact.model_dump_json()
        assert fact.data["participant_id"] == "vietcombank"
        assert str(other["id"]) not in shown
        assert str(other["request_id"]) not in shown
    lifted = await world.active(worlds.lift(first["request_id"]))
    [lift] = await world.orders(lifted.id)
    await world.answer(lift, outcome="lifted")
    assert (await steps.order_now(world, first))["state"] is OrderState.LIFTED
    assert (await steps.order_now(world, second))["state"] is OrderState.EXECUTED
    assert await state_of(world, second["request_id"]) is RequestState.ACTIVE


async def test_two_freezes_of_one_account_at_one_instant_see_each_other(world: World) -> None:
    filed = [await world.submit(worlds.freeze(case_number=number)) for number in ("01/2026/CA", "02/2026/CA")]
    await asyncio.gather(*(world.approve(request.id) for request in filed))
    assert [(await world.facts(request.id)).count("hold.overlaps") for request in filed] == [1, 1]


async def test_a_hold_that_ended_is_no_overlap(world: World, fast_forward) -> None:
    await steps.in_state(world, OrderState.LAPSED, fast_forward)
    filed = await world.active(worlds.freeze())
    assert "hold.overlaps" not in await world.facts(filed.id)


async def test_a_refused_lift_leaves_the_hold_and_asks_somebody_to_look(world: World) -> None:
    hold = await steps.held(world)
    filed = await world.active(worlds.lift(hold["request_id"]))
    [lift] = await world.orders(filed.id)
    await world.answer(lift, outcome="refused", refusal_code="document_doubted")
    assert (await steps.order_now(world, hold))["state"] is OrderState.EXECUTED
    assert [task["order_id"] for task in await world.rows(Task)] == [lift["id"]]
    # The end of the hold comes all the same.
    assert ("end", 0, 0) in await steps.pending(world, hold["id"])


async def test_a_lift_reaches_those_too_that_had_to_be_called(world: World) -> None:
    filed = await world.active(worlds.freeze(target={**worlds.freeze()["target"], "institution": "ACB"}))
    [first] = await world.rows(Task)
    assert await state_of(world, filed.id) is RequestState.ACTIVE
    lifted = await world.submit(worlds.lift(filed.id))
    first, second = await world.rows(Task)
    assert first["resolved_at"] is not None
    assert (second["request_id"], second["participant_id"], second["data"]) == (lifted.id, "acb", {"action": "lift"})
    assert [(entry.participant_id, entry.task_id) for entry in lifted.unreachable] == [("acb", second["id"])]
    assert await state_of(world, filed.id) is RequestState.CLOSED
    assert await state_of(world, lifted.id) is RequestState.ACTIVE
    assert await steps.pending(world, first["id"]) == []


async def test_what_lapsed_without_ever_arriving_is_not_lifted_by_a_request(world: World, fast_forward) -> None:
    account = worlds.freeze()["target"]
    filed = await world.active(steps.preserve(account, {**account, "institution": "techcombank"}))
    orders = {order["participant_id"]: order for order in await world.orders(filed.id)}
    await steps.delivered(world, orders["techcombank"])
    await fast_forward(days=91)
    await world.fire()
    assert {order["state"] for order in await world.orders(filed.id)} == {OrderState.LAPSED}
    lifted = await world.active(worlds.lift(filed.id))
    assert [order["participant_id"] for order in await world.orders(lifted.id)] == ["techcombank"]


@pytest.mark.parametrize("original", ["awaiting", "closed", "another agency's"])
async def test_only_an_active_request_of_ones_own_is_lifted(world: World, original: str) -> None:
    filed = await world.submit(worlds.freeze())
    if original == "closed":
        await world.approve(filed.id)
        [order] = await world.orders(filed.id)
        await world.answer(order, outcome="refused", refusal_code="no_balance")
    if original == "another agency's":
        requests = table(ActionRequest)
        await world.hub.writer.run(
            lambda conn: conn.execute(requests.update().values(tenant="sbv").where(requests.c.id == filed.id))
        )
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(worlds.lift(filed.id))
    [error] = refused.value.fields
    code = "request.unknown" if original == "another agency's" else "request.not_active"
    assert (error.field, error.code) == ("/original_request_id", code)


async def test_an_extension_needs_two_officers_and_moves_the_end(world: World, fast_forward) -> None:
    hold = await steps.held(world)
    filed = await world.submit(steps.extend(hold, days=7))
    assert (filed.state, filed.approvals_needed) == (RequestState.AWAITING_APPROVAL, 2)
    assert filed.recipients == ["vietcombank"]
    assert (await steps.order_now(world, hold))["ends_at"] == hold["ends_at"]
    await world.approve(filed.id)
    moved = await steps.order_now(world, hold)
    assert moved["ends_at"] == hold["ends_at"] + timedelta(days=7)
    [request] = await world.rows(ActionRequest, id=hold["request_id"])
    assert request["ends_at"] == moved["ends_at"]
    ends = await world.rows(Deadline, subject_id=hold["id"], stage="end")
    assert [(row["generation"], str(row["state"])) for row in ends] == [(0, "cancelled"), (1, "pending")]
    warnings = await world.rows(Deadline, subject_id=hold["request_id"], stage="end_warning")
    assert [(row["due_at"] - hold["ends_at"], str(row["state"])) for row in warnings] == [
        (timedelta(hours=-12), "cancelled"),
        (timedelta(days=7, hours=-12), "pending"),
    ]
    [order] = await world.orders(filed.id)
    assert (order["original_id"], order["sequence"]) == (hold["id"], hold["sequence"] + 1)
    assert "request.extended" in await world.facts(hold["request_id"])
    # The old end passes and nothing happens; then the warning, then the end.
    await fast_forward(hours=72, seconds=1)
    await world.fire()
    assert (await steps.order_now(world, hold))["state"] is OrderState.EXECUTED
    await fast_forward(days=6, hours=12)
    await world.fire()
    facts = await world.facts(hold["request_id"])
    assert facts.count("hold.ending") == 1
    await fast_forward(hours=12)
    await world.fire()
    assert (await steps.order_now(world, hold))["state"] is OrderState.LAPSED


async def test_an_extension_that_its_bank_confirms_is_done(world: World) -> None:
    hold = await steps.held(world)
    filed = await world.active(steps.extend(hold))
    [order] = await world.orders(filed.id)
    assert (await world.answer(order, outcome="executed")).state is OrderState.EXECUTED
    assert await state_of(world, filed.id) is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []
    assert (await steps.order_now(world, hold))["state"] is OrderState.EXECUTED


async def test_a_hold_lasts_no_longer_than_the_law_allows_however_often_it_is_extended(world: World) -> None:
    hold = await steps.held(world)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.extend(hold, days=28))
    assert [(error.field, error.code) for error in refused.value.fields] == [("/ends_at", "ends_at.beyond_maximum")]
    await world.active(steps.extend(hold, days=20))
    hold = await steps.order_now(world, hold)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.extend(hold, days=8))
    assert [error.code for error in refused.value.fields] == ["ends_at.beyond_maximum"]
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.extend(hold, days=0))
    assert [error.code for error in refused.value.fields] == ["ends_at.not_later"]


@pytest.mark.parametrize("state", [OrderState.LAPSED, OrderState.LIFTED, OrderState.REFUSED])
async def test_what_holds_no_more_cannot_be_extended(world: World, fast_forward, state: OrderState) -> None:
    order = await steps.in_state(world, state, fast_forward)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.extend(order, days=20))
    [error] = refused.value.fields
    assert (error.field, error.code) == ("/original_request_id", "request.not_active")


async def test_an_extension_approved_after_the_hold_ended_is_refused(world: World, fast_forward) -> None:
    hold = await steps.held(world)
    filed = await world.submit(steps.extend(hold))
    await fast_forward(hours=73)
    await world.fire()
    facts = await world.facts(hold["request_id"])
    with pytest.raises(errors.Conflict, match=r"request\.end_has_come"):
        await world.approve(filed.id)
    assert (await steps.order_now(world, hold))["ends_at"] == hold["ends_at"]
    assert await world.facts(hold["request_id"]) == facts
    assert await state_of(world, filed.id) is RequestState.AWAITING_APPROVAL


async def test_a_second_extension_never_shortens_the_first(world: World) -> None:
    hold = await steps.held(world)
    shorter, longer = [await world.submit(steps.extend(hold, days=days)) for days in (5, 10)]
    await world.approve(longer.id)
    with pytest.raises(errors.Conflict):
        await world.approve(shorter.id)
    assert (await steps.order_now(world, hold))["ends_at"] == hold["ends_at"] + timedelta(days=10)


async def test_a_lift_withdraws_the_extension_that_nobody_confirmed(world: World) -> None:
    hold = await steps.held(world)
    extended = await world.active(steps.extend(hold))
    [extension] = await world.orders(extended.id)
    lifted = await world.active(worlds.lift(hold["request_id"]))
    [lift] = await world.orders(lifted.id)
    assert lift["sequence"] > extension["sequence"] > hold["sequence"]
    assert (await steps.order_now(world, extension))["state"] is OrderState.WITHDRAWN
    assert await state_of(world, extended.id) is RequestState.CLOSED
    assert await steps.pending(world, extension["id"]) == []
    await world.answer(lift, outcome="lifted")
    assert await state_of(world, hold["request_id"]) is RequestState.CLOSED


async def test_an_extension_that_nobody_confirmed_ends_with_its_hold(world: World, fast_forward) -> None:
    hold = await steps.held(world)
    extended = await world.active(steps.extend(hold))
    [extension] = await world.orders(extended.id)
    await fast_forward(days=11)
    await world.fire()
    assert (await steps.order_now(world, extension))["state"] is OrderState.WITHDRAWN
    assert await state_of(world, extended.id) is RequestState.CLOSED
    lifts = await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")
    assert [row["order_id"] for row in lifts] == [hold["id"]]
    # Its late confirmation changes nothing and lifts nothing more.
    assert not (await world.answer(extension, outcome="executed")).contradicts
    assert len(await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")) == 1


async def test_no_hold_outlives_its_end(world: World, fast_forward) -> None:
    order_ids = []
    for state in (OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED, OrderState.EXECUTED):
        order_ids.append((await steps.in_state(world, state, fast_forward))["id"])
    await fast_forward(hours=72, seconds=1)
    await world.fire()
    orders = await world.rows(Order)
    assert [order["state"] for order in orders] == [OrderState.LAPSED] * 4
    # The lift goes to whoever may hold something: to all but the one that never got the order.
    lifts = await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")
    assert {row["order_id"] for row in lifts} == set(order_ids[1:])
    assert [await state_of(world, order["request_id"]) for order in orders] == [
        RequestState.CLOSED,
        *[RequestState.ACTIVE] * 3,
    ]


async def test_an_extension_of_an_emergency_hold_that_nobody_reviewed_ends_with_it(
    world: World, fast_forward: Any
) -> None:
    filed = await world.submit(steps.emergency())
    [hold] = await world.orders(filed.id)
    await world.answer(hold, outcome="executed", amount_held=vnd(hold["amount"]))
    longer = await world.active(steps.extend(hold, days=1))
    [order] = await world.orders(longer.id)
    assert order["original_id"] == hold["id"]
    await fast_forward(minutes=121)
    await world.fire()
    assert (await steps.order_now(world, hold))["state"] is OrderState.LAPSED
    assert (await steps.order_now(world, hold))["lift_ordered"]
    # Nobody is asked any more to prolong what is being lifted, and nobody is late with it.
    assert (await steps.order_now(world, order))["state"] is OrderState.WITHDRAWN
    assert (await steps.request_now(world, longer.id))["state"] is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []
    late = await world.answer(order, outcome="executed")
    assert late.state is OrderState.WITHDRAWN
    await world.answer(hold, outcome="lifted")
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.CLOSED
    assert await steps.findings(world) == []
