"""What was sent and answered of an order: to its own bank, its agency and the desk; whole where it is asked for."""

from typing import Any
from uuid import UUID

import browsing
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from rigs import FastForward, Rig
from world import AGENCY, World

from adapters.base import DeliveryFailed
from service import db
from service.engine.hub import OPERATOR, Hub
from service.models import Dispatch
from service.queries import attempts
from service.queries.attempts import Story
from service.security.principals import Principal, of_person
from service.vault import subjects
from workflows.terms import Role, Sector

ACCOUNT = worlds.freeze()["target"]["value"]
LAN = of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
READER = of_person("tra-cuu", tenant=AGENCY, sector=Sector.AGENCY, roles=[Role.READER])
FOREIGN = of_person("tra-cuu", tenant="ca-tinh-01", sector=Sector.AGENCY, roles=[Role.READER])


def banker(name: str) -> Principal:
    return of_person("giao-dich", tenant=name, sector=Sector.BANK, roles=[Role.PARTICIPANT_OPERATOR])


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def tell(hub: Hub, who: Principal, order_id: UUID, *, opens: bool = False) -> Story | None:
    async with hub.database.read(who.reach) as conn:
        return await attempts.tell(conn, hub.vault, who, order_id, opens=opens)


async def tried(world: World, fast_forward: FastForward) -> dict[str, Any]:
    """An order that failed once, arrived at the second attempt and was executed."""
    filed = await world.active(worlds.freeze())
    (order,) = await world.orders(filed.id)
    rig, endpoint = await Rig(world.hub).start(), world.endpoints["vietcombank"]
    rig.speaker.fail(endpoint, DeliveryFailed("http.503", status=503))
    await rig.round()
    rig.speaker.heal(endpoint)
    await fast_forward(seconds=5)
    while await rig.round():
        pass
    await rig.stop()
    await world.answer(order, outcome="executed", amount_held=steps.vnd(order["amount"]))
    return order


@pytest.mark.parametrize("who", [LAN, READER, banker("vietcombank")], ids=["desk", "agency", "bank"])
async def test_each_attempt_and_answer_is_told_to_whoever_may_see_the_order(
    world: World, fast_forward: FastForward, who: Principal
) -> None:
    order = await tried(world, fast_forward)
    story = await tell(world.hub, who, order["id"])
    assert story is not None
    (sent,) = story.sent
    assert [(each.number, each.error, each.status) for each in sent.attempts] == [(1, "http.503", 503), (2, None, 202)]
    assert (sent.content, sent.attempts[1].answer) == (None, None) and sent.sha256 and sent.signed_with
    (answer,) = story.answers
    assert (answer.outcome, answer.amount_held) == ("executed", 150_000_000) and answer.signed_with
    opened = await tell(world.hub, who, order["id"], opens=True)
    assert opened is not None and ACCOUNT in (opened.sent[0].content or "")
    # What a bank's own system answered is no agency's.
    assert opened.sent[0].attempts[1].answer == (None if who is READER else "ok")


async def test_an_amount_is_told_as_what_it_is(world: World) -> None:
    filed = await world.active(steps.recall())
    (order,) = await world.orders(filed.id)
    await world.answer(order, outcome="executed", amount_returned=steps.vnd(7))
    story = await tell(world.hub, LAN, order["id"])
    assert story is not None
    (answer,) = story.answers
    assert (answer.amount_held, answer.amount_returned) == (None, 7)
    async with browsing.signed_in(world.hub, Role.COORDINATOR, OPERATOR, "tran-lan-thu") as desk:
        assert 'Đã hoàn trả</span> <b class="figure">7 ₫</b>' in await desk.get(f"/orders/{order['id']}")


async def test_nobody_else_learns_that_there_is_such_an_order(world: World, fast_forward: FastForward) -> None:
    order = await tried(world, fast_forward)
    for stranger in (FOREIGN, banker("techcombank")):
        assert await tell(world.hub, stranger, order["id"], opens=True) is None
    assert await tell(world.hub, LAN, UUID(int=7)) is None


async def test_what_was_erased_is_not_shown_and_what_was_reduced_keeps_its_digest(
    world: World, fast_forward: FastForward
) -> None:
    order = await tried(world, fast_forward)

    async def erased(conn: Any) -> None:
        await subjects.destroy(conn, [order["request_id"]], await db.now(conn))
        reduced = sa.update(table(Dispatch)).where(table(Dispatch).c.order_id == order["id"])
        await conn.execute(reduced.values(message_sha256="ab" * 32))

    await world.hub.writer.run(erased, reach=db.HUB)
    story = await tell(world.hub, LAN, order["id"], opens=True)
    assert story is not None
    (sent,) = story.sent
    assert (sent.content, sent.sha256, sent.signed_with) == (None, "ab" * 32, None)
    assert sent.attempts[1].answer == "[erased]"
