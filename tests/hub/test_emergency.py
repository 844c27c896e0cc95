"""Who may make a request active: one officer in an emergency, two otherwise, never the same one twice."""

import asyncio
import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from steps import vnd
from world import World

from service import audit, errors
from service.actions import approve_request, withdraw_request
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, AuditEntry, Dispatch, Officer, Order
from workflows.terms import OrderState, RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network with one officer more, of too low a rank to approve, and one who is suspended."""
    made = World(hub)
    await made.settle_in()
    await steps.second_officer(made)
    await change_officer(made, "junior", powers=["order", "approve"])
    return made


async def change_officer(world: World, officer_id: str, **values: Any) -> None:
    officers = table(Officer)
    changed = sa.update(officers).where(officers.c.id == officer_id).values(**values)
    await world.hub.writer.run(lambda conn: conn.execute(changed))


async def refusals(world: World, chain: str) -> list[str]:
    """The facts of refused authority in a chain."""
    rows = await world.rows(AuditEntry, chain=chain, code="authority.refused")
    return [row["data"] for row in rows]


async def test_one_officer_orders_an_emergency_hold_and_it_is_active_at_once(world: World) -> None:
    filed = await world.submit(steps.emergency())
    assert (filed.state, filed.approvals_needed) == (RequestState.ACTIVE, 1)
    assert filed.review_by is not None
    assert filed.review_by - filed.submitted_at == timedelta(hours=2)
    # Nobody named an end: it is the longest that the basis allows, and no default of three days.
    assert filed.ends_at == filed.starts_at + timedelta(hours=24)
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.PLACED
    assert len(await world.rows(Dispatch, order_id=order["id"])) == 1


async def test_an_emergency_hold_that_is_reviewed_in_time_stays(world: World, fast_forward) -> None:
    filed = await world.submit(steps.emergency())
    await fast_forward(minutes=119)
    await world.review(filed.id)
    await fast_forward(minutes=2)
    await world.fire()
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.PLACED
    assert ("review", 0, 0) not in await steps.pending(world, filed.id)
    facts = await world.facts(filed.id)
    assert "request.reviewed" in facts
    assert "request.unreviewed" not in facts
    with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_review"):
        await world.review(filed.id, "second")
    # Its own end is not moved by that.
    await fast_forward(hours=22)
    await world.fire()
    assert (await world.orders(filed.id))[0]["state"] is OrderState.LAPSED


async def test_an_emergency_hold_that_nobody_reviews_lifts_itself(world: World, fast_forward) -> None:
    filed = await world.submit(steps.emergency())
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    await fast_forward(minutes=119)
    await world.fire()
    assert (await steps.order_now(world, order))["state"] is OrderState.EXECUTED
    await fast_forward(minutes=1)
    await world.fire()
    assert (await steps.order_now(world, order))["state"] is OrderState.LAPSED
    assert len(await world.rows(Dispatch, message_type="vn.hoatoc.order.lift")) == 1
    assert "request.unreviewed" in await world.facts(filed.id)
    # The agency is told of it by the ladder, and a review now would come too late.
    with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_review"):
        await world.review(filed.id)
    await world.answer(order, outcome="lifted")
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.CLOSED
    assert await steps.pending(world, filed.id) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"amount": vnd(500_000_001)}, "amount_over_cap"),
        ({"urgency": "thuong_khan"}, "urgency_too_low"),
        ({"amount": None, "whole_account": {"reason": "Tài khoản rác"}}, "whole_account_not_covered"),
        ({"officer_id": "approver"}, "power_missing"),
    ],
)
async def test_an_emergency_hold_is_small_urgent_and_by_whom_it_was_entrusted_to(
    world: World, changes: dict[str, Any], rule: str
) -> None:
    body = {name: value for name, value in {**steps.emergency(), **changes}.items() if value is not None}
    with pytest.raises(errors.Forbidden, match=rf"authority\.{rule}"):
        await world.submit(body)
    assert await world.rows(ActionRequest) == []
    [fact] = await refusals(world, audit.tenant_chain(worlds.AGENCY))
    assert rule in fact


async def test_an_emergency_hold_is_short(world: World) -> None:
    at = await steps.now(world)
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit({**steps.emergency(), "ends_at": (at + timedelta(hours=25)).isoformat()})
    assert [(error.field, error.code) for error in refused.value.fields] == [("/ends_at", "ends_at.beyond_maximum")]


@pytest.mark.parametrize("verb", [World.approve, World.review])
@pytest.mark.parametrize(
    ("officer", "rule"),
    [
        ("maker", "same_officer"),
        ("junior", "rank_too_low"),
        ("powerless", "power_missing"),
        ("suspended", "officer_inactive"),
    ],
)
async def test_whoever_may_not_sign_second_does_not_and_it_is_a_fact(
    world: World, verb: Callable[..., Any], officer: str, rule: str
) -> None:
    await change_officer(world, "maker", powers=["order", "emergency", "approve"])
    await change_officer(world, "second", powers=["order"] if officer == "powerless" else ["order", "approve"])
    await change_officer(world, "approver", active=officer != "suspended")
    name = {"powerless": "second", "suspended": "approver"}.get(officer, officer)
    is_review = verb is World.review
    filed = await world.submit(steps.emergency() if is_review else worlds.freeze())
    with pytest.raises(errors.Forbidden, match=rf"authority\.{rule}"):
        await verb(world, filed.id, name)
    [fact] = await refusals(world, audit.request_chain(filed.id))
    assert rule in fact
    assert await world.rows(Approval) == []
    assert len(await world.orders(filed.id)) == is_review
    assert (await steps.request_now(world, filed.id))["reviewed_at"] is None


async def test_a_maker_who_was_suspended_since_does_not_count_as_a_signature(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    await change_officer(world, "maker", active=False)
    with pytest.raises(errors.Forbidden, match=r"authority\.officer_inactive"):
        await world.approve(filed.id)
    assert await world.orders(filed.id) == []


async def test_an_appointment_that_ended_signs_neither_first_nor_second_nor_withdraws(
    world: World, fast_forward: Any
) -> None:
    filed = await world.submit(worlds.freeze())
    until = await steps.now(world) + timedelta(hours=1)
    await change_officer(world, "maker", appointed_until=until)
    await change_officer(world, "approver", appointed_until=until)
    other = await world.submit(worlds.freeze())
    await world.approve(other.id)
    await fast_forward(hours=1)
    for ended in (
        lambda: world.submit(worlds.freeze()),
        lambda: world.submit(steps.emergency()),
        # Whoever filed it is not in office any more; and then, whoever approves it is not.
        lambda: world.approve(filed.id, "second"),
        lambda: world.withdraw(filed.id),
    ):
        with pytest.raises(errors.Forbidden, match=r"authority\.officer_inactive"):
            await ended()
    await change_officer(world, "maker", appointed_until=None)
    with pytest.raises(errors.Forbidden, match=r"authority\.officer_inactive"):
        await world.approve(filed.id)
    assert await world.orders(filed.id) == []
    await world.approve(filed.id, "second")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"rank": "thuong_uy"}, "rank_too_low"),
        ({"rank": "dai_uy"}, "amount_over_cap"),
        ({"powers": ["approve"]}, "power_missing"),
    ],
)
async def test_a_first_officer_who_may_not_order_it_any_more_is_no_signature(
    world: World, change: dict[str, Any], rule: str
) -> None:
    await change_officer(world, "maker", rank="thieu_ta")
    filed = await world.submit(worlds.freeze(amount=vnd(3_000_000_000)))
    await change_officer(world, "maker", **change)
    with pytest.raises(errors.Forbidden, match=rf"authority\.{rule}"):
        await world.approve(filed.id)
    [fact] = await refusals(world, audit.request_chain(filed.id))
    assert rule in fact
    assert await world.orders(filed.id) == []


async def test_a_whole_account_and_what_prolongs_it_take_two_seniors(world: World) -> None:
    await change_officer(world, "maker", rank="thieu_ta")
    await change_officer(world, "second", rank="dai_uy")
    whole = worlds.freeze(whole_account={"reason": "Tài khoản thuê mở"})
    del whole["amount"]
    filed = await world.submit(whole)
    with pytest.raises(errors.Forbidden, match=r"authority\.whole_account_needs_senior"):
        await world.approve(filed.id, "second")
    await world.approve(filed.id)
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed")
    longer = await world.submit(steps.extend(order))
    with pytest.raises(errors.Forbidden, match=r"authority\.whole_account_needs_senior"):
        await world.approve(longer.id, "second")
    await world.approve(longer.id)
    # Of a named amount, he may well be the second.
    await world.approve((await world.submit(worlds.freeze())).id, "second")


async def test_a_third_emergency_hold_waits_for_a_second_pair_of_eyes(world: World, fast_forward: Any) -> None:
    first, second = await world.submit(steps.emergency()), await world.submit(steps.emergency())
    with pytest.raises(errors.Forbidden, match=r"authority\.emergency_in_a_row"):
        await world.submit(steps.emergency())
    [fact] = await refusals(world, audit.tenant_chain(worlds.AGENCY))
    assert "emergency_in_a_row" in fact
    assert len(await world.rows(ActionRequest)) == len(await world.rows(Order)) == 2
    # Another officer has a row of his own, and what two sign has none.
    await change_officer(world, "second", powers=["emergency"], rank="trung_uy")
    await world.submit(steps.emergency(officer_id="second"))
    await world.submit(worlds.freeze())
    # A look at the older one is enough; the newer one lapses without, and still counts.
    await world.review(first.id)
    await fast_forward(hours=3)
    await world.fire()
    assert "request.unreviewed" in await world.facts(second.id)
    await world.submit(steps.emergency())
    with pytest.raises(errors.Forbidden, match=r"authority\.emergency_in_a_row"):
        await world.submit(steps.emergency())


async def test_an_approval_of_other_work_ends_the_row_and_a_filing_alone_does_not(world: World) -> None:
    for _ in range(2):
        await world.submit(steps.emergency())
    awaits = await world.submit(worlds.freeze())
    with pytest.raises(errors.Forbidden, match=r"authority\.emergency_in_a_row"):
        await world.submit(steps.emergency())
    await world.approve(awaits.id)
    await world.submit(steps.emergency())


async def test_an_officer_of_nobody_knows_whom_signs_nothing(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    approve = functools.partial(approve_request.approve, signature=None)
    withdraw = functools.partial(withdraw_request.withdraw, raw=b"{}", signature=None)
    for verb in (approve, withdraw):
        with pytest.raises(errors.InvalidInput) as refused:
            await verb(world.hub, world.police, filed.id, "nobody")
        assert [(error.field, error.code) for error in refused.value.fields] == [("/officer_id", "officer.unknown")]
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.AWAITING_APPROVAL


@pytest.mark.parametrize("verb", [approve_request.approve, approve_request.review, withdraw_request.withdraw])
async def test_anothers_request_is_as_unknown_as_one_that_does_not_exist(
    world: World, verb: Callable[..., Any]
) -> None:
    filed = await world.submit(worlds.freeze())
    stranger = worlds._principal("x", "sbv", worlds.Sector.AGENCY, worlds.Role.MAKER, worlds.Role.APPROVER)
    told = []
    for principal, request_id in ((stranger, filed.id), (world.police, worlds.uuid4())):
        with pytest.raises(errors.NotFound) as unknown:
            unsigned = (b"{}", None) if verb is withdraw_request.withdraw else (None,)
            await verb(world.hub, principal, request_id, "approver", *unsigned)
        told.append((unknown.value.code, unknown.value.params))
    assert told[0] == told[1]


async def test_approving_twice_places_once(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    await world.approve(filed.id)
    with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_approval"):
        await world.approve(filed.id, "second")
    assert len(await world.orders(filed.id)) == 1


async def test_eight_approvals_at_one_instant_place_once(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    names = ["approver", "second"] * 4
    done = await asyncio.gather(*(world.approve(filed.id, name) for name in names), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["Conflict"] * 7 + ["NoneType"]
    assert len(await world.orders(filed.id)) == len(await world.rows(Dispatch)) == len(await world.rows(Approval)) == 1
    assert (await world.facts(filed.id)).count("request.activated") == 1
    assert await steps.findings(world) == []


async def test_an_approval_and_a_withdrawal_at_one_instant_are_one_of_the_two(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    done = await asyncio.gather(
        world.approve(filed.id),
        world.withdraw(filed.id),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in done) == ["Conflict", "NoneType"]
    state = (await steps.request_now(world, filed.id))["state"]
    assert len(await world.orders(filed.id)) == (state is RequestState.ACTIVE)


async def test_a_request_whose_end_comes_before_its_second_officer_lapses(world: World, fast_forward) -> None:
    filed = await world.submit(worlds.freeze())
    await fast_forward(hours=72, seconds=1)
    # Whether or not the clock has fired: it is over.
    with pytest.raises(errors.Conflict, match=r"request\.end_has_come"):
        await world.approve(filed.id)
    await world.fire()
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.LAPSED
    assert await world.rows(Order) == []
    with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_approval"):
        await world.approve(filed.id)
    assert await steps.pending(world, filed.id) == []
    assert (await world.facts(filed.id))[-1] == "request.lapsed"


async def test_a_request_that_awaits_approval_can_be_withdrawn_and_an_active_one_cannot(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    await world.withdraw(filed.id)
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.WITHDRAWN
    assert await steps.pending(world, filed.id) == []
    for request_id in (filed.id, (await world.active(worlds.freeze())).id):
        with pytest.raises(errors.Conflict, match=r"request\.not_awaiting_approval"):
            await world.withdraw(request_id)


async def test_a_suspended_officer_withdraws_nothing(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    await change_officer(world, "junior", active=False)
    with pytest.raises(errors.Forbidden, match=r"authority\.officer_inactive"):
        await world.withdraw(filed.id, "junior")
    assert (await steps.request_now(world, filed.id))["state"] is RequestState.AWAITING_APPROVAL


async def test_an_institution_that_left_since_is_an_answer_and_no_fault(world: World) -> None:
    filed = await world.submit(worlds.freeze())
    members = table(worlds.Participant)
    gone = sa.update(members).where(members.c.id == "vietcombank").values(status="closed")
    await world.hub.writer.run(lambda conn: conn.execute(gone))
    world.hub.registry.forget()
    with pytest.raises(errors.InvalidInput) as refused:
        await world.approve(filed.id)
    assert [error.code for error in refused.value.fields] == ["institution.unknown"]


async def test_the_second_officer_signs_the_digest_that_the_first_one_filed(world: World) -> None:
    filed = await world.active(worlds.freeze())
    [approval] = await world.rows(Approval)
    assert approval["body_sha256"] == (await steps.request_now(world, filed.id))["body_sha256"]
    assert (approval["officer_id"], approval["kind"]) == ("approver", "approval")
