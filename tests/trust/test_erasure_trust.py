"""T-ERASE: of whom is erased nothing is found again, with all keys that are left; the audit verifies as before."""

import json
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import appeal_steps
import pytest
import sqlalchemy as sa
import trust_sizes
import world as worlds
from builders import table
from hub.conftest import FastForward
from raider import Loot, Raider, files, steal
from world import World

from service import audit
from service.engine import erasing
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import Dispatch, QueueItem, Task
from service.queries import requests
from workflows.terms import DispatchState

WHY = Decided("15/QD-XOA", "asker", datetime(2026, 11, 29, tzinfo=UTC), "confirmer")
PER_TAKEDOWN = 8
IDENTIFIERS = {"sqlite": (60, 520), "postgresql": (56, 510)}


@pytest.fixture
async def world(hub: Hub) -> World:
    if hub.database.dialect == "sqlite":
        # A power cut is not what this test is about.
        listens = sa.event.listens_for(hub.database.engine.sync_engine, "connect")
        listens(lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    made = World(hub)
    await made.settle_in()
    return made


async def test_of_an_erased_subject_nothing_is_found_again(
    world: World, fast_forward: FastForward, record_property: Any
) -> None:
    hub, draw = world.hub, random.Random(trust_sizes.seed())
    size = trust_sizes.size(*IDENTIFIERS[hub.database.dialect])
    erased, kept = await filed(world, draw, size), await filed(world, draw, PER_TAKEDOWN * 2)
    await fast_forward(days=100)
    await world.fire()
    await settle(world)
    before = await steal(hub.database)
    texts = [text for texts in erased.values() for text in texts]
    for request_id in erased:
        assert await erasing.run(hub, request_id, hub.actor, WHY) > 0, request_id
    await hub.database.wipe(hub.settings.owner_url)
    after = await steal(hub.database)
    raider = Raider(after)
    # Today's dump, an older copy of all fields, and of an embedded database every byte on the disk.
    opened = raider.opened([before, after])
    raw = after.raw() + (files(hub) if hub.database.dialect == "sqlite" else b"")
    found = {text for text in texts if text in opened or text.encode() in raw}
    found |= raider.linked(["phone", "account"], texts)
    wrong = [f"found again: {text}" for text in sorted(found)]
    keys = [row for row in before.tables["subject_keys"] if row["id"] in erased]
    wrong += [f"the wrapped key of {row['id']} is still there" for row in keys if row["wrapped"] in raw]
    wrong += [
        f"answers a guess: {mark}" for mark in marks(before, erased) - marks(before, kept) if mark.encode() in raw
    ]
    async with hub.database.read() as conn:
        verdict = await audit.verify(conn)
        shown = [await requests.one(conn, hub.vault, world.police, request_id) for request_id in erased]
    wrong += [str(finding) for finding in verdict.findings]
    wrong += [str(each) for each in shown if each is None or not each.erased or leaks(each, texts)]
    record_property(
        *trust_sizes.figure(
            "P25",
            "T-ERASE: identifiers found after erasure, with every key that is left",
            n=len(texts),
            violations=len(wrong),
            requests=len(erased),
            values_tried=sum(1 for loot in (before, after) for _ in loot.sealed()),
            facts_verified=verdict.entries,
            database=hub.database.dialect,
        )
    )
    assert wrong == []
    assert len(texts) >= size
    # The raider is able: whoever was not erased is found, by key and by index.
    others = [text for texts in kept.values() for text in texts]
    assert [text for text in others if text not in opened] == []
    assert raider.linked(["phone", "account"], [text for text in others if text.startswith(("+", "999"))])


async def filed(world: World, draw: random.Random, size: int) -> dict[UUID, list[str]]:
    """File what comes to its end: takedowns, freezes with holder and appeal; by request, what hides."""
    made: dict[UUID, list[str]] = {}
    total = 0
    while total < size:
        if len(made) % 4 == 3:
            request_id, texts = await _frozen(world, draw)
        else:
            numbers = [f"+8498{draw.randrange(10**7):07}" for _ in range(PER_TAKEDOWN)]
            orders = await appeal_steps.held_numbers(world, *numbers)
            request_id, texts = orders[0]["request_id"], numbers
        made[request_id] = texts
        total += len(texts)
    return made


async def _frozen(world: World, draw: random.Random) -> tuple[UUID, list[str]]:
    account, holder = f"999{draw.randrange(10**10):010}", f"NGUYEN MAU {draw.randrange(10**8):08}"
    statement, person = f"Tôi là {draw.randrange(10**12)}", f"Lê Mẫu {draw.randrange(10**8):08}"
    contact = {"name": f"Trực {draw.randrange(10**8):08}", "phone": f"+8428{draw.randrange(10**7):07}"}
    target = {**worlds.freeze()["target"], "value": account, "holder_name": holder}
    filed = await world.active(worlds.freeze(target=target, contact=contact))
    [order] = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_held={"value": "150000000", "currency": "VND"})
    appellant = {"name": person, "phone": "+84980000021"}
    appeal = await appeal_steps.file_for_a_person(
        world, request_reference=filed.reference, statement=statement, appellant=appellant
    )
    await appeal_steps.decide(world, appeal)
    await world.answer(order, outcome="lifted")
    return filed.id, [account, holder, statement, person, contact["name"]]


async def settle(world: World) -> None:
    """Let everything arrive and every task be done; the doors of this are tested elsewhere."""
    dispatches, tasks = table(Dispatch), table(Task)

    async def unit(conn: Any) -> None:
        await conn.execute(sa.delete(table(QueueItem)))
        await conn.execute(sa.update(dispatches).values(state=DispatchState.DELIVERED))
        await conn.execute(sa.update(tasks).values(resolved_at=sa.func.hub_now()))

    await world.hub.writer.run(unit)


def marks(before: Loot, erased: dict[UUID, list[str]]) -> set[str]:
    """What would answer whoever guesses a text: digests of bodies, and signatures over them."""
    tables = before.tables
    orders = {row["id"] for row in tables["orders"] if row["request_id"] in erased}
    concerned = [row for row in tables["requests"] if row["id"] in erased]
    concerned += [row for row in tables["acknowledgements"] if row["order_id"] in orders]
    concerned += [row for row in (*tables["approvals"], *tables["appeals"]) if row["request_id"] in erased]
    concerned += [row for row in tables["idempotency_keys"] if UUID(row["answer"]["id"]) in erased]
    return {row[name] for row in concerned for name in ("body_sha256", "signature") if row.get(name)}


def leaks(detail: Any, texts: list[str]) -> bool:
    """Tell whether a page of the request shows anything of it."""
    shown = json.dumps(detail.model_dump(mode="json"), ensure_ascii=False)
    return any(text in shown for text in texts)
