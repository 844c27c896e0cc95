"""What nobody filed goes: a draft whose time is over, or whose person is done with it, and its key."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine.hub import Hub
from service.models import Draft, table_of
from service.vault import subjects
from workflows import retention
from workflows.retention import Term

_DRAFTS = table_of(Draft)
BATCH = 100


async def drop(conn: AsyncConnection, ids: Collection[UUID], at: datetime) -> None:
    """Delete drafts and destroy their keys; a copy in a backup opens for nobody who has not the keys of that time."""
    await subjects.destroy(conn, ids, at)
    await conn.execute(sa.delete(_DRAFTS).where(_DRAFTS.c.id.in_(ids)))


async def erase(hub: Hub, keep: Term) -> int:
    """Drop the drafts that nobody touched for the time of ``keep``; return how many those were."""
    total = 0
    while done := await hub.database.write(lambda conn: _batch(conn, keep), db.HUB):
        total += done
    return total


async def _batch(conn: AsyncConnection, keep: Term) -> int:
    now = await db.now(conn)
    query = (
        sa.select(_DRAFTS.c.id, _DRAFTS.c.touched_at)
        .where(_DRAFTS.c.touched_at <= keep.before(now))
        .order_by(_DRAFTS.c.touched_at, _DRAFTS.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    over = [row.id for row in (await conn.execute(query)).all() if retention.is_over(keep, row.touched_at, now)]
    if over:
        await drop(conn, over, now)
    return len(over)
