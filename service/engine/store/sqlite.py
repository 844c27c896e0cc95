"""The queue on SQLite: one writer, so that a claim is a few plain statements and nothing is ever locked by another."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.engine.store.rows import (
    CLAIMED,
    DISPATCHES,
    FIRST_RETRY,
    IS_BEHIND,
    OVER,
    QUEUE,
    UNLEASED,
    URGENT,
    Call,
    Claimed,
    Common,
    Free,
    Retry,
)
from workflows.terms import DispatchKind

_UNDER_WAY = QUEUE.alias("under_way")
# A row may go when no earlier row of its order key is left, and none is under way that was committed out of order; a
# lift, when no call about what it lifts is under way at another endpoint.
_IN_TURN = sa.or_(
    QUEUE.c.order_key.is_(None),
    sa.and_(
        ~IS_BEHIND,
        ~sa.exists().where(_UNDER_WAY.c.order_key == QUEUE.c.order_key, _UNDER_WAY.c.leased),
    ),
)
_URGENT_ORDER = sa.exists().where(
    DISPATCHES.c.id == QUEUE.c.dispatch_id, DISPATCHES.c.urgent, DISPATCHES.c.kind == DispatchKind.ORDER
)


class Queue(Common):
    """The queue's statements on SQLite."""

    async def claim(
        self,
        conn: AsyncConnection,
        free: Mapping[UUID, Free],
        *,
        cap: int,
        node: str,
        lease: UUID,
        within: timedelta,
        floors: Mapping[UUID, datetime] | None = None,
    ) -> list[Claimed]:
        """Lease what is due; the endpoints named first in ``free`` are served first."""
        if not free or cap <= 0:
            return []
        now = await db.now(conn)
        waiting = await self._waiting(conn, now)
        ids: list[int] = []
        for endpoint, lane in free.items():
            if endpoint in waiting and len(ids) < cap:
                ids += (await self._lane(conn, endpoint, lane, now, (floors or {}).get(endpoint)))[: cap - len(ids)]
        if not ids:
            return []
        values = {"leased": True, "lease_id": lease, "node": node, "lease_until": now + within}
        await conn.execute(sa.update(QUEUE).where(QUEUE.c.id.in_(ids)).values(**values, attempt=QUEUE.c.attempt + 1))
        mine = (
            sa.select(*CLAIMED)
            .join_from(QUEUE, DISPATCHES, DISPATCHES.c.id == QUEUE.c.dispatch_id)
            .where(QUEUE.c.id.in_(ids))
            .order_by(QUEUE.c.priority, QUEUE.c.id)
        )
        return [Claimed(*tuple(row)) for row in (await conn.execute(mine)).all()]

    async def retry(self, conn: AsyncConnection, retries: Collection[Retry], lease: UUID) -> set[Call]:
        """Hand rows back for a later attempt; return the calls whose rows were still ours."""
        kept: set[Call] = set()
        for retry in retries:
            mine = (QUEUE.c.id == retry.queue_id, QUEUE.c.attempt == retry.attempt)
            held = (QUEUE.c.leased, QUEUE.c.lease_id == lease, QUEUE.c.priority != OVER)
            back = sa.update(QUEUE).where(*mine, *held).values(**UNLEASED, priority=retry.priority, run_at=retry.run_at)
            done = await conn.execute(back)
            if done.rowcount:
                kept.add((retry.queue_id, retry.attempt))
        return kept

    async def _waiting(self, conn: AsyncConnection, now: datetime) -> set[UUID]:
        due = sa.select(QUEUE.c.endpoint_id).distinct().where(~QUEUE.c.leased, QUEUE.c.run_at <= now)
        return set((await conn.execute(due)).scalars())

    async def _lane(
        self, conn: AsyncConnection, endpoint: UUID, lane: Free, now: datetime, floor: datetime | None
    ) -> list[int]:
        due = (
            sa.select(QUEUE.c.id)
            .where(QUEUE.c.endpoint_id == endpoint, ~QUEUE.c.leased, QUEUE.c.run_at <= now, _IN_TURN)
            .order_by(QUEUE.c.priority, QUEUE.c.run_at, QUEUE.c.id)
        )
        if floor is not None:
            due = due.where(QUEUE.c.run_at >= floor)
        later = due.where(QUEUE.c.priority >= FIRST_RETRY)
        firsts = due.where(QUEUE.c.priority < FIRST_RETRY)
        if lane.urgent_only:
            later, firsts = later.where(_URGENT_ORDER), firsts.where(QUEUE.c.priority == URGENT)
        retries = list((await conn.execute(later.limit(min(lane.retries, lane.slots)))).scalars())
        reserved = 1 if lane.reserves and retries else 0
        ids = list((await conn.execute(firsts.limit(lane.slots - reserved))).scalars())
        return ids + retries[: lane.slots - len(ids)]
