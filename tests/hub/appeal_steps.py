"""What the tests of appeals do again and again: file, answer, sign a decision, and look at what was written."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import world as worlds
from world import World

from service.actions import answer_appeal, decide_appeal, file_appeal
from service.models import Appeal
from service.queries import appeals
from service.schemas.appeals import AppealDecision, AppealDetail, AppealReply, NewAppeal
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows.terms import Role, Sector

STATEMENT = "Tiền lương của tôi, xin xem sao kê kèm theo."
APPELLANT = {"name": "Lê Thị Mẫu", "phone": "+84980000021"}


async def file(world: World, order: Mapping[str, Any], who: Principal | None = None, **changes: Any) -> AppealDetail:
    """Contest an order as its participant."""
    body = {"order_id": str(order["id"]), "ground": "not_involved", "statement": STATEMENT, **changes}
    filer = who or world.participant(order["participant_id"])
    return await file_appeal.file(world.hub, filer, NewAppeal.model_validate(body))


async def file_for_a_person(world: World, **changes: Any) -> AppealDetail:
    """Contest an order, or a request by its reference, as the duty desk."""
    body = {"ground": "wrong_person", "statement": STATEMENT, "appellant": APPELLANT, **changes}
    return await file_appeal.file(world.hub, world.coordinator, NewAppeal.model_validate(body))


async def reply(
    world: World, filed: AppealDetail, officer: str = "maker", who: Principal | None = None
) -> AppealDetail:
    """Give the agency's first answer."""
    body = {"officer_id": officer, "text": "Chúng tôi đang xác minh."}
    raw = json.dumps(body).encode()
    signature = world.sign(Kind.REPLY, raw, officer if officer in world.keys else "maker", filed.id)
    shape = AppealReply.model_validate(body)
    return await answer_appeal.answer(world.hub, who or world.police, filed.id, shape, raw, signature)


def decision(outcome: str = "upheld", officer: str = "approver", **changes: Any) -> dict[str, Any]:
    """The body of a decision, unsigned."""
    reason = "person_not_involved" if outcome == "upheld" else "hold_justified"
    text = "Người này không liên quan."
    return {"officer_id": officer, "outcome": outcome, "reason_code": reason, "text": text, **changes}


def signed(world: World, appeal_id: UUID | str, body: Mapping[str, Any], who: str | None = None) -> dict[str, Any]:
    """The body of a decision, signed by its officer or by another one."""
    signature = world.sign(Kind.DECISION, json.dumps(body).encode(), who or body["officer_id"], appeal_id)
    return {**body, "signature": signature}


async def send(world: World, appeal_id: UUID, body: Mapping[str, Any], who: Principal | None = None) -> AppealDetail:
    """Send the body of a decision as it is."""
    shape = AppealDecision.model_validate(body)
    return await decide_appeal.decide(world.hub, who or world.police, appeal_id, shape, json.dumps(body).encode())


async def decide(world: World, filed: AppealDetail, outcome: str = "upheld", officer: str = "approver") -> AppealDetail:
    """Decide an appeal with a good signature."""
    return await send(world, filed.id, signed(world, filed.id, decision(outcome, officer)))


async def row(world: World, appeal_id: UUID) -> dict[str, Any]:
    """The row of an appeal."""
    [found] = await world.rows(Appeal, id=appeal_id)
    return found


def system(name: str, tenant: str, sector: Sector, *roles: Role) -> Principal:
    """The system of any member of the network."""
    return worlds._principal(name, tenant, sector, *roles)


async def held_numbers(world: World, *numbers: str) -> list[dict[str, Any]]:
    """A block of telephone numbers that their telecoms have executed; returns the orders."""
    targets = [{"kind": "phone", "value": number} for number in numbers]
    filed = await world.submit(worlds.takedown(*targets))
    for order in await world.orders(filed.id):
        await world.answer(order, outcome="executed")
    return await world.orders(filed.id)


async def shown(world: World, appeal_id: UUID | str) -> AppealDetail:
    """An appeal as its agency sees it."""
    async with world.hub.database.read() as conn:
        found = await appeals.one(conn, world.hub.vault, world.police, UUID(str(appeal_id)))
    assert found is not None
    return found
