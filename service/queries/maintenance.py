"""Who is in maintenance, and until when, as announced; what a participant has announced and is not over."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import MaintenanceWindow, Participant, table_of
from service.queries import visibility
from service.queries.board_lines import Board
from service.schemas.maintenance import MaintenanceAnswer
from service.security.principals import Principal

TABLE = table_of(MaintenanceWindow)
_PARTICIPANTS = table_of(Participant)


def holds(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a window is in force at an instant."""
    return sa.and_(TABLE.c.starts_at <= now, TABLE.c.ends_at > now, TABLE.c.ended_at.is_(None))


async def until(conn: AsyncConnection, participants: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return until when each of these participants is in maintenance, with one endpoint at least; others are absent.

    A transaction with a member's own reach must have been extended: whom it has orders at is for the caller to know.
    """
    query = (
        sa.select(TABLE.c.tenant, sa.func.max(TABLE.c.ends_at).label("until"))
        .where(holds(now), TABLE.c.tenant.in_(participants))
        .group_by(TABLE.c.tenant)
    )
    return {row.tenant: row.until for row in (await conn.execute(query)).all()} if participants else {}


async def of_members(conn: AsyncConnection, shown: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return ``until`` of members whom the reader was found to see; the last that its transaction reads."""
    await db.extend(conn, db.HUB)
    return await until(conn, shown, now)


async def windows(conn: AsyncConnection, now: datetime) -> list[sa.Row[Any]]:
    """Return tenant, endpoint (None: all of them) and end of each window that is in force now."""
    query: sa.Select[Any] = sa.select(TABLE.c.tenant, TABLE.c.endpoint_id, TABLE.c.ends_at).where(holds(now))
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
