"""A timeline tells a cause before what followed from it, also where one transaction wrote both."""

import itertools
import json
from typing import Any
from uuid import UUID

import appeal_steps
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from world import World

from service.actions import receive_inbox
from service.engine.hub import Hub
from service.models import AuditEntry, Dispatch, Endpoint, Order
from workflows.terms import Channel, Fact

BANK = "vietcombank"
# The first fact of the transaction, and the stages whose clocks it stopped.
CAUSES = {
    "request.approved": {"approval"},
    "request.reviewed": {"review"},
    "dispatch.pulled": {"receipt"},
    "order.acknowledged": {"acknowledge"},
    "order.executed": {"receipt", "acknowledge", "execute"},
    "order.partly_executed": {"receipt", "acknowledge", "execute"},
    "order.refused": {"receipt", "acknowledge", "execute"},
    "order.rerouted": {"receipt", "acknowledge", "execute"},
    "order.lifted": {"receipt", "acknowledge", "execute"},
    "appeal.answered": {"appeal_answer"},
    "appeal.decided": {"appeal_decision"},
}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network in which one bank pulls."""
    made = World(hub)
    await made.settle_in()
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == made.endpoints[BANK]).values(channel=Channel.PULL)
    await hub.writer.run(lambda conn: conn.execute(pulls))
    return made


async def stories(world: World) -> list[UUID]:
    """Every kind of answer that stops a clock; returns the requests."""
    reviewed = await world.submit(steps.emergency())
    await world.review(reviewed.id)
    told = [reviewed.id]

    async def active(body: dict[str, Any]) -> dict[str, Any]:
        filed = await world.active(body)
        told.append(filed.id)
        [order] = await world.orders(filed.id)
        return order

    pulled = await active(worlds.freeze())
    await receive_inbox.receive(world.hub, world.participant(BANK), 0)
    everything = max(row["position"] or 0 for row in await world.rows(Dispatch))
    await receive_inbox.receive(world.hub, world.participant(BANK), everything)
    await world.answer(pulled, outcome="received")
    part = await active(worlds.freeze())
    await world.answer(part, outcome="executed", amount_held=steps.vnd(1))
    refused = await active(worlds.freeze())
    await world.answer(refused, outcome="refused", refusal_code="no_balance")
    number = await active(worlds.takedown({"kind": "phone", "value": "+84980000007"}))
    await world.answer(number, outcome="not_mine", ported_to="vinaphone")
    held = await steps.held(world)
    contested = await appeal_steps.file(world, held)
    await appeal_steps.reply(world, contested)
    await appeal_steps.decide(world, contested)
    lifts = await world.rows(Order, original_id=held["id"])
    for lift in lifts:
        await world.answer(lift, outcome="executed")
    kept = await steps.held(world)
    lifted = await active(worlds.lift(kept["request_id"]))
    await world.answer(lifted, outcome="lifted")
    return [*told, held["request_id"]]


async def test_a_deadline_is_met_by_what_the_timeline_told_just_before(world: World) -> None:
    seen: dict[str, set[str]] = {}
    for request_id in await stories(world):
        entries = await world.rows(AuditEntry, chain=f"request:{request_id}")
        entries.sort(key=lambda entry: entry["sequence"])
        for _, together in itertools.groupby(entries, key=lambda entry: entry["at"]):
            facts = list(together)
            codes = [str(fact["code"]) for fact in facts]
            met = {json.loads(fact["data"])["stage"] for fact in facts if fact["code"] == Fact.DEADLINE_MET}
            assert codes[0] != Fact.DEADLINE_MET, codes
            if met:
                seen.setdefault(codes[0], set()).update(met)
    assert seen == CAUSES
    assert await steps.findings(world) == []
