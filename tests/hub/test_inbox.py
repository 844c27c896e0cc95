"""The pull inbox: given again until it is confirmed, in the order of the commits, and to nobody else."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from steps import vnd
from world import World

from service import db, errors
from service.actions import acknowledge_order, read_back_order, receive_inbox
from service.engine.hub import Hub
from service.models import Deadline, Dispatch, Endpoint, Order, Restoration
from service.queries import inbox
from service.schemas.orders import AcknowledgementBody, InboxPage
from workflows.terms import Channel, OrderState

BANK = "vietcombank"


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network in which one bank pulls."""
    made = World(hub)
    await made.settle_in()
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == made.endpoints[BANK]).values(channel=Channel.PULL)
    await hub.writer.run(lambda conn: conn.execute(pulls))
    return made


async def pull(world: World, after: int = 0, limit: int = 50, name: str = BANK) -> InboxPage:
    """Come to the inbox, as the door does it: what lies before the cursor is confirmed first."""
    who = world.participant(name)
    await receive_inbox.receive(world.hub, who, after)
    async with world.hub.database.read() as conn:
        return await inbox.page(conn, world.hub.vault, who, after=after, limit=limit)


async def freezes(world: World, count: int) -> list[dict[str, Any]]:
    """So many active freezes; returns their orders."""
    made = []
    for number in range(count):
        filed = await world.active(worlds.freeze(case_number=f"{number}/2026/CA"))
        made += await world.orders(filed.id)
    return made


async def test_a_restored_hub_gives_nothing_before_its_release(world: World) -> None:
    [order] = await freezes(world, 1)
    restorations, at = table(Restoration), await steps.now(world)
    row = {"id": order["id"], "backup_at": at, "manifest_sha256": "0" * 64, "restored_by": "minh", "restored_at": at}
    await world.hub.writer.run(lambda conn: conn.execute(sa.insert(restorations).values(row)))
    assert await pull(world) == InboxPage(items=[], next=0)
    await world.hub.writer.run(lambda conn: conn.execute(sa.update(restorations).values(released_at=at)))
    assert [item.subject for item in (await pull(world)).items] == [str(order["id"])]


async def test_what_was_given_is_given_again_until_its_cursor_comes_back(world: World) -> None:
    orders = await freezes(world, 3)
    first = await pull(world, limit=2)
    assert [item.subject for item in first.items] == [str(order["id"]) for order in orders[:2]]
    assert await pull(world, limit=2) == first
    assert (await steps.order_now(world, orders[0]))["state"] is OrderState.PLACED
    rest = await pull(world, after=first.next)
    assert [item.subject for item in rest.items] == [str(orders[2]["id"])]
    assert [(await steps.order_now(world, order))["state"] for order in orders] == [
        OrderState.DELIVERED,
        OrderState.DELIVERED,
        OrderState.PLACED,
    ]
    empty = await pull(world, after=rest.next)
    assert (empty.items, empty.next) == ([], rest.next)
    for order in orders:
        [receipt] = await world.rows(Deadline, subject_id=order["id"], stage="receipt")
        assert str(receipt["state"]) == "met"
        facts = await world.facts(order["request_id"])
        assert facts.count("dispatch.pulled") == 1
    # Confirmed twice is confirmed once.
    await pull(world, after=first.next)
    assert (await world.facts(orders[0]["request_id"])).count("dispatch.pulled") == 1
    assert await steps.findings(world) == []


async def test_an_item_is_what_a_webhook_would_have_carried(world: World) -> None:
    [order] = await freezes(world, 1)
    [item] = (await pull(world)).items
    assert (item.type, item.sequence, item.body["order_id"]) == ("vn.hoatoc.order.freeze", 1, str(order["id"]))
    assert item.body["amount"] == vnd(order["amount"])
    async with world.hub.database.read() as conn:
        shown = await inbox.order(conn, world.hub.vault, world.participant(BANK), order["id"])
    assert shown is not None
    assert shown.body == item.body


async def test_positions_appear_in_the_order_of_the_commits(world: World) -> None:
    filed = [await world.submit(worlds.freeze(case_number=f"{number}/2026/CA")) for number in range(16)]
    seen: list[int] = []
    done = asyncio.Event()

    async def reader() -> None:
        cursor = 0
        while not done.is_set() or (await pull(world, after=cursor)).items:
            page = await pull(world, after=cursor, limit=3)
            seen.extend(item.position for item in page.items)
            cursor = page.next
            await asyncio.sleep(0)

    reading = asyncio.create_task(reader())
    await asyncio.gather(*(world.approve(request.id) for request in filed))
    done.set()
    await reading
    # A cursor that has passed a position never misses one below it.
    assert seen == list(range(1, 17))
    assert await world.rows(Dispatch, state="pending") == []


async def test_a_new_inbox_goes_on_where_the_old_one_ended(world: World) -> None:
    await freezes(world, 2)
    cursor = (await pull(world)).next
    await pull(world, after=cursor)
    endpoints = table(Endpoint)
    [old] = await world.rows(Endpoint, id=world.endpoints[BANK])
    new = {**old, "id": worlds.uuid4(), "inbox_position": 0}

    async def moved(conn: Any) -> None:
        await conn.execute(sa.update(endpoints).where(endpoints.c.id == old["id"]).values(active=False))
        await db.insert_rows(conn, endpoints, [new])

    await world.hub.writer.run(moved)
    filed = await world.active(worlds.freeze(case_number="9/2026/CA"))
    [order] = await world.orders(filed.id)
    # The bank comes with the cursor that it has: the order is neither passed by nor taken for received.
    page = await pull(world, after=cursor)
    assert [(item.subject, item.position) for item in page.items] == [(str(order["id"]), cursor + 1)]
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED


