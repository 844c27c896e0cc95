"""What each answer does to an order in each state, and what it leaves alone."""

from typing import Any

import pytest
import steps
import world as worlds
from steps import ASKED, vnd
from world import World

from service import errors
from service.engine.hub import Hub
from service.models import Acknowledgement, ActionRequest, Deadline, Dispatch, Order, Task
from workflows.terms import Action, OrderState, RequestState

FULL = vnd(ASKED)

BODIES: dict[str, dict[str, Any]] = {
    "received": {"outcome": "received"},
    "executed": {"outcome": "executed", "amount_held": FULL},
    "refused": {"outcome": "refused", "refusal_code": "no_balance"},
    "not mine": {"outcome": "not_mine"},
    "ported": {"outcome": "not_mine", "ported_to": "BIDV"},
    "lifted": {"outcome": "lifted"},
}

# The state that follows, and the fact; "." = nothing changes, "!" = nothing changes, and somebody gets a task.
TABLE = """
              received              executed                  refused        not mine       ported          lifted
placed        acknowledged          executed                  refused        refused+task   rerouted        !
delivered     acknowledged          executed                  refused        refused+task   rerouted        !
acknowledged  acknowledged          executed                  refused        refused+task   rerouted        !
executed      .                     .                         !              !              !               !
refused       .                     !                         .              .              !               !
rerouted      .                     !                         !              .              !               !
withdrawn     .                     .late_answer_lifted       .              .              .               .
lapsed        .acknowledged         .late_answer_lifted       lifted         lifted         lifted          lifted
lifted        .                     !                         !              !              !               .
"""


def cells() -> list[tuple[str, str, str]]:
    heads = ["received", "executed", "refused", "not mine", "ported", "lifted"]
    rows = [line.split() for line in TABLE.strip().splitlines()[1:]]
    return [(row[0], answer, becomes) for row in rows for answer, becomes in zip(heads, row[1:], strict=True)]


def test_the_table_names_every_state_and_every_answer() -> None:
    assert len(cells()) == len(OrderState) * len(BODIES)
    assert {state for state, _, _ in cells()} == set(OrderState)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


@pytest.mark.parametrize("answer", BODIES)
async def test_every_answer_does_what_the_table_says_in_every_state(world: World, fast_forward, answer: str) -> None:
    # The last rows first: what time leaves behind of the others would fire with them.
    for state, _, becomes in reversed([cell for cell in cells() if cell[1] == answer]):
        order = await steps.in_state(world, OrderState(state), fast_forward)
        before = await _traces(world, order)
        taken = await world.answer(order, **BODIES[answer], reference="CV-1")
        after = await _traces(world, order)
        told = [fact.removeprefix("order.") for fact in after["facts"] if fact.startswith("order.")]
        contradicts = becomes == "!"
        follows = state if becomes[0] in ".!" else becomes.removesuffix("+task")
        fact = becomes.lstrip(".").removesuffix("+task") or None
        if contradicts:
            fact = "contradicted"
        where = f"{answer} in {state}"
        assert (taken.state, taken.contradicts, taken.repeated) == (follows, contradicts, False), where
        assert (await steps.order_now(world, order))["state"] == follows, where
        assert told[len(before["told"]) :] == ([fact] if fact else []) + (["placed"] if fact == "rerouted" else []), (
            where
        )
        assert after["tasks"] - before["tasks"] == (contradicts or becomes.endswith("+task")), where
        assert after["answers"] - before["answers"] == 1, where
        lifts = sum(kind.endswith(".lift") for kind in after["sent"]) - sum(
            kind.endswith(".lift") for kind in before["sent"]
        )
        assert lifts == (fact == "late_answer_lifted"), where
    assert await steps.findings(world) == []


async def _traces(world: World, order: dict[str, Any]) -> dict[str, Any]:
    facts = await world.facts(order["request_id"])
    return {
        "facts": facts,
        "told": [fact for fact in facts if fact.startswith("order.")],
        "tasks": len(await world.rows(Task)),
        "answers": len(await world.rows(Acknowledgement)),
        "sent": [row["message_type"] for row in await world.rows(Dispatch)],
    }


