"""Who can be reached where: the endpoints of participants, and the contacts that are on duty now."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.engine import definitions
from service.engine.hub import OPERATOR
from service.models import Contact, Endpoint, Participant, table_of
from workflows import working_hours
from workflows.terms import Channel, Purpose, Reach

_PARTICIPANTS = table_of(Participant)
_ENDPOINTS = table_of(Endpoint)
_CONTACTS = table_of(Contact)

_ORDER_ENDPOINTS = (
    sa.select(_ENDPOINTS.c.id, _ENDPOINTS.c.tenant, _ENDPOINTS.c.channel, _PARTICIPANTS.c.sector)
    .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ENDPOINTS.c.tenant)
    .where(
        _ENDPOINTS.c.tenant.in_(sa.bindparam("participants", expanding=True)),
        _ENDPOINTS.c.purpose == Purpose.ORDERS,
        definitions.may_be_used(),
        _PARTICIPANTS.c.status == "active",
    )
    .order_by(_ENDPOINTS.c.tenant, _ENDPOINTS.c.position, _ENDPOINTS.c.id)
)

EndpointRow = Any  # a row of an endpoint: id, tenant, channel


async def order_endpoints(conn: AsyncConnection, participants: Collection[str]) -> dict[str, EndpointRow]:
    """Return the first endpoint in force for orders of each participant that has joined; the others are missing."""
    found: dict[str, EndpointRow] = {}
    for row in (await conn.execute(_ORDER_ENDPOINTS, {"participants": sorted(participants)})).all():
        found.setdefault(row.tenant, row)
    return found


async def status_endpoints(conn: AsyncConnection, agency: str) -> list[EndpointRow]:
    """Return where an agency wants to hear what becomes of its requests."""
    query = sa.select(_ENDPOINTS.c.id, _ENDPOINTS.c.tenant, _ENDPOINTS.c.channel).where(
        _ENDPOINTS.c.tenant == agency,
        _ENDPOINTS.c.purpose == Purpose.STATUS,
        definitions.may_be_used(),
        _ENDPOINTS.c.channel == Channel.WEBHOOK,
    )
    return list((await conn.execute(query)).all())


async def on_duty(
    conn: AsyncConnection, participants: Collection[str], at: datetime, *, mail: bool
) -> dict[str, list[EndpointRow]]:
    """Return the notice endpoints of the contacts on duty at ``at``, by participant, first contact first.

    Without a mail relay (``mail=False``) a contact who only has an e-mail address is not reachable, and is left out.
    """
    query = (
        sa.select(
            _ENDPOINTS.c.id,
            _ENDPOINTS.c.tenant,
            _ENDPOINTS.c.channel,
            _CONTACTS.c.from_minute,
            _CONTACTS.c.to_minute,
            _CONTACTS.c.id.label("contact_id"),
            _CONTACTS.c.name_sealed,
        )
        .join(_CONTACTS, _CONTACTS.c.endpoint_id == _ENDPOINTS.c.id)
        .where(_CONTACTS.c.tenant.in_(participants), _CONTACTS.c.active, definitions.may_be_used())
        .order_by(_CONTACTS.c.tenant, _CONTACTS.c.position, _CONTACTS.c.id)
    )
    found: dict[str, list[EndpointRow]] = {}
    for row in (await conn.execute(query)).all():
        if is_within(row.from_minute, row.to_minute, at) and (mail or row.channel is not Channel.EMAIL):
            found.setdefault(row.tenant, []).append(row)
    return found


def is_within(start: int | None, end: int | None, at: datetime) -> bool:
    """Tell whether ``at`` is within daily hours in Vietnam, in minutes of the day; without hours it always is."""
    local = at.astimezone(working_hours.VIETNAM)
    minute = local.hour * 60 + local.minute
    if start is None or end is None:
        return True
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end


async def supervisors(conn: AsyncConnection, participants: Collection[str]) -> dict[str, str]:
    """Return the supervisor of each participant that has one; an agency's is the one that it belongs to."""
    above = sa.func.coalesce(_PARTICIPANTS.c.supervisor_id, _PARTICIPANTS.c.parent_id)
    query = sa.select(_PARTICIPANTS.c.id, above.label("above")).where(
        _PARTICIPANTS.c.id.in_(participants), above.is_not(None)
    )
    return {row.id: row.above for row in (await conn.execute(query)).all()}


def houses(deadline: Mapping[str, Any], above: Mapping[str, str]) -> dict[Reach, str | None]:
    """Return the member behind each part of a rung of a deadline, None where there is none; ``above``: supervisors."""
    participant = deadline["participant_id"]
    return {
        Reach.PARTICIPANT: participant,
        Reach.COORDINATOR: OPERATOR,
        Reach.SUPERVISOR: above.get(participant or ""),
        Reach.AGENCY: deadline["tenant"],
    }


async def names(conn: AsyncConnection, participants: Collection[str]) -> dict[str, str]:
    """Return the short name of each participant, as people know it."""
    query = sa.select(_PARTICIPANTS.c.id, _PARTICIPANTS.c.short_name).where(_PARTICIPANTS.c.id.in_(participants))
    return {row.id: row.short_name for row in (await conn.execute(query)).all()}


async def sectors(conn: AsyncConnection, participants: Collection[str]) -> dict[str, Any]:
    """Return the sector of each participant."""
    query = sa.select(_PARTICIPANTS.c.id, _PARTICIPANTS.c.sector).where(
        among.of(conn, _PARTICIPANTS.c.id, participants)
    )
    return {row.id: row.sector for row in (await conn.execute(query)).all()}


def order_key(case_id: UUID, value_index: bytes, endpoint_id: UUID) -> int:
    """Return the 63-bit key under which dispatches about one case, target and endpoint keep their order."""
    mixed = hashlib.blake2b(case_id.bytes + value_index + endpoint_id.bytes, digest_size=8).digest()
    return int.from_bytes(mixed, "big") >> 1
