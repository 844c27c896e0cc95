"""The dispatch queue: lanes, order keys and arms are respected, and a lost lease completes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from builders import Builder, table
from rigs import FastForward
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.engine import store
from service.engine.hub import Hub
from service.engine.store import Call, Claimed, Free, Retry
from service.engine.store.rows import REPLAY
from service.models import Dispatch, Node, QueueItem
from workflows.terms import DispatchKind

ME, OTHER = clock.new_id(), clock.new_id()
MINUTE = timedelta(minutes=1)
TTL = timedelta(seconds=5)


async def claim(hub: Hub, free: dict[UUID, Free], *, cap: int = 400, lease: UUID = ME) -> list[Claimed]:
    queue = store.of(hub.database.dialect)
    return await hub.database.write(
        lambda conn: queue.claim(conn, free, cap=cap, node="node-a", lease=lease, within=MINUTE)
    )


async def complete(hub: Hub, calls: Sequence[Call], lease: UUID = ME) -> set[Call]:
    queue = store.of(hub.database.dialect)
    return await hub.database.write(lambda conn: queue.complete(conn, calls, lease))


async def retry(hub: Hub, call: Call, wait: timedelta, lease: UUID = ME, *, urgent: bool = False) -> set[Call]:
    queue = store.of(hub.database.dialect)
    return await hub.database.write(lambda conn: _retry_after(conn, queue, call, wait, lease, urgent))


async def _retry_after(
    conn: AsyncConnection, queue: store.QueueStore, call: Call, wait: timedelta, lease: UUID, urgent: bool
) -> set[Call]:
    return await queue.retry(conn, [Retry(*call, await db.now(conn) + wait, urgent)], lease)


async def reap(hub: Hub, own: UUID = ME) -> int:
    queue = store.of(hub.database.dialect)
    return await hub.database.write(lambda conn: queue.reap(conn, TTL, own))


async def see(hub: Hub, boot: UUID) -> None:
    """Let a node be seen now."""

    async def unit(conn: AsyncConnection) -> None:
        now = await db.now(conn)
        row = {"id": boot, "name": "node-b", "started_at": now, "seen_at": now}
        await db.insert_rows(conn, table(Node), [row])

    await hub.database.write(unit)


async def filled(build: Builder, participant: str, count: int, **dispatch: Any) -> UUID:
    """Queue notices (they need no order) at a new endpoint."""
    await build.participant("agency-a")
    await build.participant(participant)
    endpoint = await build.endpoint(participant)
    for _ in range(count):
        await build.dispatch(participant, endpoint, **{"kind": DispatchKind.NOTICE, "urgent": False, **dispatch})
    return endpoint


async def test_a_claim_takes_no_more_than_each_lane_allows(hub: Hub, build: Builder) -> None:
    one, two = await filled(build, "bank-a", 5), await filled(build, "bank-b", 5)
    claimed = await claim(hub, {one: Free(3, 1), two: Free(1, 1)})
    assert sorted(row.endpoint_id for row in claimed) == sorted([one] * 3 + [two])
    assert {row.attempt for row in claimed} == {1}
    assert len(await build.rows(QueueItem, leased=True, lease_id=ME)) == 4


async def test_a_claim_takes_nothing_for_an_endpoint_that_is_not_named(hub: Hub, build: Builder) -> None:
    one, _ = await filled(build, "bank-a", 1), await filled(build, "bank-b", 1)
    assert [row.endpoint_id for row in await claim(hub, {one: Free(8, 4)})] == [one]


async def test_a_claim_takes_no_more_than_the_whole_node_may_send(hub: Hub, build: Builder) -> None:
    one, two = await filled(build, "bank-a", 3), await filled(build, "bank-b", 3)
    assert len(await claim(hub, {one: Free(8, 4), two: Free(8, 4)}, cap=4)) == 4


async def test_what_is_leased_is_not_claimed_again(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 2)
    assert len(await claim(hub, {endpoint: Free(8, 4)})) == 2
    assert await claim(hub, {endpoint: Free(8, 4)}, lease=OTHER) == []


async def test_a_claim_brings_all_that_is_needed_to_send(hub: Hub, build: Builder) -> None:
    placed = await build.placed("bank-a")
    (row,) = await claim(hub, {placed.endpoint_id: Free(8, 4)})
    dispatch = await build.row(Dispatch, id=placed.dispatch_id)
    assert (row.dispatch_id, row.order_id, row.request_id) == (placed.dispatch_id, placed.order_id, placed.request_id)
    assert (row.kind, row.channel, row.urgent) == (DispatchKind.ORDER, dispatch.channel, True)
    assert row.message_sealed == dispatch.message_sealed
    assert row.created_at == dispatch.created_at
    assert row.priority == 0


async def test_urgent_orders_go_first(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 3)
    urgent = await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=True)
    (first,) = await claim(hub, {endpoint: Free(1, 1)})
    assert first.dispatch_id == urgent


async def test_first_attempts_go_before_retries_and_leave_them_their_share(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 4)
    for row in await claim(hub, {endpoint: Free(8, 4)}):
        assert await retry(hub, row.call, timedelta()) == {row.call}
    for _ in range(2):
        await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    claimed = await claim(hub, {endpoint: Free(8, 2)})
    assert [row.is_retry for row in claimed] == [False, False, True, True]
    assert [row.attempt for row in claimed] == [1, 1, 2, 2]


async def test_urgent_retries_go_before_all_others_and_these_before_what_is_replayed(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    endpoint = await filled(build, "bank-a", 5)
    claimed = [row.call for row in await claim(hub, {endpoint: Free(8, 4)})]
    replayed, normal, other, urgent, _ = (queue_id for queue_id, _ in claimed)
    for call, is_urgent in ((claimed[1], False), (claimed[2], False), (claimed[3], True)):
        assert await retry(hub, call, timedelta(), urgent=is_urgent) == {call}
        # Whoever waits longest within one kind goes first.
        await fast_forward(seconds=1)
    await retry(hub, claimed[4], timedelta(hours=1), urgent=True)
    await build.change(QueueItem, replayed, leased=False, priority=REPLAY)
    assert [row.queue_id for row in await claim(hub, {endpoint: Free(8, 1)})] == [urgent]
    assert [row.queue_id for row in await claim(hub, {endpoint: Free(8, 2)})] == [normal, other]
    assert [row.queue_id for row in await claim(hub, {endpoint: Free(8, 2)})] == [replayed]
    assert await claim(hub, {endpoint: Free(8, 2)}) == []


async def test_a_lane_gives_retries_and_replays_together_no_more_than_their_share(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 6)
    ids = [row.queue_id for row in await claim(hub, {endpoint: Free(8, 4)})]
    for queue_id, priority in zip(ids, (4, 4, 3, 3, 2, 2), strict=True):
        await build.change(QueueItem, queue_id, leased=False, priority=priority)
    await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    claimed = await claim(hub, {endpoint: Free(8, 3)})
    assert [row.priority for row in claimed] == [1, 2, 2, 3]
    assert [row.priority for row in await claim(hub, {endpoint: Free(2, 8)})] == [3, 4]


async def test_a_backlog_of_first_attempts_never_starves_a_retry(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 1)
    (row,) = await claim(hub, {endpoint: Free(1, 1)})
    await retry(hub, row.call, timedelta())
    for _ in range(3):
        await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    claimed = await claim(hub, {endpoint: Free(2, 1, reserves=True)})
    assert [row.is_retry for row in claimed] == [False, True]


async def test_a_slot_is_kept_only_for_a_retry_whose_turn_it_is(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    endpoint = await filled(build, "bank-a", 0)
    key: dict[str, Any] = {"kind": DispatchKind.NOTICE, "order_key": 77}
    await build.dispatch("bank-a", endpoint, **key)
    behind = await build.dispatch("bank-a", endpoint, **key)
    (row,) = await claim(hub, {endpoint: Free(8, 4)})
    await retry(hub, row.call, timedelta(minutes=10))
    # Both were sent once more: the later one is due already, and out of its turn.
    (item,) = await build.rows(QueueItem, dispatch_id=behind)
    await build.change(QueueItem, item.id, priority=REPLAY)
    first = await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    one = Free(1, 1, reserves=True)
    assert [each.dispatch_id for each in await claim(hub, {endpoint: one})] == [first]
    # Once it is due, it has the only place.
    await fast_forward(minutes=11)
    await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    assert [each.queue_id for each in await claim(hub, {endpoint: one})] == [row.queue_id]


async def test_a_call_of_before_settles_nothing_of_the_one_that_came_after(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 1)
    (former,) = await claim(hub, {endpoint: Free(8, 4)})
    # Another node took this one for dead; it goes by its own clock, and has claimed the row again meanwhile.
    assert await reap(hub, OTHER) == 1
    (later,) = await claim(hub, {endpoint: Free(8, 4)})
    assert (later.queue_id, later.attempt) == (former.queue_id, 2)
    assert await retry(hub, former.call, timedelta()) == set()
    assert await complete(hub, [former.call]) == set()
    assert (await build.row(QueueItem, id=later.queue_id)).leased
    assert await complete(hub, [former.call, later.call]) == {later.call}


async def test_a_reserved_slot_is_used_when_no_retry_is_due(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 3)
    assert len(await claim(hub, {endpoint: Free(3, 1, reserves=True)})) == 3


async def test_a_retry_is_not_claimed_before_its_instant(hub: Hub, build: Builder, fast_forward: FastForward) -> None:
    endpoint = await filled(build, "bank-a", 1)
    (row,) = await claim(hub, {endpoint: Free(8, 4)})
    await retry(hub, row.call, timedelta(seconds=20))
    await fast_forward(seconds=18)
    assert await claim(hub, {endpoint: Free(8, 4)}) == []
    await fast_forward(seconds=2)
    assert [again.attempt for again in await claim(hub, {endpoint: Free(8, 4)})] == [2]


async def test_a_lift_never_overtakes_its_freeze(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 0)
    key: dict[str, Any] = {"kind": DispatchKind.NOTICE, "order_key": 77}
    freeze = await build.dispatch("bank-a", endpoint, urgent=False, **key)
    lift = await build.dispatch("bank-a", endpoint, urgent=True, **key)
    (first,) = await claim(hub, {endpoint: Free(8, 4)})
    assert first.dispatch_id == freeze
    assert await claim(hub, {endpoint: Free(8, 4)}) == []
    await retry(hub, first.call, timedelta(seconds=20))
    assert await claim(hub, {endpoint: Free(8, 4)}) == []
    await build.change(QueueItem, first.queue_id, leased=True, lease_id=ME)
    await complete(hub, [first.call])
    assert [row.dispatch_id for row in await claim(hub, {endpoint: Free(8, 4)})] == [lift]


async def test_what_is_cancelled_under_way_keeps_its_lane_and_is_never_handed_back(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 0)
    queue = store.of(hub.database.dialect)
    ways: dict[str, Callable[[AsyncConnection, Claimed], Awaitable[object]]] = {
        "reap": lambda conn, _: queue.reap(conn, TTL, OTHER),
        "release": lambda conn, _: queue.release(conn, ME),
        "put_back": lambda conn, row: queue.put_back(conn, [row.queue_id], ME),
        "complete": lambda conn, row: queue.complete(conn, [row.call], ME),
    }
    for name, way in ways.items():
        freeze = await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, order_key=77)
        lift = await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, order_key=77)
        (row,) = await claim(hub, {endpoint: Free(8, 4)})
        cancelled: list[UUID] = [freeze, lift] if name == "complete" else [freeze]
        begun = await hub.database.write(lambda conn, ids=cancelled: store.cancel(conn, ids))
        assert begun == {freeze}
        assert await claim(hub, {endpoint: Free(8, 4)}, lease=OTHER) == []
        # No retry brings it back, and its end is nobody's.
        assert await retry(hub, row.call, timedelta()) == set()
        done = await hub.database.write(lambda conn, row=row, way=way: way(conn, row))
        assert name != "complete" or done == set()
        left = [] if name == "complete" else [lift]
        assert [each.dispatch_id for each in await build.rows(QueueItem)] == left, name
        for each in await claim(hub, {endpoint: Free(8, 4)}):
            assert await complete(hub, [each.call]) == {each.call}


async def test_no_number_is_given_twice(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 1)
    (former,) = await claim(hub, {endpoint: Free(8, 4)})
    await hub.database.write(lambda conn: store.cancel(conn, [former.dispatch_id]))
    await complete(hub, [former.call])
    await build.dispatch("bank-a", endpoint, kind=DispatchKind.NOTICE, urgent=False)
    (later,) = await claim(hub, {endpoint: Free(8, 4)})
    # Else a call that ends late would end what came after it.
    assert later.queue_id > former.queue_id and await complete(hub, [former.call]) == set()


async def test_a_row_committed_out_of_order_waits_for_the_one_under_way(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 2, order_key=77)
    early, late = await build.rows(QueueItem)
    await build.change(QueueItem, late.id, leased=True, lease_id=OTHER)
    assert await claim(hub, {endpoint: Free(8, 4)}) == []
    with pytest.raises(IntegrityError):
        await build.change(QueueItem, early.id, leased=True, lease_id=ME)


async def test_a_stale_lease_completes_retries_and_releases_nothing(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 1)
    (row,) = await claim(hub, {endpoint: Free(8, 4)}, lease=OTHER)
    queue = store.of(hub.database.dialect)
    assert await complete(hub, [row.call], ME) == set()
    assert await retry(hub, row.call, timedelta(), ME) == set()
    assert await hub.database.write(lambda conn: queue.release(conn, ME)) == 0
    kept = await build.row(QueueItem, id=row.queue_id)
    assert (kept.leased, kept.lease_id, kept.priority) == (True, OTHER, 1)
    assert await complete(hub, [row.call], OTHER) == {row.call}
    assert await build.rows(QueueItem) == []


async def test_what_is_released_was_never_attempted_unless_a_call_was_begun(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 4)
    kept, begun, *_ = (row.queue_id for row in await claim(hub, {endpoint: Free(8, 4)}))
    queue = store.of(hub.database.dialect)
    assert await hub.database.write(lambda conn: queue.release(conn, ME, keep=[kept], begun={begun})) == 3
    assert sorted((row.id, row.attempt, row.leased) for row in await build.rows(QueueItem)) == [
        (kept, 1, True),
        (begun, 1, False),
        (begun + 1, 0, False),
        (begun + 2, 0, False),
    ]


async def test_work_of_a_dead_node_is_reaped_and_that_of_a_live_one_is_not(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    endpoint = await filled(build, "bank-a", 2)
    await see(hub, OTHER)
    await claim(hub, {endpoint: Free(1, 1)}, lease=OTHER)
    await claim(hub, {endpoint: Free(1, 1)}, lease=ME)
    assert await reap(hub) == 0
    await fast_forward(seconds=6)
    assert await reap(hub) == 1
    assert [row.lease_id for row in await build.rows(QueueItem, leased=True)] == [ME]
    (again,) = await claim(hub, {endpoint: Free(8, 4)})
    assert again.attempt == 2


async def test_a_lease_that_ended_is_reaped_even_from_a_live_node(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    endpoint = await filled(build, "bank-a", 1)
    await claim(hub, {endpoint: Free(1, 1)})
    await fast_forward(seconds=61)
    await see(hub, ME)
    assert await reap(hub, own=ME) == 1


async def test_the_numbers_tell_what_is_due_leased_and_for_later(
    hub: Hub, build: Builder, fast_forward: FastForward
) -> None:
    endpoint = await filled(build, "bank-a", 3)
    one, _ = await claim(hub, {endpoint: Free(2, 1)})
    await retry(hub, one.call, timedelta(hours=1))
    await fast_forward(seconds=30)
    queue = store.of(hub.database.dialect)
    async with hub.database.read() as conn:
        stats = await queue.stats(conn)
    assert (stats.due, stats.leased, stats.later) == (1, 1, 1)
    assert 29 < stats.oldest_seconds < 60


async def test_two_claims_at_once_share_the_rows(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 40)
    lane = {endpoint: Free(15, 4)}
    first, second = await asyncio.gather(claim(hub, lane, lease=ME), claim(hub, lane, lease=OTHER))
    assert len(first) == len(second) == 15
    assert not {row.queue_id for row in first} & {row.queue_id for row in second}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_claim_does_not_wait_for_one_that_has_not_committed(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 12)
    lane, queue = {endpoint: Free(8, 4)}, store.of("postgresql")
    async with hub.database.read(db.HUB) as undecided, asyncio.timeout(10):
        first = await queue.claim(undecided, lane, cap=400, node="node-a", lease=ME, within=MINUTE)
        second = await claim(hub, lane, lease=OTHER)
        await undecided.rollback()
    assert (len(first), len(second)) == (8, 4)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_claim_reads_the_index_even_under_a_generic_plan(hub: Hub, build: Builder) -> None:
    endpoint = await filled(build, "bank-a", 1)
    dispatch = await build.row(Dispatch)
    column_names = [column.name for column in Dispatch.__table__.columns]  # type: ignore[attr-defined]
    copies = ", ".join("gen_random_uuid()" if name == "id" else f'"{name}"' for name in column_names)

    async def fill(conn: AsyncConnection) -> None:
        names = ", ".join(f'"{name}"' for name in column_names)
        await conn.execute(
            sa.text(f"INSERT INTO dispatches ({names}) SELECT {copies} FROM dispatches, generate_series(1, 20000)")
        )
        await conn.execute(
            sa.text(
                "INSERT INTO dispatch_queue (tenant, dispatch_id, endpoint_id, priority, run_at, leased, attempt)"
                " SELECT tenant, id, endpoint_id, 1, created_at, false, 0 FROM dispatches WHERE id <> :known"
            ),
            {"known": dispatch.id},
        )

    await hub.database.write(fill)
    await hub.database.write(lambda conn: conn.execute(sa.text("ANALYZE dispatches, dispatch_queue")))

    async def walked(conn: AsyncConnection) -> int:
        await conn.execute(sa.text("SET LOCAL plan_cache_mode = force_generic_plan"))
        scans = sa.text(
            "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname IN ('dispatches', 'dispatch_queue')"
        )
        before = (await conn.execute(scans)).scalar_one()
        claimed = await store.of("postgresql").claim(
            conn, {endpoint: Free(8, 4)}, cap=400, node="node-a", lease=ME, within=MINUTE
        )
        assert len(claimed) == 8
        return int((await conn.execute(scans)).scalar_one() - before)

    assert await hub.database.write(walked) == 0