async def test_a_part_is_held_and_then_more(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    for amount in (0, 60_000_000, ASKED):
        await world.answer(order, outcome="executed", amount_held=vnd(amount))
        assert (await steps.order_now(world, order))["amount_held"] == amount
    told = [fact for fact in await world.facts(filed.id) if "executed" in fact]
    assert told == ["order.partly_executed", "order.partly_executed", "order.executed"]
    assert await world.rows(Task) == []


async def test_the_same_amount_again_says_nothing_new_and_a_smaller_one_contradicts(world: World) -> None:
    order = await steps.held(world)
    told = await world.facts(order["request_id"])
    again = await world.answer(order, outcome="executed", amount_held=FULL, reference="CV-2")
    assert (again.state, again.contradicts) == (OrderState.EXECUTED, False)
    assert await world.facts(order["request_id"]) == told
    less = await world.answer(order, outcome="executed", amount_held=vnd(ASKED - 1))
    assert less.contradicts
    assert (await steps.order_now(world, order))["amount_held"] == ASKED
    # A second contradiction is a fact, but one person is enough to look into it.
    await world.answer(order, outcome="executed", amount_held=vnd(ASKED - 2))
    assert (await world.facts(order["request_id"])).count("order.contradicted") == 2
    assert [str(task["kind"]) for task in await world.rows(Task)] == ["contradicting_answer"]


async def test_an_execution_without_an_amount_said_twice_is_no_contradiction(world: World) -> None:
    await steps.second_officer(world)
    whole = {"amount": None, "whole_account": {"reason": "Tài khoản rác"}, "officer_id": "approver"}
    domain = {"kind": "domain", "value": "vietcombank-khuyenmai.xyz"}
    for body in (worlds.freeze(**whole), worlds.takedown(domain)):
        filed = await world.submit(body)
        if filed.approvals_needed > 1:
            await world.approve(filed.id, "second")
        [order] = await world.orders(filed.id)
        for reference in ("CV-1", "CV-2"):
            assert not (await world.answer(order, outcome="executed", reference=reference)).contradicts
        assert (await world.facts(filed.id)).count("order.executed") == 1


@pytest.mark.parametrize(
    ("amount", "field"), [({"amount_held": vnd(ASKED + 1)}, "amount_held.more_than_asked"), ({}, "field.missing")]
)
async def test_an_amount_that_cannot_be_is_refused_and_nothing_is_written(world: World, amount, field: str) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    before = await _traces(world, order)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="executed", **amount)
    assert [(error.field, error.code) for error in refused.value.fields] == [("/amount_held", field)]
    assert await _traces(world, order) == before
    assert await steps.order_now(world, order) == order


async def test_an_amount_belongs_to_a_freeze_only(world: World) -> None:
    held = await steps.held(world)
    lifted = await world.active(worlds.lift(held["request_id"]))
    taken = await world.active(worlds.takedown({"kind": "domain", "value": "lua-dao.xyz"}))
    for request in (lifted, taken):
        [order] = await world.orders(request.id)
        with pytest.raises(errors.InvalidInput) as refused:
            await world.answer(order, outcome="executed", amount_held=vnd(1))
        assert [error.code for error in refused.value.fields] == ["amount_held.not_for_action"]


async def test_the_same_answer_again_is_answered_as_the_first_and_nothing_is_written(world: World) -> None:
    order = await steps.held(world)
    first = await world.rows(Acknowledgement)
    before = await _traces(world, order)
    again = await world.answer(order, outcome="executed", amount_held=FULL)
    assert (again.id, again.repeated) == (first[0]["id"], True)
    assert await _traces(world, order) == before


