"""What stays possible once a request is closed, and what an agency's own territory and inbox mean."""

import json
from uuid import uuid4

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from rigs import FastForward, Rig, refused
from sqlalchemy.ext.asyncio import AsyncConnection
from world import World

from service import errors
from service.actions import changes, register_endpoint
from service.engine.hub import Hub
from service.models import ActionRequest, Dispatch, QueueItem
from service.schemas.endpoints import NewPullInbox
from workflows.terms import Channel, DispatchState, OrderState, RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def _state(world: World, request_id: object) -> RequestState:
    [row] = await world.rows(ActionRequest, id=request_id)
    return row["state"]


async def test_a_number_that_was_blocked_by_mistake_can_be_lifted_after_the_request_closed(world: World) -> None:
    filed = await world.submit(worlds.takedown({"kind": "phone", "value": "+84980000007"}))
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed")
    assert await _state(world, filed.id) is RequestState.CLOSED
    lift = await world.submit(worlds.lift(filed.id, legal_basis="decree_147"))
    [undo] = await world.orders(lift.id)
    assert undo["original_id"] == order["id"] and undo["sequence"] > order["sequence"]
    await world.answer(undo, outcome="executed")
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.LIFTED
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(worlds.lift(filed.id, legal_basis="decree_147"))
    assert refused.value.fields[0].code == "request.not_active"


async def test_a_province_acts_in_its_own_territory_where_the_basis_binds_it(world: World) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await world.submit(worlds.freeze(province_code="01"))
    assert refused.value.code == "authority.outside_territory"
    assert (await world.submit(worlds.freeze(province_code="79"))).state is RequestState.AWAITING_APPROVAL


async def test_a_participant_has_one_inbox_for_life(world: World) -> None:
    administrator = changes.local_administrator("tester")
    inbox = NewPullInbox(channel=Channel.PULL)
    await register_endpoint.register(world.hub, administrator, "agribank", inbox)
    with pytest.raises(errors.Conflict) as refused:
        await register_endpoint.register(world.hub, administrator, "agribank", inbox)
    assert refused.value.code == "endpoint.one_inbox"


async def test_the_same_content_spaced_otherwise_is_the_same_request(world: World) -> None:
    body = worlds.freeze()
    first = await world.submit(body, key="a-key-of-mine")
    respaced = json.loads(json.dumps(body, indent=2))
    assert (await world.submit(dict(reversed(respaced.items())), key="a-key-of-mine")).id == first.id
    with pytest.raises(errors.InvalidInput) as refused:
        await world.submit(worlds.freeze(case_number="02/2026/CA"), key="a-key-of-mine")
    assert refused.value.fields[0].code == "idempotency_key.reused"


async def test_an_order_that_lapses_while_it_is_being_sent_is_lifted_because_it_may_have_arrived(
    world: World, fast_forward: FastForward
) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    await _lease(world)
    await fast_forward(hours=73)
    await world.fire()
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.LAPSED and order["lift_ordered"]
    assert [row["message_type"] for row in await world.rows(Dispatch, kind="order")][-1] == "vn.hoatoc.order.lift"
    assert await _state(world, filed.id) is RequestState.ACTIVE
    await world.answer(order, outcome="lifted")
    assert await _state(world, filed.id) is RequestState.CLOSED


async def test_an_order_that_was_never_sent_lapses_for_good(world: World, fast_forward: FastForward) -> None:
    filed = await world.active(worlds.freeze())
    await fast_forward(hours=73)
    await world.fire()
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.LAPSED and not order["lift_ordered"]
    assert await _state(world, filed.id) is RequestState.CLOSED


async def test_a_lift_reaches_a_bank_that_may_have_the_freeze_without_having_said_so(world: World) -> None:
    filed = await world.active(worlds.freeze())
    await _lease(world)
    lift = await world.submit(worlds.lift(filed.id))
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.WITHDRAWN
    [undo] = await world.orders(lift.id)
    assert undo["original_id"] == order["id"]


@pytest.mark.parametrize(
    ("errors", "lifted"),
    [
        (("answer.timeout", "connect.failed"), True),
        (("http.503", "http.403"), True),
        (("connect.failed", "http.403"), False),
    ],
)
async def test_what_was_given_up_after_it_may_have_arrived_is_lifted(
    world: World, rig: Rig, fast_forward: FastForward, errors: tuple[str, str], lifted: bool
) -> None:
    filed = await world.active(steps.preserve(worlds.freeze()["target"]))
    [sent] = await world.rows(Dispatch, kind="order")
    for error, hours in zip(errors, (73, 0), strict=True):
        rig.speaker.fail(sent["endpoint_id"], refused(error))
        await rig.round()
        await fast_forward(hours=hours)
    [sent] = await world.rows(Dispatch, kind="order")
    assert sent["state"] is DispatchState.DEAD
    lift = await world.submit(worlds.lift(filed.id))
    [order] = await world.orders(filed.id)
    assert order["state"] is OrderState.WITHDRAWN
    assert [undo["original_id"] for undo in await world.orders(lift.id)] == [order["id"]] * lifted
    assert await _state(world, lift.id) is (RequestState.ACTIVE if lifted else RequestState.CLOSED)


async def _lease(world: World) -> None:
    """Let an attempt be under way, as a node's claim leaves it."""

    async def unit(conn: AsyncConnection) -> None:
        await conn.execute(sa.update(table(QueueItem)).values(leased=True, attempt=1, lease_id=uuid4()))

    await world.hub.writer.run(unit)
