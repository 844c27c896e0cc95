"""What ``audit verify`` names: a row that was edited, deleted, inserted or swapped, wherever it stands."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table, unbound
from world import World

from service import audit, canonical_json, db, errors
from service.engine import writer
from service.engine.hub import Hub
from service.models import AuditEntry, AuditHead, Order

ENTRIES, HEADS = table(AuditEntry), table(AuditHead)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A network with the story of two requests: one held and lifted, one refused by authority."""
    made = World(hub)
    await made.settle_in()
    hold = await steps.held(made)
    filed = await made.active(worlds.lift(hold["request_id"]))
    [order] = await made.orders(filed.id)
    await made.answer(order, outcome="lifted")
    with pytest.raises(errors.Forbidden):
        await made.submit(worlds.freeze(officer_id="junior"))
    return made


async def chain_of(world: World) -> str:
    """The chain of the freeze."""
    [hold] = await world.rows(Order, action="freeze")
    return audit.request_chain(hold["request_id"])


async def verify(world: World) -> audit.Verdict:
    async with world.hub.database.read() as conn:
        return await audit.verify(conn)


async def tamper(world: World, *statements: Any) -> audit.Verdict:
    """Write behind the hub's back, verify, and undo it."""
    verdict: list[audit.Verdict] = []

    class Undo(Exception):
        pass

    async def unit(conn: Any) -> None:
        if conn.dialect.name == "postgresql":
            await conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await conn.execute(statement)
        verdict.append(await audit.verify(conn))
        raise Undo

    # The hub's own login may not: whoever can is past the database's own rules.
    async with unbound(world.hub) as database:
        with pytest.raises(Undo):
            await database.write(unit, db.HUB)
    return verdict[0]


def found(verdict: audit.Verdict, chain: str) -> list[tuple[int, str]]:
    """The findings, which are all in this chain."""
    assert {finding.chain for finding in verdict.findings} <= {chain}
    return [(finding.sequence, finding.kind) for finding in verdict.findings]


async def test_a_clean_run_has_no_findings_and_counts_everything(world: World, fast_forward) -> None:
    await world.active(worlds.freeze(case_number="02/2026/CA"))
    await fast_forward(hours=80)
    await world.fire()
    verdict = await verify(world)
    assert verdict.findings == ()
    assert verdict.entries == len(await world.rows(AuditEntry))
    assert verdict.chains == len(await world.rows(AuditHead)) == 4


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "tenant": lambda row: "sbv",
    "code": lambda row: "order.refused",
    "actor_kind": lambda row: "person",
    "actor_id": lambda row: "somebody",
    "actor_tenant": lambda row: "sbv",
    "at": lambda row: row["at"] + timedelta(microseconds=1),
    "data": lambda row: row["data"].replace("{", '{"x":1,', 1),
    "previous": lambda row: bytes(31) + b"\x01",
    "hash": lambda row: bytes(32),
    "request_id": lambda row: None,
}