async def test_a_repetition_that_comes_late_is_not_taken_for_a_smaller_amount(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    part = {"outcome": "executed", "amount_held": vnd(1_000)}
    await world.answer(order, **part)
    await world.answer(order, outcome="executed", amount_held=FULL)
    assert (await world.answer(order, **part)).repeated
    assert await world.rows(Task) == []


async def test_lifted_said_too_early_contradicts_and_said_again_at_the_end_confirms(world: World, fast_forward) -> None:
    order = await steps.held(world)
    assert (await world.answer(order, outcome="lifted")).contradicts
    await fast_forward(hours=73)
    await world.fire()
    confirmed = await world.answer(order, outcome="lifted")
    assert (confirmed.state, confirmed.repeated, confirmed.contradicts) == (OrderState.LIFTED, False, False)


async def test_received_expires_and_the_acknowledge_clock_opens_anew(world: World, fast_forward) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    assert (await world.answer(order, outcome="received")).state is OrderState.ACKNOWLEDGED
    valid = [("acknowledgement_end", 0, 0), ("end", 0, 0), ("execute", 0, 0)]
    assert await steps.pending(world, order["id"]) == valid
    # While it is valid the same words are a repetition, other words renew it.
    assert (await world.answer(order, outcome="received")).repeated
    assert await steps.pending(world, order["id"]) == valid
    await world.answer(order, outcome="received", reference="CV-7")
    assert ("acknowledgement_end", 0, 1) in await steps.pending(world, order["id"])
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    assert "order.acknowledgement_expired" in await world.facts(filed.id)
    assert ("acknowledge", 0, 1) in await steps.pending(world, order["id"])
    [reopened] = await world.rows(Deadline, subject_id=order["id"], stage="acknowledge", generation=1)
    [expired] = await world.rows(Deadline, subject_id=order["id"], stage="acknowledgement_end", generation=1)
    # The same five minutes again, from the instant of the expiry and not of its firing.
    assert reopened["started_at"] == expired["due_at"]
    assert (reopened["due_at"] - reopened["started_at"]).total_seconds() == 300
    again = await world.answer(order, outcome="received")
    assert (again.repeated, again.state) == (False, OrderState.ACKNOWLEDGED)
    assert ("acknowledgement_end", 0, 2) in await steps.pending(world, order["id"])
    assert ("acknowledge", 0, 1) not in await steps.pending(world, order["id"])
    # The approval, the receipt, the acknowledgement and the acknowledgement anew.
    assert (await world.facts(filed.id)).count("deadline.met") == 4


async def test_received_that_expires_again_is_escalated_again(world: World, fast_forward) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="received")
    await fast_forward(minutes=15, seconds=1)
    await world.fire()
    missed = await world.rows(Deadline, subject_id=order["id"], stage="acknowledge", generation=1)
    assert [(row["rung"], str(row["state"])) for row in missed] == [(0, "missed"), (1, "missed")]


