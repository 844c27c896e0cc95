"""The facts of a request, told in order: codes and numbers from the chain, with the names a reader needs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, i18n
from service.models import ActionRequest, AuditEntry, Officer, Order, Participant, table_of
from service.queries import visibility
from service.schemas.common import HeldMoney
from service.schemas.requests import FactAnswer, TimelineAnswer
from service.security.principals import Principal

_REQUESTS = table_of(ActionRequest)
_ENTRIES = table_of(AuditEntry)
_OFFICERS = table_of(Officer)
_ORDERS = table_of(Order)
_PARTICIPANTS = table_of(Participant)
_AMOUNTS = frozenset({"amount", "amount_held", "amount_returned", "amount_asked"})


async def tell(conn: AsyncConnection, principal: Principal, request_id: UUID) -> TimelineAnswer | None:
    """Return the timeline of a request, or None when it does not exist or is not for the caller."""
    query = sa.select(_REQUESTS.c.reference).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    reference = (await conn.execute(query)).scalar_one_or_none()
    if reference is None:
        return None
    chain = audit.request_chain(request_id)
    rows = (
        await conn.execute(sa.select(_ENTRIES).where(_ENTRIES.c.chain == chain).order_by(_ENTRIES.c.sequence))
    ).all()
    return TimelineAnswer(request_id=request_id, reference=reference, facts=await told(conn, rows))


async def told(conn: AsyncConnection, rows: Sequence[sa.Row[Any]]) -> list[FactAnswer]:
    """Return these rows of the audit as they are told, in their order, with the names that a reader needs."""
    facts = [json.loads(row.data) for row in rows]
    names = await _names(conn, rows, facts)
    orders = await _orders(conn, facts)
    return [_fact(row, data, names, orders) for row, data in zip(rows, facts, strict=True)]


async def _names(
    conn: AsyncConnection, rows: Sequence[sa.Row[Any]], facts: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Read the display names of the participants and officers that the facts mention."""
    ids = {str(data[key]) for data in facts for key in ("participant_id", "ported_to") if data.get(key)}
    ids |= {row.actor_tenant for row in rows}
    officers = {str(data["officer_id"]) for data in facts if data.get("officer_id")}
    participants = sa.select(_PARTICIPANTS.c.id, _PARTICIPANTS.c.short_name).where(_PARTICIPANTS.c.id.in_(ids))
    names = {row.id: row.short_name for row in (await conn.execute(participants)).all()}
    # An officer is shown by rank and number; the name is for the evidence bundle (PROMISES R19).
    known = sa.select(_OFFICERS.c.id, _OFFICERS.c.rank, _OFFICERS.c.number).where(_OFFICERS.c.id.in_(officers))
    for row in (await conn.execute(known)).all():
        names[f"officer:{row.id}"] = f"{row.rank}|{row.number}"
    return names


async def _orders(conn: AsyncConnection, facts: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    ids = {UUID(str(data[key])) for data in facts for key in ("order_id",) if data.get(key)}
    query = sa.select(_ORDERS.c.id, _ORDERS.c.action, _ORDERS.c.participant_id).where(_ORDERS.c.id.in_(ids))
    return {
        str(row.id): {"action": str(row.action), "participant_id": row.participant_id}
        for row in (await conn.execute(query)).all()
    }


def _fact(
    row: sa.Row[Any], data: dict[str, Any], names: Mapping[str, str], orders: Mapping[str, Mapping[str, Any]]
) -> FactAnswer:
    told = {**orders.get(str(data.get("order_id")), {}), **data}
    participant = told.get("participant_id")
    if participant:
        told["participant"] = names.get(str(participant), str(participant))
    if told.get("ported_to"):
        told["ported_to"] = names.get(str(told["ported_to"]), str(told["ported_to"]))
    officer = names.get(f"officer:{told.get('officer_id')}")
    return FactAnswer(
        sequence=row.sequence,
        at=row.at,
        code=str(row.code),
        actor={"kind": row.actor_kind, "id": row.actor_id, "tenant": row.actor_tenant},
        data=_shown(data),
        text={
            language: i18n.fact_text(str(row.code), {**told, **_officer(officer, language)}, language)
            for language in i18n.LANGUAGES
        },
        hash=row.hash.hex(),
    )


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fact's data as answers show amounts; the chain keeps them as digits."""
    return {name: _money(value) if name in _AMOUNTS else value for name, value in data.items()}


def _money(digits: str) -> dict[str, str]:
    return HeldMoney(value=digits).model_dump()


def _officer(known: str | None, language: str) -> dict[str, str]:
    if known is None:
        return {}
    rank, _, number = known.partition("|")
    return {"officer": i18n.sentence_case(f"{i18n.text(f'terms.rank.{rank}', language)} {number}")}