async def test_an_edited_row_is_named_wherever_it_stands_and_whatever_was_edited(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        for column, other in EDITS.items():
            edit = sa.update(ENTRIES).where(ENTRIES.c.id == row["id"]).values({column: other(row)})
            named = found(await tamper(world, edit), chain)
            assert row["sequence"] in {sequence for sequence, _ in named}, (column, named)
            assert len(named) <= 2, (column, named)
            if column not in {"previous", "hash"}:
                assert named == [(row["sequence"], "edited")], column


async def test_an_edit_with_a_hash_that_fits_is_named_by_the_row_behind_it(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    for at, row in ((3, rows[2]), (len(rows), rows[-1])):
        forged = {**row, "code": "order.refused"}
        digest = audit.entry_hash(row["previous"], audit.hashed(forged))
        edit = sa.update(ENTRIES).where(ENTRIES.c.id == row["id"]).values(code=forged["code"], hash=digest)
        named = found(await tamper(world, edit), chain)
        # The chain breaks at the next row, or at the head.
        assert [sequence for sequence, _ in named] == [min(at + 1, len(rows))]


async def test_a_deleted_row_is_named_in_the_middle_and_at_both_ends(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    for row in rows:
        gone = sa.delete(ENTRIES).where(ENTRIES.c.id == row["id"])
        assert found(await tamper(world, gone), chain) == [(row["sequence"], "deleted")]
    tail = sa.delete(ENTRIES).where(ENTRIES.c.chain == chain, ENTRIES.c.sequence > 4)
    assert found(await tamper(world, tail), chain) == [(number, "deleted") for number in range(5, len(rows) + 1)]


async def test_a_chain_that_is_gone_altogether_is_named(world: World) -> None:
    chain = await chain_of(world)
    count = len(await world.rows(AuditEntry, chain=chain))
    gone = sa.delete(ENTRIES).where(ENTRIES.c.chain == chain)
    named = found(await tamper(world, gone), chain)
    assert named
    assert {kind for _, kind in named} == {"deleted"}
    assert max(sequence for sequence, _ in named) == count


async def test_a_deleted_head_is_named(world: World) -> None:
    chain = await chain_of(world)
    count = len(await world.rows(AuditEntry, chain=chain))
    named = found(await tamper(world, sa.delete(HEADS).where(HEADS.c.chain == chain)), chain)
    assert named == [(count, "head")]


async def test_a_head_that_was_turned_back_does_not_hide_what_it_forgot(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    older = rows[-3]
    back = sa.update(HEADS).where(HEADS.c.chain == chain).values(sequence=older["sequence"], hash=older["hash"])
    named = found(await tamper(world, back), chain)
    assert {sequence for sequence, _ in named} == {row["sequence"] for row in rows[-2:]}


async def test_an_inserted_row_is_named(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    last = rows[-1]
    forged = {**last, "id": 10**6, "sequence": last["sequence"] + 1, "code": "order.lifted", "previous": last["hash"]}
    forged["deadline_id"] = None
    forged["hash"] = audit.entry_hash(forged["previous"], audit.hashed(forged))
    named = found(await tamper(world, sa.insert(ENTRIES).values(forged)), chain)
    assert named == [(forged["sequence"], "inserted")]
    # Into the middle: those behind it make room, each with its new number.
    third = rows[2]
    room = [
        sa.update(ENTRIES).where(ENTRIES.c.id == row["id"]).values(sequence=row["sequence"] + 1)
        for row in reversed(rows[3:])
    ]
    forged |= {"sequence": third["sequence"] + 1, "previous": third["hash"]}
    forged["hash"] = audit.entry_hash(forged["previous"], audit.hashed(forged))
    named = found(await tamper(world, *room, sa.insert(ENTRIES).values(forged)), chain)
    assert min(sequence for sequence, _ in named) in {third["sequence"] + 1, third["sequence"] + 2}


async def test_swapped_rows_are_named(world: World) -> None:
    chain = await chain_of(world)
    rows = await world.rows(AuditEntry, chain=chain)
    first, second = rows[1], rows[4]

    def put(row: dict[str, Any], sequence: int) -> Any:
        return sa.update(ENTRIES).where(ENTRIES.c.id == row["id"]).values(sequence=sequence)

    moves = [put(first, 10**6), put(second, first["sequence"]), put(first, second["sequence"])]
    named = found(await tamper(world, *moves), chain)
    assert [finding for finding in named if finding[1] == "swapped"] == [
        (first["sequence"], "swapped"),
        (second["sequence"], "swapped"),
    ]


async def test_a_row_that_moved_to_another_chain_is_missed_in_one_and_named_in_the_other(world: World) -> None:
    chain = await chain_of(world)
    tenant = audit.tenant_chain(worlds.AGENCY)
    rows = await world.rows(AuditEntry, chain=chain)
    moved = sa.update(ENTRIES).where(ENTRIES.c.id == rows[3]["id"]).values(chain=tenant, sequence=2)
    verdict = await tamper(world, moved)
    assert {finding.chain for finding in verdict.findings} == {chain, tenant}


async def test_a_leaf_is_hashed_as_the_handbook_says(world: World) -> None:
    chain = await chain_of(world)
    row = (await world.rows(AuditEntry, chain=chain))[0]
    assert row["previous"] == audit.GENESIS == bytes(32)
    canonical = canonical_json.dumps({**audit.hashed(row), "previous": "00" * 32})
    assert row["hash"] == hashlib.sha256(b"\x00" + canonical).digest()


async def test_two_first_facts_of_one_tenant_at_one_instant_stand_one_behind_the_other(world: World) -> None:
    chain = audit.tenant_chain("techcombank")

    async def one(number: int) -> None:
        async def unit(conn: Any) -> None:
            log = await audit.Log.open(conn, await db.now(conn), [chain])
            log.record(chain, audit.Fact.REGISTRY_CHANGED, world.hub.actor, "techcombank", number=number)
            await log.flush()

        await world.hub.writer.run(unit)

    await asyncio.gather(*(one(number) for number in range(16)))
    assert [row["sequence"] for row in await world.rows(AuditEntry, chain=chain)] == list(range(1, 17))
    assert (await verify(world)).findings == ()


async def test_a_lock_has_the_instant_after_its_wait(world: World) -> None:
    chain, waiting = await chain_of(world), list[asyncio.Task[Any]]()
    blocked = sa.text("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")

    async def second(conn: Any) -> Any:
        return (await writer.lock(conn, [chain])).at

    async def first(conn: Any) -> Any:
        await writer.lock(conn, [chain])
        waiting.append(asyncio.create_task(world.hub.writer.run(second, reach=db.HUB)))
        while conn.dialect.name == "postgresql" and not (await conn.execute(blocked)).scalar_one():
            pass
        return await db.now(conn)

    async with asyncio.timeout(60):
        released = await world.hub.writer.run(first, reach=db.HUB)
    assert await waiting[0] > released
