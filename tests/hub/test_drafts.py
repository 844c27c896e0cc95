"""A request that nobody filed yet: sealed, its person's alone, and gone with its key when its time is over."""

import asyncio
from datetime import timedelta

import pytest
import steps
from rigs import FastForward
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service.actions import keep_draft
from service.engine import retaining
from service.engine.hub import Hub
from service.models import Draft, SubjectKey
from service.queries import drafts
from service.queries.drafts import Begun
from service.security import principals
from service.security.principals import Principal, ScopeMissing
from service.vault import Erased, subjects
from workflows.terms import Role, Sector

SECRET = "9990001112223 NGUYEN VAN MAU"


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


def person(name: str = "maker", tenant: str = AGENCY, role: Role = Role.MAKER) -> Principal:
    return principals.of_person(name, tenant=tenant, sector=Sector.AGENCY, roles=[role])


async def kept(world: World, who: Principal) -> Begun | None:
    async with world.hub.database.read(who.reach) as conn:
        return await drafts.find(conn, world.hub.vault, who, await steps.now(world))


async def say(world: World, who: Principal, **answers: str) -> None:
    await keep_draft.save(world.hub, who, lambda before: {**before, **answers})


async def test_a_draft_is_sealed_and_nobody_elses(world: World) -> None:
    mine = person()
    await say(world, mine, text=SECRET)
    await keep_draft.save(world.hub, mine, lambda before: before, b"%PDF-1.4 " + SECRET.encode())
    [row] = await world.rows(Draft)
    assert SECRET.encode() not in row["answers_sealed"] + row["paper_sealed"]
    [key] = await world.rows(SubjectKey, kind="draft")
    assert (key["id"], key["subject"], row["tenant"], row["person"]) == (row["id"], str(row["id"]), AGENCY, "maker")
    begun = await kept(world, mine)
    assert begun is not None and begun.answers == {"text": SECRET} and SECRET not in repr(begun)
    # A colleague sees none, and no person of the same name elsewhere.
    for other in (person("second"), person("maker", "pc02-01")):
        assert await kept(world, other) is None
        async with world.hub.database.read(other.reach) as conn:
            assert await drafts.paper(conn, world.hub.vault, other) is None
    with pytest.raises(ScopeMissing):
        await say(world, person(role=Role.APPROVER), text="x")


async def test_two_windows_of_one_person_lose_nothing_of_each_other(world: World) -> None:
    mine = person()
    await asyncio.gather(*(say(world, mine, **{f"field.{number}": str(number)}) for number in range(8)))
    begun = await kept(world, mine)
    assert begun is not None and begun.answers == {f"field.{number}": str(number) for number in range(8)}
    assert len(await world.rows(Draft)) == 1 and len(await world.rows(SubjectKey, kind="draft")) == 1


async def test_the_file_lies_with_the_draft_until_it_is_taken_away(world: World) -> None:
    mine = person()
    await keep_draft.save(world.hub, mine, lambda _: {"a": "1"}, b"\x00\xff file")
    async with world.hub.database.read(mine.reach) as conn:
        assert await drafts.paper(conn, world.hub.vault, mine) == b"\x00\xff file"
    await say(world, mine, b="2")
    async with world.hub.database.read(mine.reach) as conn:
        assert await drafts.paper(conn, world.hub.vault, mine) == b"\x00\xff file"
    await keep_draft.save(world.hub, mine, lambda before: before, b"")
    async with world.hub.database.read(mine.reach) as conn:
        assert await drafts.paper(conn, world.hub.vault, mine) is None


async def test_what_is_thrown_away_opens_for_nobody(world: World) -> None:
    mine = person()
    await say(world, mine, text=SECRET)
    [row] = await world.rows(Draft)
    await keep_draft.discard(world.hub, mine)
    assert await world.rows(Draft) == [] and await kept(world, mine) is None

    async def open_again(conn: AsyncConnection) -> str:
        keys = await subjects.of(conn, row["answers_sealed"])
        return world.hub.vault.unseal(keys, "drafts", row["id"], AGENCY, row["answers_sealed"])

    with pytest.raises(Erased):
        await world.hub.database.write(open_again, mine.reach)
    await keep_draft.discard(world.hub, mine)  # twice is once


async def test_a_draft_ends_with_its_time_which_each_answer_begins_anew(
    world: World, fast_forward: FastForward
) -> None:
    left, used = person(), person("second")
    await say(world, left, text=SECRET)
    await say(world, used, text="1")
    await fast_forward(days=6)
    await say(world, used, text="2")
    assert (await retaining.retain(world.hub)).drafts == 0
    begun = await kept(world, left)
    assert begun is not None and begun.kept_until - begun.touched_at == timedelta(days=7)
    await fast_forward(days=1.01)
    # Over is over, also before anybody has swept.
    assert await kept(world, left) is None
    assert (await retaining.retain(world.hub)).drafts == 1
    [row] = await world.rows(Draft)
    assert row["person"] == "second"
    destroyed = [each["destroyed_at"] is not None for each in await world.rows(SubjectKey, kind="draft")]
    assert sorted(destroyed) == [False, True]
    # Whoever comes back begins with nothing.
    await say(world, left, other="x")
    begun = await kept(world, left)
    assert begun is not None and begun.answers == {"other": "x"}
