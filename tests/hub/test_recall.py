"""A recall of money in flight: what it must name, what its order says, its answers, its lapse and its proof."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from opening import opened
from pydantic import ValidationError
from rigs import FastForward
from sqlalchemy.exc import IntegrityError
from steps import ASKED, vnd
from world import World

from service import errors
from service.engine import erasing
from service.engine import evidence as bundles
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import Acknowledgement, ActionRequest, Dispatch, Order, QueueItem, Task
from service.queries import requests
from service.security import evidence
from service.vault import sealing
from workflows.terms import DispatchState, OrderState, RefusalCode, RequestState

FULL = {"outcome": "executed", "amount_returned": vnd(ASKED)}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def placed(world: World, **changes: Any) -> dict[str, Any]:
    """A recall that two officers signed; returns its order."""
    filed = await world.active(steps.recall(**changes))
    [order] = await world.orders(filed.id)
    return order


async def message(world: World, order: dict[str, Any]) -> dict[str, Any]:
    [sent] = await world.rows(Dispatch, order_id=order["id"], kind="order")
    sealed = await opened(world.hub, "dispatches", sent["id"], sent["tenant"], sent["message_sealed"])
    read: dict[str, Any] = json.loads(sealed)
    return read


@pytest.mark.parametrize(
    "path", ["amount", "payment", "payment.reference", "payment.sent_on", "payment.sender", "target", "document"]
)
def test_the_schema_refuses_a_recall_that_lacks(path: str) -> None:
    worlds.SUBMIT.validate_python(steps.recall())
    body = copy.deepcopy(steps.recall())
    *parents, last = path.split(".")
    at = body
    for parent in parents:
        at = at[parent]
    del at[last]
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python(body)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": vnd(0)},
        {"whole_account": {"reason": "all of it"}},
        {"ends_at": "2026-12-24T00:00:00Z"},
        {"payment": {**steps.recall()["payment"], "note": "x"}},
        {"payment": {**steps.recall()["payment"], "reference": "x" * 36}},
        {"payment": {**steps.recall()["payment"], "sent_on": "20/11/2026"}},
        {"target": {"kind": "card", "value": "4111111111111111", "holder_name": "NGUYEN VAN MAU"}},
        {"target": {"kind": "phone", "value": "+84980000001"}},
    ],
)
def test_the_schema_refuses_a_recall_with(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        worlds.SUBMIT.validate_python(steps.recall(**changes))


async def test_its_order_names_the_payment_and_lapses_a_day_after_it_was_filed(world: World) -> None:
    before = await world.rows(Order)
    filed = await world.submit(steps.recall())
    assert (filed.approvals_needed, filed.state) == (2, RequestState.AWAITING_APPROVAL)
    assert await world.rows(Order) == before == []
    await world.approve(filed.id)
    [order] = await world.orders(filed.id)
    sent = await message(world, order)
    body = sent["body"]
    assert sent["type"] == "vn.hoatoc.order.recall"
    assert body["payment"] == steps.recall()["payment"]
    assert (body["action"], body["amount"], body["whole_account"]) == ("recall", vnd(ASKED), False)
    assert (body["asked"], body["confidential"], body["measure"]) == (None, False, None)
    assert filed.ends_at == filed.starts_at + timedelta(hours=24)
    assert [stage["stage"] for stage in body["deadlines"]] == ["receipt", "acknowledge", "execute"]
    assert len(await steps.pending(world, order["id"])) == 4


async def test_the_agency_sees_the_payment_again(world: World) -> None:
    order = await placed(world)
    async with world.hub.database.read() as conn:
        detail = await requests.one(conn, world.hub.vault, world.police, order["request_id"])
    assert detail is not None and detail.payment is not None
    assert detail.payment.model_dump(mode="json") == steps.recall()["payment"]
    assert detail.asked is None


async def test_a_payment_that_lies_ahead_is_refused_and_nothing_is_written(world: World) -> None:
    payment = {**steps.recall()["payment"], "sent_on": "2999-01-01"}
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(steps.recall(payment=payment))
    assert [(error.field, error.code) for error in refused.value.fields] == [
        ("/payment/sent_on", "payment.not_sent_yet")
    ]
    assert await world.rows(ActionRequest) == []


@pytest.mark.parametrize(("basis", "rule"), [("emergency", "action_not_covered"), ("cpc_88", "action_not_covered")])
async def test_a_basis_that_does_not_cover_it_is_refused(world: World, basis: str, rule: str) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await world.submit(steps.recall(legal_basis=basis))
    assert refused.value.code == f"authority.{rule}"


async def test_money_that_came_back_whole_ends_it(world: World) -> None:
    order = await placed(world)
    taken = await world.answer(order, **FULL)
    now = await steps.order_now(world, order)
    assert (taken.state, now["amount_returned"], now["amount_held"]) == (OrderState.EXECUTED, ASKED, None)
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    assert await steps.pending(world, order["id"]) == []
    assert (await world.facts(order["request_id"]))[-1] == "request.closed"
    [row] = await world.rows(Acknowledgement, order_id=order["id"])
    assert row["amount_returned"] == ASKED


async def test_a_part_may_grow_though_the_request_is_closed_and_never_shrinks(world: World) -> None:
    order = await placed(world)
    for amount in (1_000_000, 60_000_000, ASKED):
        await world.answer(order, outcome="executed", amount_returned=vnd(amount))
        assert (await steps.order_now(world, order))["amount_returned"] == amount
    told = [fact for fact in await world.facts(order["request_id"]) if "executed" in fact]
    assert told == ["order.partly_executed", "order.partly_executed", "order.executed"]
    less = await world.answer(order, outcome="executed", amount_returned=vnd(ASKED - 1))
    again = await world.answer(order, **FULL, reference="CV-2")
    assert (less.contradicts, again.contradicts, again.state) == (True, False, OrderState.EXECUTED)
    assert (await steps.order_now(world, order))["amount_returned"] == ASKED
    assert await steps.findings(world) == []


@pytest.mark.parametrize(
    ("answer", "field", "code"),
    [
        ({"amount_returned": vnd(ASKED + 1)}, "/amount_returned", "amount_returned.more_than_asked"),
        ({}, "/amount_returned", "field.missing"),
        ({"amount_held": vnd(1), "amount_returned": vnd(1)}, "/amount_held", "amount_held.not_for_action"),
        ({"amount_returned": vnd(1), "disclosed": {}}, "/disclosed", "disclosed.not_for_action"),
    ],
)
async def test_an_execution_says_what_came_back_and_nothing_else(
    world: World, answer: dict[str, Any], field: str, code: str
) -> None:
    order = await placed(world)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="executed", **answer)
    assert [(error.field, error.code) for error in refused.value.fields] == [(field, code)]
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED
    assert await world.rows(Acknowledgement) == []


@pytest.mark.parametrize("code", [code for code in RefusalCode if code is not RefusalCode.NOT_MINE])
async def test_every_code_refuses_it(world: World, code: RefusalCode) -> None:
    order = await placed(world)
    taken = await world.answer(order, outcome="refused", refusal_code=str(code))
    assert taken.state is OrderState.REFUSED
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED


async def test_a_freeze_is_not_refused_with_what_speaks_of_a_payment_nor_answered_with_a_return(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="refused", refusal_code="already_paid_out")
    assert [(error.field, error.code) for error in refused.value.fields] == [
        ("/refusal_code", "refusal_code.not_for_action")
    ]
    with pytest.raises(errors.InvalidInput) as answered:
        await world.answer(order, outcome="executed", amount_held=vnd(1), amount_returned=vnd(1))
    assert [error.code for error in answered.value.fields] == ["amount_returned.not_for_action"]
    assert await world.rows(Acknowledgement) == []


async def test_unanswered_for_a_day_it_lapses_without_a_lift_and_what_comes_late_is_a_task(
    world: World, fast_forward: FastForward
) -> None:
    order = await placed(world)
    await steps.delivered(world, order)
    await fast_forward(hours=25)
    await world.fire()
    assert (await steps.order_now(world, order))["state"] is OrderState.LAPSED
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    kinds = {row["message_type"] for row in await world.rows(Dispatch, order_id=order["id"], kind="order")}
    assert kinds == {"vn.hoatoc.order.recall"}
    tasks = len(await world.rows(Task))
    no = await world.answer(order, outcome="refused", refusal_code="already_paid_out")
    late = await world.answer(order, **FULL)
    assert (no.state, no.contradicts) == (OrderState.LAPSED, False)
    assert (late.state, late.contradicts) == (OrderState.LAPSED, True)
    assert len(await world.rows(Task)) == tasks + 1
    assert await steps.findings(world) == []


async def test_money_that_went_on_is_recalled_where_it_went(world: World) -> None:
    order = await placed(world)
    await world.answer(order, outcome="not_mine", ported_to="BIDV")
    first, second = await world.orders(order["request_id"])
    assert (first["state"], second["participant_id"]) == (OrderState.REROUTED, "bidv")
    assert (await message(world, second))["body"]["payment"] == steps.recall()["payment"]


async def test_it_is_neither_lifted_nor_extended(world: World) -> None:
    order = await placed(world)
    for undo in (worlds.lift(order["request_id"]), steps.extend(order)):
        with pytest.raises(errors.InvalidInput) as refused:
            await world.submit(undo)
        assert [error.code for error in refused.value.fields] == ["request.not_active"]


@pytest.mark.parametrize("lacking", [{"payment_sealed": None}, {"amount": None}, {"ends_at": None}])
async def test_the_database_refuses_a_recall_that_lacks(world: World, lacking: dict[str, Any]) -> None:
    order = await placed(world)
    rows = table(ActionRequest)
    with pytest.raises(IntegrityError):
        await world.hub.writer.run(
            lambda conn: conn.execute(sa.update(rows).where(rows.c.id == order["request_id"]).values(**lacking))
        )


async def test_the_database_places_none_that_one_officer_signed(world: World) -> None:
    order = await placed(world)
    lone = await world.submit(steps.recall(case_number="02/2026/CA"))
    rows, orders = table(ActionRequest), table(Order)

    async def unit(conn: Any) -> None:
        await conn.execute(sa.update(rows).where(rows.c.id == lone.id).values(state=RequestState.ACTIVE))
        await conn.execute(sa.insert(orders).values({**order, "id": lone.id, "request_id": lone.id}))

    with pytest.raises((IntegrityError, sa.exc.DBAPIError), match="orders_signed_by_two"):
        await world.hub.writer.run(unit)


async def test_the_evidence_proves_the_payment_and_what_came_back(world: World) -> None:
    order = await placed(world)
    await world.answer(order, outcome="executed", amount_returned=vnd(1))
    await world.answer(order, **FULL)
    bundle = await bundles.export(world.hub, str(order["request_id"]))
    assert [check.name for check in evidence.verify(bundle) if check.wrong] == []
    for name, other in (("payment", {**steps.recall()["payment"], "sender": "970436"}), ("confidential", True)):
        changed = json.loads(bundle)
        changed["requests"][0]["orders"][0]["messages"][0]["body"][name] = other
        found = [check.wrong for check in evidence.verify(json.dumps(changed)) if check.name == "order.agrees"]
        assert any(name in wrong for wrong in found), name
    more = json.loads(bundle)
    more["requests"][0]["orders"][0]["answers"][0]["body"] = json.dumps({**FULL, "amount_returned": vnd(2)})
    assert "answers.recorded" in {check.name for check in evidence.verify(json.dumps(more)) if check.wrong}


async def test_erased_nobody_reads_the_payment_any_more(world: World) -> None:
    order = await placed(world)
    await world.answer(order, **FULL)

    async def unit(conn: Any) -> None:
        await conn.execute(sa.delete(table(QueueItem)))
        await conn.execute(sa.update(table(Dispatch)).values(state=DispatchState.DELIVERED))

    await world.hub.writer.run(unit)
    why = Decided("15/QD-XOA", "a", await steps.now(world), "b")
    # Nothing is held: it need not wait until the day is over.
    assert await erasing.run(world.hub, order["request_id"], world.hub.actor, why) == 1
    [row] = await world.rows(ActionRequest, id=order["request_id"])
    assert row["payment_sealed"] == sealing.stub(order["request_id"])
    async with world.hub.database.read() as conn:
        detail = await requests.one(conn, world.hub.vault, world.police, order["request_id"])
    assert detail is not None and (detail.erased, detail.payment) == (True, None)
    assert await steps.findings(world) == []
