"""The root of the blind indexes is replaced: what met meets again, what is queued keeps its order, nobody works."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import MASTER, Builder, make_hub, table
from world import World

from service import clock, db, errors
from service.engine import reindexing, rekeying
from service.engine.hub import Hub
from service.engine.node import Node
from service.models import Node as NodeRow
from service.models import Order, QueueItem, RootKey, Target
from service.queries import erasures
from service.vault import FileMasters, Vault, roots, subjects
from workflows.terms import Actor, ActorKind, TargetKind

WHO = Actor(ActorKind.HUB, "test", worlds.OPERATOR)
# The account of worlds.freeze, made up.
ACCOUNT = "9990001112223"


async def opened(hub: Hub) -> Hub:
    """The hub as a node that has just started sees it: its vault over the root that is in force."""
    vault = await roots.open_vault(hub.database, hub.vault.masters)
    return Hub(**{name: getattr(hub, name) for name in Hub.__slots__} | {"vault": vault})


@pytest.fixture
def world(hub: Hub) -> World:
    return World(hub)


async def test_after_a_new_root_requests_about_one_target_are_found_and_holds_meet(world: World) -> None:
    await world.settle_in()
    before = await world.active(worlds.freeze())
    targets, orders = await world.rows(Target), await world.rows(Order)
    done = await reindexing.rotate_root(world.hub, WHO)
    assert (done.targets, done.orders, done.queued) == (len(targets), len(orders), len(orders))
    for model, column, former in ((Target, "value_index", targets), (Order, "subject_index", orders)):
        now = {row["id"]: row[column] for row in await world.rows(model)}
        assert all(len(now[row["id"]]) == 32 and now[row["id"]] != row[column] for row in former)
    with pytest.raises(errors.Unavailable, match=re.escape("vault.root_replaced")):
        await world.active(worlds.freeze())
    after = World(await opened(world.hub), endpoints=world.endpoints, keys=world.keys)
    async with after.hub.database.read(db.HUB) as conn:
        [found] = await erasures.about(conn, after.hub.vault, TargetKind.ACCOUNT, ACCOUNT)
        assert found.request_id == before.id
        assert await erasures.about(conn, Vault.of(MASTER), TargetKind.ACCOUNT, ACCOUNT) == []
    again = await after.active(worlds.freeze(case_number="another"))
    assert "hold.overlaps" in await after.facts(again.id)
    assert "hold.overlaps" in await after.facts(before.id)


async def on_its_way(world: World) -> None:
    """Let what waits for the bank be under way."""
    items = table(QueueItem)
    leased = {"leased": True, "attempt": 1, "node": "node-a", "lease_id": clock.new_id()}
    way = sa.update(items).where(items.c.endpoint_id == world.endpoints["vietcombank"]).values(**leased)
    await world.hub.database.write(lambda conn: conn.execute(way))


async def test_a_lift_filed_under_the_new_root_stands_behind_the_freeze_queued_under_the_old_one(world: World) -> None:
    await world.settle_in()
    hold = await steps.held(world)
    queued = await world.rows(QueueItem)
    await reindexing.rotate_root(world.hub, WHO)
    await on_its_way(world)
    after = World(await opened(world.hub), endpoints=world.endpoints, keys=world.keys)
    await after.submit(worlds.lift(hold["request_id"], case_number="another"))
    # Delivered by a queue that is of before: the bank has answered, its first message is still on its way.
    first, second = await world.rows(QueueItem)
    assert first["id"] == queued[0]["id"] and first["order_key"] != queued[0]["order_key"]
    assert second["order_key"] == first["order_key"]


async def test_a_lift_that_already_waits_stays_behind_its_freeze_and_statuses_keep_their_order(world: World) -> None:
    await world.settle_in()
    await steps.status_endpoint(world)
    hold = await steps.held(world)
    await on_its_way(world)
    await world.submit(worlds.lift(hold["request_id"], case_number="another"))
    before = {row["id"]: row for row in await world.rows(QueueItem)}
    done = await reindexing.rotate_root(world.hub, WHO)
    orders = {row["order_key"] for row in before.values() if row["endpoint_id"] == world.endpoints["vietcombank"]}
    moved = [row for row in await world.rows(QueueItem) if row["order_key"] != before[row["id"]]["order_key"]]
    assert len(orders) == 1 and len(moved) == done.queued == 2 < len(before)
    assert moved[0]["order_key"] == moved[1]["order_key"]


async def test_what_stands_out_of_order_stops_it_and_nothing_is_changed(hub: Hub, build: Builder) -> None:
    placed = await build.placed("bank-a")
    items, rows = table(QueueItem), table(RootKey)
    wrong = sa.update(items).values(order_key=7)
    await hub.database.write(lambda conn: conn.execute(wrong))
    before = await build.row(Order, id=placed.order_id)
    with pytest.raises(reindexing.OrderLost):
        await reindexing.rotate_root(hub, WHO)
    assert await build.row(Order, id=placed.order_id) == before
    async with hub.database.read() as conn:
        assert (await conn.execute(sa.select(rows.c.name))).scalars().all() == ["index"]


async def test_what_was_erased_keeps_its_empty_index(hub: Hub, build: Builder) -> None:
    placed = await build.placed("bank-a")
    [target] = await build.rows(Target)
    await build.change(Target, target.id, value_index=b"")
    await build.change(Order, placed.order_id, subject_index=b"")
    await _destroy(hub, target.request_id)
    await hub.database.write(lambda conn: conn.execute(sa.delete(table(QueueItem))))
    await reindexing.rotate_root(hub, WHO)
    assert (await build.row(Target)).value_index == b""
    assert (await build.row(Order)).subject_index == b""


async def test_it_is_refused_while_a_node_works_and_goes_on_once_it_has_left(hub: Hub, build: Builder) -> None:
    await build.placed("bank-a")
    node = Node(hub)
    await node.start()
    with pytest.raises(reindexing.StillRunning):
        await reindexing.rotate_root(hub, WHO)
    assert await build.rows(RootKey) == [await build.row(RootKey, name="index")]
    await node.stop()
    assert (await reindexing.rotate_root(hub, WHO)).targets == 1
    assert "key.rotated" in await build.facts(f"tenant:{worlds.OPERATOR}")


async def test_a_node_that_stood_still_meanwhile_lets_go_at_its_next_beat(
    hub: Hub, build: Builder, tmp_path: Path, database_url: str | None
) -> None:
    await build.placed("bank-a")
    asleep = await opened(make_hub(database_url, tmp_path, "node-b"))
    node = Node(asleep)
    await node.beat()
    assert not node.is_uprooted and "vault.root_replaced" not in node.faults()
    await hub.database.write(lambda conn: conn.execute(sa.delete(table(NodeRow))))
    await reindexing.rotate_root(hub, WHO)
    await node.beat()
    assert "vault.root_replaced" in node.faults() and not node.may_work()
    with pytest.raises(errors.Unavailable):
        asleep.vault.blind_index("a", "account", "1")
    await asleep.database.close()


async def test_a_search_of_before_is_recognised_after_two_rotations_and_a_new_master(
    hub: Hub, build: Builder, tmp_path: Path
) -> None:
    await build.request()
    said = hub.vault.blind_index(worlds.AGENCY, "case_number", "12/2026")
    hub.vault.masters = _masters(tmp_path / "masters")
    await reindexing.rotate_root(hub, WHO)
    second = await opened(hub)
    said_then = second.vault.blind_index(worlds.AGENCY, "case_number", "12/2026")
    await rekeying.rotate_master(second, WHO, second.vault.masters.make())
    await reindexing.rotate_root(second, WHO)
    third = (await opened(second)).vault
    now = third.blind_index(worlds.AGENCY, "case_number", "12/2026")
    assert third.blind_indexes(worlds.AGENCY, "case_number", "12/2026") == {said, said_then, now}
    assert len({said, said_then, now}) == 3
    assert said not in third.blind_indexes("agency-b", "case_number", "12/2026")
    assert {row.name for row in await build.rows(RootKey)} == {"index", "index.1", "index.2"}
    assert len({row.master for row in await build.rows(RootKey)}) == 1


def _masters(folder: Path) -> FileMasters:
    folder.mkdir()
    (folder / "vault.key").write_bytes(MASTER)
    (folder / "vault.key").chmod(0o400)
    return FileMasters.at(folder)


async def _destroy(hub: Hub, request_id: UUID) -> Any:
    return await hub.database.write(lambda conn: subjects.destroy(conn, [request_id], clock.utc_now()))
