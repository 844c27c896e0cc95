"""Channels in order: the next endpoint of a participant takes over by itself, and the timeline says so."""

from uuid import UUID

import pytest
from builders import Builder, Placed
from rigs import FastForward, Rig, refused

from service import audit
from service.engine import firing, handing_over
from service.engine.hub import Hub
from service.models import AuditEntry, Dispatch, Endpoint, Order, QueueItem
from workflows.terms import Channel, DispatchState, OrderState

HANDED, DELIVERED = "dispatch.handed_over", "order.delivered"


@pytest.fixture
async def ways(build: Builder) -> list[UUID]:
    """A bank with three endpoints, in this order: webhook, pull inbox, ISO 20022."""
    await build.participant("bank-a")
    channels = (Channel.WEBHOOK, Channel.PULL, Channel.ISO20022)
    return [
        await build.endpoint("bank-a", channel=channel, position=position)
        for position, channel in enumerate(channels, start=1)
    ]


async def channels(build: Builder, placed: Placed) -> dict[Channel, DispatchState]:
    return {row.channel: row.state for row in await build.rows(Dispatch, order_id=placed.order_id)}


async def why(build: Builder, placed: Placed) -> list[str]:
    entries = await build.rows(AuditEntry, chain=placed.chain, code=HANDED)
    return [entry.data.partition('"why":"')[2].partition('"')[0] for entry in entries]


async def test_what_was_not_received_in_time_goes_to_the_next_endpoint_under_the_same_id(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a", ways[0])
    rig.speaker.fail(ways[0], refused())
    await rig.round()
    # A quarter of a minute before the end is for a slow machine.
    await fast_forward(seconds=45)
    assert await handing_over.hand_over(hub) == 0
    await fast_forward(seconds=16)
    await firing.fire_once(hub)
    assert await handing_over.hand_over(hub) == 1
    assert await handing_over.hand_over(hub) == 0
    assert await why(build, placed) == ["not_received"]
    assert await channels(build, placed) == {
        Channel.WEBHOOK: DispatchState.PENDING,
        Channel.PULL: DispatchState.PENDING,
    }
    # The inbox has as long as the webhook had; then it is the third one's turn.
    await fast_forward(seconds=45)
    assert await handing_over.hand_over(hub) == 0
    await fast_forward(seconds=16)
    assert await handing_over.hand_over(hub) == 1
    await rig.round()
    assert [message.id for message in rig.speaker.to(ways[2])] == [f"msg_{placed.dispatch_id.hex}"]
    assert rig.speaker.to(ways[2]) == rig.speaker.to(ways[0])[:1]
    assert await channels(build, placed) == {
        Channel.WEBHOOK: DispatchState.CANCELLED,
        Channel.PULL: DispatchState.CANCELLED,
        Channel.ISO20022: DispatchState.DELIVERED,
    }
    assert await build.rows(QueueItem) == []
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    assert (await build.facts(placed.chain)).count(DELIVERED) == 1
    await fast_forward(minutes=10)
    assert await handing_over.hand_over(hub) == 0
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()


async def test_an_open_breaker_passes_the_order_on_at_once_and_either_way_may_deliver(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID]
) -> None:
    orders = [await build.placed("bank-a", ways[0]) for _ in range(5)]
    rig.speaker.fail(ways[0], refused("connect.timeout"))
    await rig.round()
    assert await handing_over.hand_over(hub) == 5
    assert await why(build, orders[0]) == ["unreachable"]
    rig.speaker.heal(ways[0])
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()
    inbox = await build.rows(Dispatch, channel=Channel.PULL)
    assert sorted(row.position for row in inbox) == [1, 2, 3, 4, 5]
    assert {row.first_id for row in inbox} == {placed.dispatch_id for placed in orders}


async def test_the_first_endpoint_that_comes_back_takes_the_order_from_the_second(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a", ways[0])
    rig.speaker.fail(ways[0], refused())
    await rig.round()
    await fast_forward(seconds=61)
    assert await handing_over.hand_over(hub) == 1
    rig.speaker.heal(ways[0])
    await rig.round()
    assert await channels(build, placed) == {
        Channel.WEBHOOK: DispatchState.DELIVERED,
        Channel.PULL: DispatchState.CANCELLED,
    }


async def test_what_cannot_be_opened_holds_up_nobody(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    broken, sound = await build.placed("bank-a", ways[0]), await build.placed("bank-a", ways[0])
    rig.speaker.fail(ways[0], refused())
    await rig.round()
    await build.change(Dispatch, broken.dispatch_id, message_sealed=b"changed behind the vault's back")
    await fast_forward(seconds=61)
    await firing.fire_once(hub)
    assert await handing_over.hand_over(hub) == 1
    assert (await why(build, broken), await why(build, sound)) == ([], ["not_received"])


async def test_an_endpoint_out_of_use_is_passed_over_and_one_alone_is_not(
    hub: Hub, build: Builder, ways: list[UUID], fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a", ways[0])
    alone = await build.placed("bank-b")
    for endpoint in (ways[0], alone.endpoint_id):
        await build.change(Endpoint, endpoint, active=False)
    await build.change(Endpoint, ways[1], active=False)
    assert await handing_over.hand_over(hub) == 1
    assert set(await channels(build, placed)) == {Channel.WEBHOOK, Channel.ISO20022}
    await fast_forward(minutes=5)
    await handing_over.hand_over(hub)
    assert set(await channels(build, alone)) == {Channel.WEBHOOK}


async def test_each_order_is_passed_on_whatever_was_passed_on_before(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID]
) -> None:
    await build.placed("bank-a", ways[0])
    await build.change(Endpoint, ways[0], active=False)
    assert await handing_over.hand_over(hub) == 1
    later = await build.placed("bank-a", ways[0])
    assert await handing_over.hand_over(hub) == 1
    assert (await channels(build, later))[Channel.PULL] is DispatchState.PENDING


async def test_what_arrives_over_two_endpoints_at_once_is_told_once(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    await build.change(Endpoint, ways[1], active=False)
    placed = await build.placed("bank-a", ways[0])
    rig.speaker.fail(ways[0], refused())
    await rig.round()
    await fast_forward(seconds=61)
    assert await handing_over.hand_over(hub) == 1
    rig.speaker.heal(ways[0])
    assert await rig.round() == 2
    assert set((await channels(build, placed)).values()) == {DispatchState.DELIVERED}
    assert (await build.facts(placed.chain)).count(DELIVERED) == 1


async def test_an_order_that_was_delivered_is_not_handed_over(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID], fast_forward: FastForward
) -> None:
    placed = await build.placed("bank-a", ways[0])
    await rig.round()
    await build.change(Endpoint, ways[0], active=False)
    await fast_forward(minutes=5)
    assert await handing_over.hand_over(hub) == 0
    assert set(await channels(build, placed)) == {Channel.WEBHOOK}
