"""Who is in maintenance, and until when, as announced; what a participant has announced and is not over."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import Endpoint, MaintenanceWindow, Participant, table_of
from service.queries import visibility
from service.queries.board_lines import Board
from service.schemas.maintenance import MaintenanceAnswer
from service.security.principals import Principal
from workflows import maintenance as rules
from workflows.terms import Purpose

TABLE = table_of(MaintenanceWindow)
_ENDPOINTS = table_of(Endpoint)
_PARTICIPANTS = table_of(Participant)


def holds(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a window is in force at an instant."""
    return sa.and_(TABLE.c.starts_at <= now, TABLE.c.ends_at > now, TABLE.c.ended_at.is_(None))


async def until(conn: AsyncConnection, participants: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return until when each of these participants has all its endpoints for orders in maintenance; others are absent.

    A transaction with a member's own reach must have been extended: whom it has orders at is for the caller to know.
    """
    ends: defaultdict[str, dict[UUID | None, datetime]] = defaultdict(dict)
    for window in await windows(conn, now, participants):
        before = ends[window.tenant].get(window.endpoint_id, window.ends_at)
        ends[window.tenant][window.endpoint_id] = max(before, window.ends_at)
    if not ends:
        return {}
    serving = sa.select(_ENDPOINTS.c.tenant, _ENDPOINTS.c.id).where(
        _ENDPOINTS.c.tenant.in_(ends), _ENDPOINTS.c.active, _ENDPOINTS.c.purpose == Purpose.ORDERS
    )
    endpoints: defaultdict[str, set[UUID]] = defaultdict(set)
    for row in (await conn.execute(serving)).all():
        endpoints[row.tenant].add(row.id)
    found = {tenant: rules.rests_until(endpoints[tenant], of) for tenant, of in ends.items()}
    return {tenant: end for tenant, end in found.items() if end}


async def of_members(conn: AsyncConnection, shown: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return ``until`` of members whom the reader was found to see; the last that its transaction reads."""
    await db.extend(conn, db.HUB)
    return await until(conn, shown, now)


async def windows(conn: AsyncConnection, now: datetime, of: Collection[str] | None = None) -> list[sa.Row[Any]]:
    """Return tenant, endpoint (None: all of them) and end of each window in force now, of all or of some members."""
    query: sa.Select[Any] = sa.select(TABLE.c.tenant, TABLE.c.endpoint_id, TABLE.c.ends_at).where(holds(now))
    query = query if of is None else query.where(TABLE.c.tenant.in_(of))
    return list((await conn.execute(query)).all())


def of_endpoint(found: Collection[sa.Row[Any]], tenant: str, endpoint_id: UUID) -> datetime | None:
    """Return until when an endpoint is in maintenance by these windows, or None."""
    return max(
        (row.ends_at for row in found if row.tenant == tenant and row.endpoint_id in (None, endpoint_id)), default=None
    )


async def announced(
    conn: AsyncConnection, principal: Principal, participant_id: str, now: datetime
) -> list[MaintenanceAnswer] | None:
    """Return what a participant announced and is not over; None when it is unknown, or not for the caller."""
    mine = sa.select(_PARTICIPANTS.c.id).where(
        _PARTICIPANTS.c.id == participant_id, visibility.whole_participants(principal)
    )
    if (await conn.execute(mine)).one_or_none() is None:
        return None
    query = (
        sa.select(*(TABLE.c[name] for name in MaintenanceAnswer.model_fields))
        .where(TABLE.c.tenant == participant_id, TABLE.c.ends_at > now, TABLE.c.ended_at.is_(None))
        .order_by(TABLE.c.starts_at, TABLE.c.id)
    )
    return [MaintenanceAnswer(**row._mapping) for row in (await conn.execute(query)).all()]


async def on_board(conn: AsyncConnection, found: Board, now: datetime) -> Board:
    """Return the board with what the participants of its lines announced; it is the last that this reader reads."""
    # The lines are the reader's own: with whom its orders lie it may know.
    ends = await of_members(conn, {each.participant_id for group in found.lines.values() for each in group}, now)
    lines = {
        group: [replace(each, rests_until=ends.get(each.participant_id)) for each in rows]
        for group, rows in found.lines.items()
    }
    return replace(found, lines=lines)