@pytest.mark.parametrize("cursor", [1, 2**31, 2**63, 10**30])
async def test_a_cursor_that_nobody_was_given_confirms_nothing(world: World, cursor: int) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await pull(world, after=cursor)
    assert [(error.field, error.code) for error in refused.value.fields] == [("after", "cursor.invalid")]
    [order] = await freezes(world, 1)
    assert (await pull(world)).items
    assert (await steps.order_now(world, order))["state"] is OrderState.PLACED


async def test_a_backlog_is_confirmed_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_inbox, "AT_ONCE", 2)
    await freezes(world, 5)
    page = await pull(world)
    units, real = [], world.hub.writer.run

    async def run(*given: Any, **named: Any) -> Any:
        units.append(1)
        return await real(*given, **named)

    monkeypatch.setattr(world.hub.writer, "run", run)
    assert (await pull(world, page.next)).items == []
    assert len(units) >= 3
    assert {row["state"] for row in await world.rows(Order)} == {OrderState.DELIVERED}


async def test_whoever_answers_has_it(world: World) -> None:
    [order] = await freezes(world, 1)
    await world.answer(order, outcome="received")
    assert (await pull(world)).items == []


async def test_the_lift_of_a_late_execution_is_laid_into_the_inbox_and_stays_there(world: World, fast_forward) -> None:
    [order] = await freezes(world, 1)
    await fast_forward(hours=73)
    await world.fire()
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    # The first of them since the end of the hold: the bank may have read the freeze by then.
    first, lift = (await pull(world)).items
    assert (first.type, first.body["reason"]) == ("vn.hoatoc.order.lift", "end_reached")
    assert (lift.type, lift.body["reason"]) == ("vn.hoatoc.order.lift", "late_answer")
    # Saying anything but "lifted" does not prove that the lift was read.
    await world.answer(order, outcome="received")
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]), reference="CV-1")
    assert [item.type for item in (await pull(world)).items] == ["vn.hoatoc.order.lift"] * 3
    await world.answer(order, outcome="lifted")
    assert (await pull(world)).items == []


async def test_the_lift_at_the_end_waits_for_its_bank(world: World, fast_forward) -> None:
    [order] = await freezes(world, 1)
    page = await pull(world)
    await pull(world, after=page.next)
    await fast_forward(hours=73)
    await world.fire()
    [lift] = (await pull(world, after=page.next)).items
    assert (lift.type, lift.sequence, lift.body["lifts_order_id"]) == ("vn.hoatoc.order.lift", 2, str(order["id"]))


async def test_a_question_that_is_read_after_the_end_is_no_receipt_of_the_lift(world: World, fast_forward) -> None:
    hold = await steps.held(world)
    await read_back_order.ask(world.hub, world.police, hold["id"])
    await fast_forward(hours=73)
    await world.fire()
    question, lift = (await pull(world)).items
    assert (question.type, lift.type) == ("vn.hoatoc.order.read_back", "vn.hoatoc.order.lift")
    await pull(world, after=question.position)
    [receipt] = await world.rows(Deadline, subject_id=hold["id"], stage="receipt", generation=1)
    assert str(receipt["state"]) == "pending"
    await pull(world, after=lift.position)
    [receipt] = await world.rows(Deadline, id=receipt["id"])
    assert str(receipt["state"]) == "met"


async def test_a_lift_that_is_read_does_not_say_that_its_order_was(world: World, fast_forward) -> None:
    [order] = await freezes(world, 1)
    await fast_forward(hours=73)
    await world.fire()
    [lift] = (await pull(world)).items
    await pull(world, after=lift.position)
    assert (await steps.order_now(world, order))["delivered_at"] is None


async def test_what_was_withdrawn_is_given_no_more_and_its_lift_is_for_it_may_have_been_read(world: World) -> None:
    first, second = await freezes(world, 2)
    page = await pull(world)
    filed = await world.active(worlds.lift(first["request_id"]))
    [lift] = await world.orders(filed.id)
    assert [item.subject for item in (await pull(world)).items] == [str(second["id"]), str(lift["id"])]
    # It had been given, and its cursor comes back late: that does not bring it back to life.
    await pull(world, after=page.next)
    assert (await steps.order_now(world, first))["state"] is OrderState.WITHDRAWN


async def test_anothers_order_is_as_unknown_as_one_that_does_not_exist(world: World) -> None:
    [order] = await freezes(world, 1)
    stranger = world.participant("techcombank")
    body = AcknowledgementBody.model_validate({"outcome": "received"})
    told = []
    for order_id in (order["id"], worlds.uuid4()):
        with pytest.raises(errors.NotFound) as unknown:
            await acknowledge_order.acknowledge(world.hub, stranger, order_id, body, b"{}", None)
        async with world.hub.database.read() as conn:
            seen = await inbox.order(conn, world.hub.vault, stranger, order_id)
        told.append((unknown.value.code, unknown.value.params, unknown.value.fields, seen))
    assert told[0] == told[1]
    # Not even a destination that nobody knows tells the two apart.
    ported = AcknowledgementBody.model_validate({"outcome": "not_mine", "ported_to": "Khong Co"})
    with pytest.raises(errors.NotFound):
        await acknowledge_order.acknowledge(world.hub, stranger, order["id"], ported, b"{}", None)
    assert (await pull(world, name="techcombank")).items == []
