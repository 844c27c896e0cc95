"""The custody of a request's documents: each hand that one went through, by whom, when, how, and on which fact."""

from typing import Any

import pytest
import steps
import world as worlds
from sqlalchemy.ext.asyncio import AsyncConnection
from world import World

from service import audit, db
from service.actions import changes, export_evidence, note_reading, write_letter
from service.engine import writer
from service.engine.hub import OPERATOR, Hub
from service.models import ActionRequest, AuditEntry
from service.queries import custody
from service.queries.custody import Custody, Hand, Handling, Kind
from service.security.principals import Principal, of_person
from workflows.terms import Door, Fact, Role, Sector, View

APPROVER = of_person("approver", tenant=worlds.AGENCY, sector=Sector.AGENCY, roles=[Role.APPROVER])
COORDINATOR = of_person("tran-lan-thu", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
OTHERS = of_person("kiem-toan", tenant="agency-elsewhere", sector=Sector.AGENCY, roles=[Role.AUDITOR])
BANK = of_person("le-van-b", tenant="vietcombank", sector=Sector.BANK, roles=[Role.PARTICIPANT_OPERATOR])


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def shown(world: World, request_id: Any, who: Principal = COORDINATOR) -> Custody:
    async with world.hub.database.read(who.reach) as conn:
        found = await custody.of_request(conn, who, request_id)
    assert found is not None
    return found


async def sent(world: World, request_id: Any, kind: str, channel: str) -> None:
    """Put on record that something was delivered, as the engine does."""
    chain = audit.request_chain(request_id)

    async def unit(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [chain])
        about = {"kind": kind, "channel": channel, "participant_id": "vietcombank"}
        actor = world.hub.actor
        log.record(chain, Fact.ORDER_DELIVERED, actor, worlds.AGENCY, request_id=request_id, **about)
        await log.flush()

    await world.hub.writer.run(unit, reach=db.HUB)


def did(hands: tuple[Hand, ...]) -> list[tuple[Handling, str, str | None, str | None]]:
    return [(hand.handling, hand.actor["id"], hand.by, hand.participant_id) for hand in hands]


async def test_the_paper_went_through_the_hands_that_the_facts_name_and_through_no_others(world: World) -> None:
    order = await steps.held(world)
    request_id = order["request_id"]
    await sent(world, request_id, "order", "webhook")
    # A word to somebody on duty carries no paper.
    await sent(world, request_id, "notice", "email")
    await note_reading.opened(world.hub, APPROVER, Door.CONSOLE, View.PAPER, [request_id])
    await export_evidence.export(world.hub, changes.local_administrator("root"), str(request_id))
    found = await shown(world, request_id)
    [paper, file] = found.documents
    [row] = await world.rows(ActionRequest, id=request_id)
    assert (paper.kind, paper.sha256, paper.number) == (Kind.PAPER, row["document_sha256"], row["document_number"])
    told = did(paper.hands)
    assert [each[0] for each in told] == [
        *(Handling.PUT_IN, Handling.APPROVED, Handling.SENT, Handling.READ, Handling.EXPORTED)
    ]
    assert told[2][2:] == ("webhook", "vietcombank")
    assert told[3][1:] == ("approver", "console", None)
    assert told[4][1] == "root"
    [made] = [each for each in await world.rows(AuditEntry) if each["code"] == "evidence.exported"]
    assert file.kind is Kind.EVIDENCE and file.sha256 in made["data"]
    for hand in (*paper.hands, *file.hands):
        chain = f"{'reads' if hand.is_reading else 'request'}:{request_id}"
        [fact] = await world.rows(AuditEntry, chain=chain, sequence=hand.number)
        assert (fact["hash"].hex(), fact["at"], fact["actor_id"]) == (hand.hash, hand.at, hand.actor["id"])


async def test_each_letter_that_was_made_is_a_document_with_whoever_opened_it(world: World) -> None:
    order = await steps.held(world)
    await write_letter.write(world.hub, COORDINATOR, Door.CONSOLE, order["id"], "vi")
    await write_letter.write(world.hub, BANK, Door.API, order["id"], "vi")
    found = await shown(world, order["request_id"])
    [letter] = [each for each in found.documents if each.kind is Kind.LETTER]
    assert letter.participant_id == "vietcombank"
    assert did(letter.hands) == [
        (Handling.PRINTED, "tran-lan-thu", "console", None),
        (Handling.PRINTED, "le-van-b", "api", None),
    ]
    [paper] = [each for each in found.documents if each.kind is Kind.PAPER]
    assert Handling.PRINTED not in {hand.handling for hand in paper.hands}


async def test_of_many_readings_the_latest_are_shown_and_the_page_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await steps.held(world)
    monkeypatch.setattr(custody, "MOST", 2)
    for _ in range(2):
        await note_reading.opened(world.hub, APPROVER, Door.API, View.REQUEST, [order["request_id"]])
    assert not (await shown(world, order["request_id"])).is_cut
    await note_reading.opened(world.hub, COORDINATOR, Door.CONSOLE, View.PAGE, [order["request_id"]])
    found = await shown(world, order["request_id"])
    read = [hand for hand in found.documents[0].hands if hand.handling is Handling.READ]
    assert found.is_cut and [hand.number for hand in read] == [2, 3]


@pytest.mark.parametrize("who", [OTHERS, BANK], ids=["another agency", "the bank"])
async def test_nobody_else_learns_of_a_requests_documents(world: World, who: Principal) -> None:
    order = await steps.held(world)
    async with world.hub.database.read(who.reach) as conn:
        assert await custody.of_request(conn, who, order["request_id"]) is None
