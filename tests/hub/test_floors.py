"""Floors: what was looked past is not walked at each look, and what lies below all the same is found in time."""

import math
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import world as worlds
from builders import Builder, make_hub
from rigs import FastForward, Rig
from sqlalchemy.ext.asyncio import AsyncConnection
from world import World

from adapters.transport import Transport
from service import clock, db
from service.engine import delivery, firing, floors, store
from service.engine.floors import EVERY, MARGIN, Floor, LaneFloors
from service.engine.hub import Hub
from service.engine.store import Free
from service.models import Deadline, Dispatch, QueueItem
from workflows.terms import DeadlineState, DispatchKind, DispatchState

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 12, 3, 3, tzinfo=UTC)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the machine's monotonic clock shows, as its only element."""
    shown = [1000.0]
    monkeypatch.setattr(floors.clock, "monotonic", lambda: shown[0])
    return shown


async def queued(hub: Hub, build: Builder, endpoint: UUID, before: timedelta, **queue: Any) -> UUID:
    """Queue a notice that became due so long ago; return its dispatch."""
    kind: dict[str, Any] = {"kind": DispatchKind.NOTICE, "urgent": False}
    made = await build.dispatch("bank-a", endpoint, **kind)
    (row,) = await build.rows(QueueItem, dispatch_id=made)
    await build.change(QueueItem, row.id, run_at=row.run_at - before, **queue)
    return made


async def bank(build: Builder) -> UUID:
    await build.participant("agency-a")
    await build.participant("bank-a")
    return await build.endpoint("bank-a")


def test_a_floor_lies_below_the_least_that_was_found_and_rises(seconds: list[float]) -> None:
    floor = Floor()
    assert floor.at(NOW) is None
    floor.looked(NOW - MINUTE, NOW)
    assert floor.at(NOW) == NOW - MINUTE - MARGIN
    floor.looked(None, NOW)
    assert floor.at(NOW) == NOW - MARGIN
    # What is due far ahead says nothing of what is written meanwhile, and less is found only below.
    floor.looked(NOW + MINUTE, NOW)
    floor.looked(NOW - MINUTE, NOW)
    assert floor.at(NOW) == NOW - MARGIN
    # The database's clock was set back: what is written now lies below what was looked past.
    assert floor.at(NOW - MINUTE) == NOW - MINUTE - MARGIN
    seconds[0] += EVERY
    assert floor.at(NOW) is None


def test_a_look_from_the_beginning_costs_a_twentieth_and_comes_within_ten_seconds(seconds: list[float]) -> None:
    for took, again in ((0.01, 1.0), (0.1, 2.0), (3.0, 10.0)):
        floor = Floor()
        assert floor.at(NOW) is None
        seconds[0] += took
        floor.looked(None, NOW)
        seconds[0] += again - 0.01
        assert floor.at(NOW) is not None
        seconds[0] += 0.02
        assert floor.at(NOW) is None


def test_a_chain_that_comes_back_is_looked_for_from_the_beginning(seconds: list[float]) -> None:
    aside = firing.Aside()
    aside.put("request:1")
    seconds[0] += firing.SET_ASIDE - EVERY / 2
    assert list(aside.chains()) == ["request:1"]
    assert aside.floor.at(NOW) is None
    aside.floor.looked(None, NOW)
    assert aside.floor.at(NOW) is not None
    seconds[0] += EVERY / 2
    assert not aside.chains()
    assert aside.floor.at(NOW) is None


async def test_the_least_that_waits_is_found_among_all_priorities(hub: Hub, build: Builder) -> None:
    endpoint, queue = await bank(build), store.of(hub.database.dialect)
    other = await build.endpoint("bank-a")
    for priority in (0, 1, 2, 3, 4):
        await queued(hub, build, endpoint, priority * MINUTE, priority=priority)
    await queued(hub, build, endpoint, 9 * MINUTE, leased=True, lease_id=clock.new_id())
    async with hub.database.read() as conn:
        found, now = await queue.least(conn, [endpoint, other]), await db.now(conn)
    assert found.keys() == {endpoint}
    assert timedelta(minutes=4) <= now - found[endpoint] < timedelta(minutes=5)


async def test_what_lies_below_a_floor_is_not_claimed_until_it_is_looked_for(hub: Hub, build: Builder) -> None:
    endpoint, queue = await bank(build), store.of(hub.database.dialect)
    below = await queued(hub, build, endpoint, MINUTE)
    above = await queued(hub, build, endpoint, timedelta())
    below_too = await queued(hub, build, endpoint, MINUTE, priority=3, attempt=1)

    async def claimed(**more: Any) -> list[UUID]:
        async def unit(conn: AsyncConnection) -> list[UUID]:
            lane = {endpoint: Free(8, 4, reserves=True)}
            lease = clock.new_id()
            rows = await queue.claim(conn, lane, cap=400, node="node-a", lease=lease, within=MINUTE, **more)
            return [row.dispatch_id for row in rows]

        return await hub.database.write(unit)

    async with hub.database.read() as conn:
        floor = await db.now(conn) - MINUTE / 2
    assert await claimed(floors={endpoint: floor}) == [above]
    assert await claimed(floors={clock.new_id(): floor}) == [below, below_too]


