"""A case as it was: what the facts retell of each order is the state that its row really had, on both databases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from rigs import FastForward, Rig
from steps import vnd
from world import World

from service.actions import receive_inbox, replay_dispatches
from service.engine.hub import Hub
from service.models import Endpoint, Order
from service.queries import case_history, cases, inbox
from service.schemas.replays import ReplaySelection
from workflows.replay import Replayed
from workflows.terms import Channel, OrderState

PULLS = "techcombank"
AT_PULLS = {**worlds.freeze()["target"], "value": "9990001112224", "institution": "970407"}


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network in which one bank pulls."""
    made = World(hub)
    await made.settle_in()
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == made.endpoints[PULLS]).values(channel=Channel.PULL)
    await hub.writer.run(lambda conn: conn.execute(pulls))
    return made


@dataclass
class Album:
    """A case, of whose orders a picture is taken after each thing that happens."""

    world: World
    taken: list[tuple[datetime, dict[UUID, OrderState]]] = field(default_factory=list)

    async def take(self, order: Mapping[str, Any] | None = None, state: OrderState | None = None) -> None:
        """Keep the states of all orders as their rows say now; this one is in this state."""
        rows = {row["id"]: row["state"] for row in await self.world.rows(Order)}
        self.taken.append((await steps.now(self.world), rows))
        assert order is None or rows[order["id"]] is state

    async def compare(self, request_id: UUID) -> None:
        """Hold what is retold against each picture."""
        who = self.world.coordinator
        async with self.world.hub.database.read(who.reach) as conn:
            whole = await cases.of_request(conn, self.world.hub.vault, who, request_id)
            assert whole is not None
            past = await case_history.events(conn, whole)
        for number, (at, rows) in enumerate(self.taken):
            retold = {step.id: step.state for step in case_history.as_of(whole, past, at).steps}
            assert retold == rows, number


async def pull(world: World) -> None:
    """Take everything out of the inbox, and come back with the cursor."""
    who = world.participant(PULLS)
    async with world.hub.database.read() as conn:
        page = await inbox.page(conn, world.hub.vault, who, after=0, limit=50)
    await receive_inbox.receive(world.hub, who, page.next)


async def send_once_more(world: World, order: Mapping[str, Any]) -> None:
    """Have the order's message sent again, as for one that got lost."""
    chosen = ReplaySelection(which=Replayed.DELIVERED, order_id=order["id"], until=await steps.now(world))
    assert (await replay_dispatches.run(world.hub, world.coordinator, chosen)).count == 1


async def placed(world: World, **changes: Any) -> dict[str, Any]:
    """A freeze's one order, which nobody has sent yet."""
    filed = await world.active(worlds.freeze(**changes))
    [order] = await world.orders(filed.id)
    return order


async def test_each_order_is_retold_in_the_state_that_it_had(world: World, rig: Rig, fast_forward: FastForward) -> None:
    album = Album(world)
    first = await placed(world)
    await album.take(first, OrderState.PLACED)
    # The answer overtakes our own "delivered", and what was carried out is sent once more.
    await world.answer(first, outcome="executed", amount_held=vnd(7))
    await rig.round()
    await album.take(first, OrderState.EXECUTED)
    await fast_forward(minutes=1)
    await send_once_more(world, first)
    await rig.round()
    await album.take(first, OrderState.EXECUTED)

    pulled, refused, withdrawn = [await placed(world, target=AT_PULLS) for _ in range(3)]
    await album.take(pulled, OrderState.PLACED)
    await pull(world)
    await album.take(pulled, OrderState.DELIVERED)
    await world.answer(pulled, outcome="received")
    await world.answer(refused, outcome="refused", refusal_code="target_closed")
    await album.take(refused, OrderState.REFUSED)
    await world.active(worlds.lift(withdrawn["request_id"]))
    await pull(world)
    await album.take(withdrawn, OrderState.WITHDRAWN)
    # That it has the lift is said of the order that was withdrawn.
    await world.answer(withdrawn, outcome="received")
    await album.take(withdrawn, OrderState.WITHDRAWN)
    await world.answer(pulled, outcome="not_mine", ported_to="bidv")
    await rig.round()
    await album.take(pulled, OrderState.REROUTED)

    held = await placed(world)
    await rig.round()
    await album.take(held, OrderState.DELIVERED)
    await world.answer(held, outcome="executed", amount_held=vnd(steps.ASKED))
    lifting = await world.active(worlds.lift(held["request_id"]))
    [lift] = await world.orders(lifting.id)
    await rig.round()
    await album.take(lift, OrderState.DELIVERED)
    await world.answer(lift, outcome="lifted")
    await album.take(lift, OrderState.EXECUTED)
    assert (await steps.order_now(world, held))["state"] is OrderState.LIFTED

    await fast_forward(hours=73)
    await world.fire()
    await rig.round()
    await album.take(first, OrderState.LAPSED)
    # "Received" of the automatic lift leaves the order as it ended.
    await world.answer(first, outcome="received")
    await album.take(first, OrderState.LAPSED)
    await world.answer(first, outcome="lifted")
    await album.take(first, OrderState.LIFTED)
    await album.compare(first["request_id"])