@pytest.mark.parametrize("gone", ["lapsed", "withdrawn"])
async def test_executed_that_comes_too_late_is_lifted_at_once(world: World, fast_forward, gone: str) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    if gone == "lapsed":
        await fast_forward(hours=73)
        await world.fire()
    else:
        await world.active(worlds.lift(filed.id))
    # It was never delivered, as far as the hub knows, so nothing was said and all of it is over.
    assert (await steps.order_now(world, order))["state"] == gone
    assert [row["message_type"] for row in await world.rows(Dispatch)] == ["vn.hoatoc.order.freeze"]
    assert (await world.rows(ActionRequest, id=filed.id))[0]["state"] is RequestState.CLOSED
    await world.answer(order, outcome="executed", amount_held=FULL)
    lift = (await world.rows(Dispatch))[-1]
    assert (lift["message_type"], str(lift["state"]), lift["urgent"]) == ("vn.hoatoc.order.lift", "pending", True)
    clocks = [("acknowledge", 0, 1), ("execute", 0, 1), ("receipt", 0, 1)]
    assert await steps.pending(world, order["id"]) == clocks
    # Said once more in other words, the lift goes out once more, and the participant's time does not begin anew.
    await world.answer(order, outcome="executed", amount_held=FULL, reference="CV-3")
    assert len(await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")) == 2
    assert await steps.pending(world, order["id"]) == clocks
    await world.answer(order, outcome="lifted")
    assert await steps.pending(world, order["id"]) == []
    assert (await steps.order_now(world, order))["amount_held"] == ASKED


async def test_not_mine_and_ported_goes_on_to_the_one_that_is_named(world: World, fast_forward) -> None:
    filed = await world.active(worlds.takedown({"kind": "phone", "value": "+84981234567"}))
    [order] = await world.orders(filed.id)
    assert order["participant_id"] == "viettel"
    await fast_forward(minutes=3)
    assert (await world.answer(order, outcome="not_mine", ported_to="452-02")).state is OrderState.REROUTED
    [old, new] = await world.orders(filed.id)
    assert (old["state"], new["state"]) == (OrderState.REROUTED, OrderState.PLACED)
    assert (new["participant_id"], new["rerouted_from_id"]) == ("vinaphone", old["id"])
    assert await steps.pending(world, old["id"]) == []
    stages = [("acknowledge", 0, 0), ("end", 0, 0), ("execute", 0, 0), ("receipt", 0, 0)]
    assert await steps.pending(world, new["id"]) == stages
    clocks = await world.rows(Deadline, subject_id=new["id"], stage="execute")
    assert (clocks[0]["due_at"] - new["placed_at"]).total_seconds() == 600
    [_, sent] = await world.rows(Dispatch, request_id=filed.id)
    assert (sent["participant_id"], sent["order_id"]) == ("vinaphone", new["id"])
    # Said again in other words it is nothing new; another destination is for a person to look at.
    assert not (await world.answer(order, outcome="not_mine", ported_to="VinaPhone", reference="1")).contradicts
    assert (await world.answer(order, outcome="not_mine", ported_to="mobifone")).contradicts
    assert len(await world.orders(filed.id)) == 2


async def test_two_telecoms_do_not_send_a_number_back_and_forth(world: World) -> None:
    filed = await world.active(worlds.takedown({"kind": "phone", "value": "+84981234567"}))
    [first] = await world.orders(filed.id)
    await world.answer(first, outcome="not_mine", ported_to="vinaphone")
    second = (await world.orders(filed.id))[1]
    back = await world.answer(second, outcome="not_mine", ported_to="viettel")
    assert back.state is OrderState.REFUSED
    assert len(await world.orders(filed.id)) == 2
    assert [(str(task["kind"]), task["order_id"]) for task in await world.rows(Task)] == [("not_mine", second["id"])]
    assert (await world.rows(ActionRequest))[0]["state"] is RequestState.CLOSED


async def test_ported_to_oneself_is_refused_and_a_task(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    assert (await world.answer(order, outcome="not_mine", ported_to="vietcombank")).state is OrderState.REFUSED
    assert [str(task["kind"]) for task in await world.rows(Task)] == ["not_mine"]


@pytest.mark.parametrize("unknown", ["Ngân hàng không có", "viettel", "452-99"])
async def test_ported_to_somebody_unknown_names_the_field_and_writes_nothing(world: World, unknown: str) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    before = await _traces(world, order)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.answer(order, outcome="not_mine", ported_to=unknown)
    assert [(error.field, error.code) for error in refused.value.fields] == [("/ported_to", "institution.unknown")]
    assert await _traces(world, order) == before
    assert await steps.order_now(world, order) == order


async def test_ported_to_somebody_out_of_reach_becomes_a_task_and_keeps_the_request_open(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="not_mine", ported_to="ACB")
    assert len(await world.orders(filed.id)) == 1
    [task] = await world.rows(Task)
    assert (str(task["kind"]), task["participant_id"]) == ("unreachable_participant", "acb")
    assert (await world.rows(ActionRequest))[0]["state"] is RequestState.ACTIVE


async def test_a_freeze_that_goes_on_meets_the_holds_that_are_there(world: World) -> None:
    there = await world.active(worlds.freeze(target={**worlds.freeze()["target"], "institution": "techcombank"}))
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="not_mine", ported_to="techcombank")
    assert "hold.overlaps" in await world.facts(filed.id)
    assert "hold.overlaps" in await world.facts(there.id)


async def test_an_extension_is_never_sent_on_to_another_bank(world: World) -> None:
    held = await steps.held(world)
    extended = await world.active(steps.extend(held, days=5))
    [order] = await world.orders(extended.id)
    assert (await world.answer(order, outcome="not_mine", ported_to="techcombank")).state is OrderState.REFUSED
    assert len(await steps.of_action(world, Action.EXTEND)) == 1
    assert [str(task["kind"]) for task in await world.rows(Task)] == ["not_mine"]


async def test_a_bank_that_has_the_lift_is_not_called_for_an_acknowledgement(world: World, fast_forward) -> None:
    order = await steps.in_state(world, OrderState.LAPSED, fast_forward)
    waits = [("acknowledge", 0, 1), ("execute", 0, 1), ("receipt", 0, 1)]
    assert await steps.pending(world, order["id"]) == waits
    assert (await world.answer(order, outcome="received")).state is OrderState.LAPSED
    assert await steps.pending(world, order["id"]) == waits[1:2]


async def test_what_a_participant_said_is_kept_whatever_becomes_of_it(world: World, fast_forward) -> None:
    order = await steps.in_state(world, OrderState.LAPSED, fast_forward)
    await world.answer(order, outcome="refused", refusal_code="target_closed")
    assert str((await world.rows(Acknowledgement))[-1]["refusal_code"]) == "target_closed"
    assert (await world.rows(Order))[0]["state"] is OrderState.LIFTED