async def test_a_lane_has_its_floor_until_it_is_time_to_look_again(
    hub: Hub, build: Builder, seconds: list[float]
) -> None:
    endpoint = await bank(build)
    lanes = LaneFloors(store.of(hub.database.dialect))

    async def ago() -> timedelta:
        async with hub.database.read() as conn:
            floor = (await lanes.of(conn, [endpoint]))[endpoint]
            return await db.now(conn) - floor

    assert MARGIN <= await ago() < MARGIN + MINUTE / 2
    await queued(hub, build, endpoint, MINUTE)
    assert MARGIN <= await ago() < MARGIN + MINUTE / 2
    seconds[0] += EVERY
    assert await ago() >= MARGIN + MINUTE
    lanes.forget()
    await hub.database.write(lambda conn: conn.execute(sa.delete(QueueItem)))
    assert await ago() < MARGIN + MINUTE / 2


async def test_a_look_during_which_rows_were_handed_back_raises_no_floor(
    hub: Hub, build: Builder, seconds: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, queue = await bank(build), store.of(hub.database.dialect)
    lanes, looks, least = LaneFloors(queue), [], queue.least

    async def handed_back_meanwhile(conn: AsyncConnection, endpoints: Collection[UUID]) -> dict[UUID, datetime]:
        found = await least(conn, endpoints)
        looks.append(found)
        if len(looks) == 1:
            lanes.forget()
        return found

    monkeypatch.setattr(queue, "least", handed_back_meanwhile)
    async with hub.database.read() as conn:
        assert not await lanes.of(conn, [endpoint])
        assert endpoint in await lanes.of(conn, [endpoint])
    assert len(looks) == 2


@on_postgresql
async def test_what_a_dead_node_held_is_sent_at_once_though_it_lies_below(
    hub: Hub, build: Builder, rig: Rig, tmp_path: Any, fast_forward: FastForward
) -> None:
    rig.delivery = delivery.Delivery(hub, rig.node, rig.speaker, Transport(), refresh_every=math.inf)
    placed = await build.placed("bank-a")
    other_hub = make_hub(hub.settings.database_url, tmp_path, node="node-b")
    dying = await Rig(other_hub).start()
    dying.speaker.hang(placed.endpoint_id)
    assert await dying.delivery.claim_once() == 1
    await dying.die()
    await fast_forward(seconds=60)
    await rig.node.beat()
    assert await rig.delivery.claim_once() == 0
    assert await rig.node.sweep() == 1
    assert await rig.round() == 1
    assert (await build.row(Dispatch, id=placed.dispatch_id)).state is DispatchState.DELIVERED
    await dying.node.stop()
    await other_hub.database.close()


async def test_a_deadline_that_lies_below_the_floor_fires_with_the_next_look_from_the_beginning(
    world: World, fast_forward: FastForward, seconds: list[float]
) -> None:
    filed = await world.active(worlds.freeze())
    [order] = await world.orders(filed.id)
    aside = firing.Aside()
    await firing.fire_once(world.hub, aside)
    await fast_forward(minutes=11)
    # Nothing below ten seconds ago is looked at, and this deadline lies there.
    async with world.hub.database.read() as conn:
        aside.floor.looked(None, await db.now(conn))
    assert (await firing.fire_once(world.hub, aside)).fired == 0
    seconds[0] += EVERY
    assert (await firing.fire_once(world.hub, aside)).fired
    states = {row["state"] for row in await world.rows(Deadline, subject_id=order["id"])}
    assert DeadlineState.MISSED in states


@on_postgresql
async def test_the_floor_bounds_the_scans_of_a_claim(hub: Hub, build: Builder) -> None:
    endpoint, queue = await bank(build), store.of("postgresql")
    asked: list[tuple[str, Any]] = []

    def heard(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    async with hub.database.read(db.HUB) as conn:
        # Of a few rows any plan is quick: what is asked is which one there is where there are millions.
        for setting in ("enable_seqscan", "enable_bitmapscan"):
            await conn.execute(sa.text(f"SET LOCAL {setting} = off"))
        sa.event.listen(conn.sync_connection, "before_cursor_execute", heard)
        await queue.claim(conn, {endpoint: Free(8, 4)}, cap=400, node="node-a", lease=clock.new_id(), within=MINUTE)
        sa.event.remove(conn.sync_connection, "before_cursor_execute", heard)
        ((statement, parameters),) = asked
        plan = list((await conn.exec_driver_sql(f"EXPLAIN {statement}", tuple(parameters))).scalars())
    scans = [at for at, line in enumerate(plan) if "using ix_dispatch_queue_ready" in line]
    # Five arms, and the look whether a retry waits.
    assert len(scans) == 6
    for scan in scans:
        assert "(priority " in plan[scan + 1] and "(run_at >= " in plan[scan + 1], plan[scan + 1]
