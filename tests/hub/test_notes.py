"""Notes about a request: for the house whose people wrote them, sealed, erased with the request, and a fact alone."""

from uuid import uuid4

import pytest
import steps
import world as worlds
from opening import opened
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service import audit, db, errors
from service.actions import write_note
from service.audit import Log
from service.engine import erasing
from service.engine.erasing import Decided
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry, Note
from service.queries import notes
from service.schemas.common import ERASED
from service.schemas.notes import NewNote
from service.security.principals import Principal, of_person
from service.vault import sealing
from workflows.terms import Role, Sector

TEXT = "Đã gọi trực ban, hẹn trả lời trước 10:30\nsố 9990001112223"
LAN = of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
MAKER = of_person("maker", tenant=AGENCY, sector=Sector.AGENCY, roles=[Role.MAKER])
READER = of_person("tra-cuu", tenant=AGENCY, sector=Sector.AGENCY, roles=[Role.READER])
AUDITOR = of_person("kiem-toan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.AUDITOR])
FOREIGN = of_person("maker-b", tenant="ca-tinh-01", sector=Sector.AGENCY, roles=[Role.MAKER])


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def read(hub: Hub, who: Principal, request_id: object) -> list[str]:
    async with hub.database.read(who.reach) as conn:
        return [each.text for each in await notes.of_request(conn, hub.vault, who, request_id)]  # type: ignore[arg-type]


async def test_a_note_is_for_the_house_that_wrote_it_and_a_fact_without_its_text(world: World) -> None:
    hub, filed = world.hub, await world.active(worlds.freeze())
    await write_note.write(hub, LAN, filed.id, NewNote(text=TEXT))
    await write_note.write(hub, MAKER, filed.id, NewNote(text="Hồ sơ đã bổ sung"))
    assert await read(hub, LAN, filed.id) == await read(hub, AUDITOR, filed.id) == [TEXT]
    assert await read(hub, MAKER, filed.id) == await read(hub, READER, filed.id) == ["Hồ sơ đã bổ sung"]
    assert await read(hub, FOREIGN, filed.id) == []
    first, _ = await world.rows(Note)
    assert TEXT.encode() not in first["body_sealed"]
    assert await opened(hub, "notes", first["id"], AGENCY, first["body_sealed"]) == TEXT
    told = await world.rows(AuditEntry, code="note.written")
    assert [(each["actor_id"], each["actor_tenant"]) for each in told] == [("lan", OPERATOR), ("maker", AGENCY)]
    assert not any("9990001112223" in each["data"] for each in told)


async def test_who_only_reads_writes_none_and_anothers_request_is_not_there(world: World) -> None:
    hub, filed = world.hub, await world.active(worlds.freeze())
    for reader in (READER, AUDITOR):
        with pytest.raises(errors.Forbidden) as refused:
            await write_note.write(hub, reader, filed.id, NewNote(text=TEXT))
        assert refused.value.code == "note.reader"
    for who, about in ((FOREIGN, filed.id), (LAN, uuid4())):
        with pytest.raises(errors.NotFound):
            await write_note.write(hub, who, about, NewNote(text=TEXT))
    for nonsense in ("", " ", "x" * 2001):
        with pytest.raises(ValidationError):
            NewNote(text=nonsense)
    assert await world.rows(Note) == []


async def test_with_its_request_a_note_is_erased_and_none_is_kept_after_it(world: World) -> None:
    hub, order = world.hub, await steps.held(world)
    await write_note.write(hub, LAN, order["request_id"], NewNote(text=TEXT))

    async def unit(conn: AsyncConnection) -> None:
        chain = audit.request_chain(order["request_id"])
        log = await Log.open(conn, await db.now(conn), [chain])
        why = Decided("15/QD-XOA", "a", log.at, "b")
        assert await erasing.erase(conn, hub, log, hub.actor, [order["request_id"]], why) == 1
        await log.flush()

    await hub.writer.run(unit, reach=db.HUB)
    assert await read(hub, LAN, order["request_id"]) == [ERASED]
    [row] = await world.rows(Note)
    assert row["body_sealed"] == sealing.stub(order["request_id"])
    with pytest.raises(errors.Conflict) as refused:
        await write_note.write(hub, LAN, order["request_id"], NewNote(text=TEXT))
    assert refused.value.code == "request.erased"


async def test_what_one_shift_wrote_is_found_by_its_instant_newest_first(world: World, fast_forward) -> None:
    hub, filed = world.hub, await world.active(worlds.freeze())
    await write_note.write(hub, LAN, filed.id, NewNote(text="ca trước"))
    await fast_forward(hours=13)
    async with hub.database.read(db.HUB) as conn:
        began = await db.now(conn)
    for text in ("một", "hai"):
        await write_note.write(hub, LAN, filed.id, NewNote(text=text))
    async with hub.database.read(LAN.reach) as conn:
        found = await notes.since(conn, hub.vault, LAN, began)
    assert [(each.text, each.reference) for each in found] == [("hai", filed.reference), ("một", filed.reference)]
