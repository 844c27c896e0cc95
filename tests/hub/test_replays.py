"""Replays: what was given up, or got lost at a participant, goes out once more; what is over never does."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import steps
import world as worlds
from builders import Builder, Placed
from pydantic import ValidationError
from registry_forms import ADMIN
from rigs import FastForward, Rig
from world import World

from adapters.base import DeliveryFailed
from service import db, errors
from service.actions import replay_dispatches
from service.engine import doorbell
from service.engine.hub import OPERATOR, Hub
from service.engine.store.rows import NORMAL_RETRY
from service.models import ActionRequest, Deadline, Dispatch, Endpoint, Order, QueueItem, Task
from service.schemas.replays import ReplayAnswer, ReplayPreview, ReplaySelection
from service.security.principals import ScopeMissing, of_person
from workflows import policy, replay
from workflows.replay import Replayed
from workflows.terms import Channel, DeadlineState, DispatchState, OrderState, Role, Sector

COORDINATOR = of_person("truc-ban", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


async def now(hub: Hub) -> datetime:
    async with hub.database.read() as conn:
        return await db.now(conn)


async def run(hub: Hub, **asked: Any) -> ReplayAnswer:
    selection = ReplaySelection(**{"which": Replayed.DEAD, "until": await now(hub), **asked})
    return await replay_dispatches.run(hub, COORDINATOR, selection)


async def preview(hub: Hub, **asked: Any) -> ReplayPreview:
    selection = ReplaySelection(**{"which": Replayed.DEAD, "until": await now(hub), **asked})
    return await replay_dispatches.preview(hub, COORDINATOR, selection)


async def placed(build: Builder, endpoint_id: UUID | None = None, **dispatch: Any) -> Placed:
    made = await build.placed("bank-a", endpoint_id, **dispatch)
    await build.change(ActionRequest, made.request_id, policy=policy.to_snapshot(policy.loads("vn-default")))
    return made


async def given_up(build: Builder, rig: Rig) -> Placed:
    made = await placed(build)
    rig.speaker.fail(made.endpoint_id, DeliveryFailed("message.too_large", retryable=False))
    await rig.round()
    rig.speaker.heal(made.endpoint_id)
    return made


async def test_what_was_given_up_is_counted_and_goes_out_again_under_its_id(hub: Hub, build: Builder, rig: Rig) -> None:
    made = await given_up(build, rig)
    told = await preview(hub, participant_id="bank-a")
    assert (told.count, told.left_out) == (1, 0)
    assert [(each.endpoint_id, each.count) for each in told.endpoints] == [(made.endpoint_id, 1)]
    assert (await build.row(Dispatch, id=made.dispatch_id)).state is DispatchState.DEAD

    assert await run(hub, participant_id="bank-a") == ReplayAnswer(count=1, more=False)
    item = await build.row(QueueItem, dispatch_id=made.dispatch_id)
    assert (item.priority, item.attempt) == (4, 1)
    assert await rig.round() == 1
    first, second = rig.speaker.to(made.endpoint_id)
    assert second == first
    dispatch = await build.row(Dispatch, id=made.dispatch_id)
    assert (dispatch.state, dispatch.attempts) == (DispatchState.DELIVERED, 2)
    assert (await build.row(Order, id=made.order_id)).state is OrderState.DELIVERED


async def test_the_task_of_what_was_given_up_is_resolved_and_the_timeline_tells_who(
    hub: Hub, build: Builder, rig: Rig
) -> None:
    made = await given_up(build, rig)
    task = await build.row(Task)
    await run(hub, order_id=made.order_id)
    resolved = await build.row(Task, id=task.id)
    assert resolved.resolved_by == "truc-ban"
    (clock,) = await build.rows(Deadline, subject_id=task.id)
    assert clock.state is DeadlineState.CANCELLED
    assert (await build.facts(made.chain))[-2:] == ["dispatch.replayed", "task.resolved"]


async def test_asked_again_nothing_is_sent_twice(hub: Hub, build: Builder, rig: Rig) -> None:
    made = await given_up(build, rig)
    until = await now(hub)
    assert (await run(hub, order_id=made.order_id, until=until)).count == 1
    assert (await run(hub, order_id=made.order_id, until=until)).count == 0
    await rig.round()
    # Delivered again after the end of the selection: it does not fit any more, whichever state it is in.
    assert (await run(hub, which=Replayed.DELIVERED, order_id=made.order_id, until=until)).count == 0
    assert len(rig.speaker.to(made.endpoint_id)) == 2


async def test_a_replay_has_its_own_three_days(hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    made = await given_up(build, rig)
    await fast_forward(hours=80)
    await run(hub, order_id=made.order_id)
    rig.speaker.fail(made.endpoint_id, DeliveryFailed("connect.timeout"))
    await rig.round()
    assert (await build.row(Dispatch, id=made.dispatch_id)).state is DispatchState.PENDING
    await fast_forward(hours=73)
    await rig.round()
    assert (await build.row(Dispatch, id=made.dispatch_id)).state is DispatchState.DEAD


@pytest.mark.parametrize("how", ["lifted", "withdrawn", "lift_ordered", "suspended"])
async def test_what_is_over_or_has_nowhere_to_go_is_left_out(hub: Hub, build: Builder, rig: Rig, how: str) -> None:
    made = await given_up(build, rig)
    match how:
        case "suspended":
            await build.change(Endpoint, made.endpoint_id, active=False)
        case "lift_ordered":
            await build.change(Order, made.order_id, lift_ordered=True)
        case _:
            await build.change(Order, made.order_id, state=OrderState(how))
    told = await preview(hub, order_id=made.order_id)
    assert (told.count, told.left_out, told.endpoints) == (0, 1, [])
    assert (await run(hub, order_id=made.order_id)).count == 0
    assert await build.rows(QueueItem) == []


@pytest.mark.parametrize(("again", "how"), [("freeze", "end"), ("freeze", "lift"), ("extend", "lift")])
async def test_no_lift_waits_behind_what_was_to_go_out_once_more(
    hub: Hub, rig: Rig, fast_forward: FastForward, again: str, how: str
) -> None:
    world = World(hub)
    await world.settle_in()
    replayed = hold = await steps.held(world)
    if again == "extend":
        filed = await world.active(steps.extend(hold))
        (replayed,) = await world.orders(filed.id)
        while await rig.round():
            pass
        await world.answer(replayed, outcome="executed")
    await rig.round()
    assert (await run(hub, which=Replayed.DELIVERED, order_id=replayed["id"])).count == 1
    if how == "end":
        await fast_forward(hours=73)
        await world.fire()
    else:
        await world.active(worlds.lift(hold["request_id"]))
    (left,) = await world.rows(QueueItem)
    (lift,) = await world.rows(Dispatch, id=left["dispatch_id"])
    assert lift["message_type"] == "vn.hoatoc.order.lift"
    (taken_back,) = await world.rows(Dispatch, order_id=replayed["id"], message_type=f"vn.hoatoc.order.{again}")
    assert taken_back["state"] is DispatchState.CANCELLED
    await rig.round()
    sent = [message.type for message in rig.speaker.to(world.endpoints["vietcombank"])]
    assert (sent.count(f"vn.hoatoc.order.{again}"), sent[-1]) == (1, "vn.hoatoc.order.lift")


async def test_the_lift_of_a_hold_goes_out_once_more_whatever_follows(
    hub: Hub, rig: Rig, fast_forward: FastForward
) -> None:
    world = World(hub)
    await world.settle_in()
    hold = await steps.held(world)
    await rig.round()
    await fast_forward(hours=73)
    await world.fire()
    await rig.round()
    assert (await run(hub, which=Replayed.DELIVERED, order_id=hold["id"])).count == 1
    await world.active(worlds.lift(hold["request_id"]))
    await rig.round()
    await rig.round()
    sent = [message.type for message in rig.speaker.to(world.endpoints["vietcombank"])]
    assert sent.count("vn.hoatoc.order.lift") == 3


async def test_it_is_asked_again_under_the_lock_whether_it_still_holds(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await given_up(build, rig)
    real = replay_dispatches.writer.lock

    async def lifted_meanwhile(conn: Any, chains: Any) -> Any:
        log = await real(conn, chains)
        orders = Order.__table__  # type: ignore[attr-defined]
        await conn.execute(orders.update().where(orders.c.id == made.order_id).values(state=OrderState.LIFTED))
        return log

    monkeypatch.setattr(replay_dispatches.writer, "lock", lifted_meanwhile)
    assert (await run(hub, order_id=made.order_id)).count == 0
    assert (await build.row(Dispatch, id=made.dispatch_id)).state is DispatchState.DEAD


async def test_what_arrived_and_was_lost_goes_again_behind_what_is_new_and_slowly(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PER_SECOND", 2)
    first = await placed(build)
    rest = [await placed(build, first.endpoint_id) for _ in range(4)]
    await rig.round()
    at = await now(hub)
    assert (await run(hub, which=Replayed.DELIVERED, endpoint_id=first.endpoint_id)).count == 5
    items = sorted(await build.rows(QueueItem), key=lambda item: item.id)
    assert [item.dispatch_id for item in items] == [made.dispatch_id for made in (first, *rest)]
    begun = items[0].run_at
    assert at <= begun
    assert [(item.run_at - begun) // timedelta(seconds=1) for item in items] == [0, 0, 1, 1, 2]


async def test_a_large_selection_goes_in_parts_that_each_lock_little(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 2)
    first = await placed(build)
    for _ in range(4):
        await placed(build, first.endpoint_id)
    await rig.round()
    until = await now(hub)
    parts = [await run(hub, which=Replayed.DELIVERED, participant_id="bank-a", until=until) for _ in range(3)]
    assert [(part.count, part.more) for part in parts] == [(2, True), (2, True), (1, False)]


async def test_an_endpoint_gets_no_more_a_second_however_many_ask(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 2)
    # Ten seconds apart, so that no machine is too slow for it.
    monkeypatch.setattr(replay, "PER_SECOND", 0.1)
    first, elsewhere = await placed(build), await placed(build)
    made = [first, *[await placed(build, first.endpoint_id) for _ in range(5)]]
    while await rig.round():
        pass
    whole = {"which": Replayed.DELIVERED, "until": await now(hub)}
    parts = [await run(hub, **whole, endpoint_id=first.endpoint_id) for _ in range(2)]
    rest = [run(hub, **whole, order_id=each.order_id) for each in (*made[4:], elsewhere)]
    assert [part.count for part in (*parts, *await asyncio.gather(*rest))] == [2, 2, 1, 1, 1]
    instants = sorted(item.run_at for item in await build.rows(QueueItem, endpoint_id=first.endpoint_id))
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(instants)] == [10] * 5
    (other,) = await build.rows(QueueItem, endpoint_id=elsewhere.endpoint_id)
    assert other.run_at <= await now(hub)
    # A failed one is a retry: what is replayed after it does not wait for its turn, an hour away.
    await build.change(QueueItem, other.id, run_at=other.run_at + timedelta(hours=1), priority=NORMAL_RETRY)
    late = await placed(build, elsewhere.endpoint_id)
    await rig.round()
    assert (await run(hub, which=Replayed.DELIVERED, order_id=late.order_id)).count == 1
    (again,) = await build.rows(QueueItem, dispatch_id=late.dispatch_id)
    assert again.run_at <= await now(hub)


async def test_a_window_takes_what_was_made_in_it(
    hub: Hub, build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    first = await placed(build)
    await fast_forward(hours=1)
    since = await now(hub)
    second = await placed(build, first.endpoint_id)
    await rig.round()
    await fast_forward(hours=1)
    until = await now(hub)
    await placed(build, first.endpoint_id)
    await rig.round()
    assert (await run(hub, which=Replayed.DELIVERED, since=since, until=until)).count == 1
    (item,) = await build.rows(QueueItem)
    assert item.dispatch_id == second.dispatch_id


async def test_an_inbox_shows_it_again_behind_what_its_reader_has_seen(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[set[str]] = []

    async def announce(_conn: Any, participants: Any) -> None:
        rung.append(set(participants))

    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a", channel=Channel.PULL)
    made = await placed(build, endpoint, channel=Channel.PULL)
    before = (await build.row(Dispatch, id=made.dispatch_id)).position
    await build.change(Dispatch, made.dispatch_id, state=DispatchState.DELIVERED, settled_at=await now(hub))
    monkeypatch.setattr(doorbell, "announce", announce)
    assert (await run(hub, which=Replayed.DELIVERED, order_id=made.order_id)).count == 1
    row = await build.row(Dispatch, id=made.dispatch_id)
    assert (row.state, row.position) == (DispatchState.PENDING, before + 1)
    assert await build.rows(QueueItem) == []
    assert rung == [{"bank-a"}]


async def test_an_end_in_the_future_is_refused_and_nothing_happens(hub: Hub, build: Builder, rig: Rig) -> None:
    made = await given_up(build, rig)
    for ask in (run, preview):
        with pytest.raises(errors.InvalidInput) as refused:
            await ask(hub, order_id=made.order_id, until=await now(hub) + timedelta(minutes=5))
        assert [(field.field, field.code) for field in refused.value.fields] == [("/until", "replay.future")]
    assert await build.rows(QueueItem) == []


async def test_only_coordinators_may(hub: Hub) -> None:
    selection = ReplaySelection(which=Replayed.DEAD, participant_id="bank-a", until=await now(hub))
    for ask in (replay_dispatches.run, replay_dispatches.preview):
        with pytest.raises(ScopeMissing):
            await ask(hub, ADMIN, selection)


def test_a_selection_of_everything_or_of_no_time_is_refused() -> None:
    until = "2026-11-30T10:00:00Z"
    for asked in ({}, {"since": until}, {"since": "2026-11-30T10:00:01Z"}):
        with pytest.raises(ValidationError) as refused:
            ReplaySelection.model_validate({"which": "dead", "until": until, **asked})
        kind = refused.value.errors()[0]["type"]
        assert kind == ("replay.no_time" if asked else "replay.everything")
