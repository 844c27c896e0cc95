"""Participants as a door shows them: the directory line by line, and one member whole for those who run it."""

from dataclasses import dataclass
from datetime import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Alias, Client, Contact, Endpoint, Officer, Participant, PublicKey, table_of
from service.queries import visibility
from service.schemas import endpoints
from service.schemas import registry as shapes
from service.schemas.common import Answer
from service.security.principals import Principal
from service.vault import Keys, Vault, subjects
from workflows import routing
from workflows.terms import Role, Sector

_PARTICIPANTS = table_of(Participant)
_ALIASES = table_of(Alias)
_CLIENTS = table_of(Client)
_KEYS = table_of(PublicKey)
_OFFICERS = table_of(Officer)
_ENDPOINTS = table_of(Endpoint)
_CONTACTS = table_of(Contact)

_SUMMARY = [_PARTICIPANTS.c[name] for name in shapes.ParticipantSummary.model_fields]


@dataclass(frozen=True, slots=True)
class Filter:
    """What the list is narrowed to; ``q`` is part of an id or a name, with or without its accents."""

    sector: Sector | None = None
    status: str | None = None
    q: str | None = None


async def page(
    conn: AsyncConnection, principal: Principal, wanted: Filter, *, after: str | None, limit: int
) -> shapes.ParticipantPage:
    """Return a page of what the caller may see, by id; the cursor is the last id shown."""
    query = sa.select(*_SUMMARY).where(visibility.participants(principal)).order_by(_PARTICIPANTS.c.id).limit(limit + 1)
    if wanted.sector is not None:
        query = query.where(_PARTICIPANTS.c.sector == wanted.sector)
    if wanted.status is not None:
        query = query.where(_PARTICIPANTS.c.status == wanted.status)
    if wanted.q:
        query = query.where(_matches(wanted.q))
    if after is not None:
        query = query.where(_PARTICIPANTS.c.id > after)
    rows = (await conn.execute(query)).all()
    items = [shapes.ParticipantSummary(**row._mapping) for row in rows[:limit]]
    return shapes.ParticipantPage(items=items, next=items[-1].id if len(rows) > limit else None)


def _matches(text: str) -> sa.ColumnElement[bool]:
    named = [
        column.icontains(text, autoescape=True)
        for column in (_PARTICIPANTS.c.id, _PARTICIPANTS.c.short_name, _PARTICIPANTS.c.name_vi, _PARTICIPANTS.c.name_en)
    ]
    folded = routing.fold(text)
    if folded:
        # The names that routing knows have no accents: this finds "Á Châu" for "a chau", on both databases.
        by_alias = _ALIASES.c.value.contains(folded, autoescape=True)
        named.append(
            _PARTICIPANTS.c.id.in_(sa.select(_ALIASES.c.participant_id).where(_ALIASES.c.scheme == "name", by_alias))
        )
    return sa.or_(*named)


async def summary(conn: AsyncConnection, principal: Principal, participant_id: str) -> shapes.ParticipantSummary | None:
    """Return one line, or None when there is none or it is not for the caller."""
    query = sa.select(*_SUMMARY).where(_PARTICIPANTS.c.id == participant_id, visibility.participants(principal))
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else shapes.ParticipantSummary(**row._mapping)


async def one(
    conn: AsyncConnection, vault: Vault, principal: Principal, participant_id: str
) -> shapes.ParticipantDetail | None:
    """Return a member whole, or None when there is none or it is not for the caller."""
    columns = (*_SUMMARY, _PARTICIPANTS.c.duty_phone)
    query = sa.select(*columns).where(_PARTICIPANTS.c.id == participant_id, visibility.whole_participants(principal))
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    contacts = (
        sa.select(_CONTACTS, _ENDPOINTS.c.channel)
        .join(_ENDPOINTS, _ENDPOINTS.c.id == _CONTACTS.c.endpoint_id)
        .where(_CONTACTS.c.tenant == participant_id)
        .order_by(_CONTACTS.c.position, _CONTACTS.c.id)
    )
    roster = (await conn.execute(contacts)).all()
    opening = await subjects.of(conn, *(each.name_sealed for each in roster)) if _names_people(principal) else None
    return shapes.ParticipantDetail(
        **row._mapping,
        clients=[
            shapes.ClientAnswer(**each) for each in await _of(conn, _CLIENTS, participant_id, shapes.ClientAnswer)
        ],
        keys=[shapes.KeyAnswer(**each) for each in await _of(conn, _KEYS, participant_id, shapes.KeyAnswer)],
        officers=[
            shapes.OfficerAnswer(**each) for each in await _of(conn, _OFFICERS, participant_id, shapes.OfficerAnswer)
        ],
        endpoints=[
            endpoints.EndpointAnswer(**each)
            for each in await _of(conn, _ENDPOINTS, participant_id, endpoints.EndpointAnswer)
        ],
        contacts=[_contact(vault, opening, each) for each in roster],
    )


async def _of(conn: AsyncConnection, table: sa.Table, tenant: str, shape: type[Answer]) -> list[Any]:
    columns = [table.c[name] for name in shape.model_fields]
    query = sa.select(*columns).where(table.c.tenant == tenant).order_by(*table.primary_key.columns)
    return [row._mapping for row in await conn.execute(query)]


def _names_people(principal: Principal) -> bool:
    # Whoever keeps a roster must read it; an auditor sees that somebody is on it.
    return not principal.roles.isdisjoint({Role.HUB_ADMIN, Role.COORDINATOR, Role.AGENCY_ADMIN})


def _contact(vault: Vault, keys: Keys | None, row: sa.Row[Any]) -> endpoints.ContactAnswer:
    hours = None
    if row.from_minute is not None and row.to_minute is not None:
        hours = endpoints.DutyHours(starts=_time(row.from_minute), ends=_time(row.to_minute))
    return endpoints.ContactAnswer(
        id=row.id,
        endpoint_id=row.endpoint_id,
        name=None if keys is None else vault.shown(keys, "contacts", row.id, row.tenant, row.name_sealed),
        channel=row.channel,
        hours=hours,
        position=row.position,
        active=row.active,
    )


def _time(minute: int) -> time:
    return time(minute // 60, minute % 60)
