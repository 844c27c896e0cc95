"""The audit is searched within a window, by indexes; each house sees its own, and a chain is recomputed."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table, unbound
from world import World

from service import audit, db, errors
from service.actions import note_reading
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry
from service.queries import facts
from service.queries.facts import Found, Wanted
from service.security.principals import Principal, of_person
from workflows.terms import Door, Fact, Role, Sector

ENTRIES = table(AuditEntry)
AUDITOR = of_person("vu-hai-an", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.AUDITOR])
OWN = of_person("do-thu-ha", tenant=worlds.AGENCY, sector=Sector.AGENCY, roles=[Role.AUDITOR])
OTHERS = of_person("kiem-toan", tenant="agency-elsewhere", sector=Sector.AGENCY, roles=[Role.AUDITOR])


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def found(
    world: World, who: Principal = AUDITOR, after: str | None = None, limit: int = 200, **wanted: Any
) -> Found:
    now = await steps.now(world)
    span = {"since": now - timedelta(days=30), "until": now + timedelta(days=1)}
    async with world.hub.database.read(who.reach) as conn:
        return await facts.search(conn, who, Wanted(**{**span, **wanted}), after=after, limit=limit)


def hashes(page: Found) -> list[str]:
    return [line.fact.hash for line in page.lines]


async def stored(world: World, **conditions: Any) -> list[dict[str, Any]]:
    rows = await world.rows(AuditEntry, **conditions)
    return sorted(rows, key=lambda row: (row["at"], row["id"]), reverse=True)


async def test_each_field_narrows_a_search_to_exactly_its_facts(world: World) -> None:
    order = await steps.held(world)
    await steps.held(world)
    for conditions, wanted in (
        ({}, {}),
        ({"request_id": order["request_id"]}, {"request_id": order["request_id"]}),
        ({"code": "order.executed"}, {"code": Fact.ORDER_EXECUTED}),
        ({"sequence": 2}, {"number": 2}),
        ({"tenant": worlds.AGENCY}, {"tenant": worlds.AGENCY}),
    ):
        rows = await stored(world, **conditions)
        assert rows and hashes(await found(world, **wanted)) == [row["hash"].hex() for row in rows], wanted
    [row] = await stored(world, request_id=order["request_id"], code="order.executed")
    by_actor = [each for each in await stored(world, actor_id=row["actor_id"]) if each["actor_kind"] != "hub"]
    assert hashes(await found(world, actor=row["actor_id"])) == [each["hash"].hex() for each in by_actor]
    assert hashes(await found(world, actor="hub")) == [], "the hub's own facts are looked for by their kind"


async def test_a_window_has_a_first_instant_and_none_at_its_end(
    world: World, fast_forward: Callable[..., Awaitable[None]]
) -> None:
    await steps.held(world)
    early = await stored(world)
    await fast_forward(days=40)
    await steps.held(world)
    late = [row for row in await stored(world) if row["at"] > early[0]["at"]]
    assert hashes(await found(world)) == [row["hash"].hex() for row in late]
    span = {"since": early[-1]["at"], "until": early[0]["at"]}
    assert hashes(await found(world, **span)) == [row["hash"].hex() for row in early if row["at"] < early[0]["at"]]


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_pages_follow_each_other_without_a_gap_or_a_repetition(world: World, limit: int) -> None:
    await steps.held(world)
    whole, paged, after = hashes(await found(world)), [], None
    while True:
        page = await found(world, limit=limit, after=after)
        paged += hashes(page)
        if page.next is None:
            break
        after = page.next
    assert paged == whole
    for cursor in ("x", "20261201T000000000000-", "-5", "20261301T000000000000-5", "20261201T000000000000-9x", "²-2"):
        with pytest.raises(errors.InvalidInput):
            await found(world, after=cursor)


async def test_an_agencys_auditor_finds_the_facts_of_his_own_house_and_nobody_elses(world: World) -> None:
    order = await steps.held(world)
    await note_reading.searched(world.hub, AUDITOR, Door.CONSOLE, "actor", "somebody", 0)
    own = await found(world, OWN)
    assert {line.tenant for line in own.lines} == {worlds.AGENCY}
    assert hashes(own) == [row["hash"].hex() for row in await stored(world, tenant=worlds.AGENCY)]
    assert {line.tenant for line in (await found(world)).lines} > {worlds.AGENCY}
    for wanted in ({}, {"request_id": order["request_id"]}, {"tenant": worlds.AGENCY}):
        assert hashes(await found(world, OTHERS, **wanted)) == []
    async with world.hub.database.read(OTHERS.reach) as conn:
        assert await facts.request_named(conn, OTHERS, str(order["request_id"])) is None
        assert await facts.chain(conn, OTHERS, order["request_id"]) is None


async def test_a_chain_is_recomputed_and_each_kind_of_change_is_named(world: World) -> None:
    order = await steps.held(world)
    here = ENTRIES.c.chain == audit.request_chain(order["request_id"])
    async with world.hub.database.read(OWN.reach) as conn:
        whole = await facts.chain(conn, OWN, order["request_id"])
    assert whole is not None
    assert (whole.wrong, whole.away, whole.head) == ([], 0, whole.facts[-1].hash)
    forged = sa.update(ENTRIES).where(here, ENTRIES.c.sequence == 2).values(data=json.dumps({"forged": True}))
    cut = sa.delete(ENTRIES).where(here, ENTRIES.c.sequence == len(whole.facts))
    seen: list[list[tuple[int, str]]] = []

    async def unit(conn: Any) -> None:
        for statement in (forged, cut):
            await conn.execute(statement)
            chain = await facts.chain(conn, OWN, order["request_id"])
            assert chain is not None
            seen.append([(each.sequence, each.kind) for each in chain.wrong])

    # The hub's own login may not: whoever can is past the database's own rules.
    async with unbound(world.hub) as database:
        await database.write(unit, db.HUB)
    assert seen == [[(2, "edited")], [(2, "edited"), (len(whole.facts), "deleted")]]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_search_reads_the_months_of_its_window_alone_and_by_their_indexes(world: World) -> None:
    await steps.held(world)
    now = await steps.now(world)
    here = f"audit_entries_{now:%Y_%m}"
    for wanted, index in (
        ({}, "at_id_idx"),
        ({"code": Fact.EVIDENCE_EXPORTED}, "code_at_id_idx"),
        ({"tenant": "somebody"}, "tenant_at_id_idx"),
        ({"actor": "somebody"}, "actor_id_at_id_idx"),
    ):
        plan = await _plan(world, Wanted(since=now - timedelta(minutes=5), until=now, **wanted))
        assert index in plan, plan
        assert here in plan
        months = {part for part in plan.split() if part.startswith("audit_entries_2")}
        assert {month[: len(here)] for month in months} == {here}, plan


async def _plan(world: World, wanted: Wanted) -> str:
    statements: list[str] = []
    async with world.hub.database.read(db.HUB) as conn:
        # Of a few rows any plan is quick: what is asked is which one there is where there are millions.
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await conn.execute(sa.text(f"SET LOCAL {setting} = off"))
        query = sa.select(ENTRIES).where(*facts._conditions(wanted))
        query = query.order_by(ENTRIES.c.at.desc(), ENTRIES.c.id.desc()).limit(51)
        text = query.compile(conn.sync_connection, compile_kwargs={"literal_binds": True})
        statements += (await conn.execute(sa.text(f"EXPLAIN {text}"))).scalars()
    return "\n".join(statements)
