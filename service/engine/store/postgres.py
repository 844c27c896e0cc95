"""The queue on PostgreSQL: claiming for all endpoints is one statement, and no node waits for another."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from service.engine.store.rows import (
    CLAIMED,
    FIRST_RETRY,
    LIFT,
    NORMAL,
    NORMAL_RETRY,
    OVER,
    QUEUE,
    REPLAY,
    URGENT,
    Call,
    Claimed,
    Common,
    Free,
    Retry,
)


# A row may go when no earlier row of its order key is left, and none is under way that was committed out of order; a
# lift, when no call about what it lifts is under way at another endpoint. That one is looked up by keys, in this order
# (OFFSET 0; lease_id and not leased), whatever the planner believes of how many are under way.
def _in_turn(row: str) -> str:
    return f"""({row}.order_key IS NULL OR (
      NOT EXISTS (SELECT 1 FROM dispatch_queue e WHERE e.order_key = {row}.order_key AND e.id < {row}.id)
  AND NOT EXISTS (SELECT 1 FROM dispatch_queue l WHERE l.order_key = {row}.order_key AND l.leased)
  AND NOT EXISTS (
      SELECT 1 FROM (SELECT coalesce(o.original_id, o.id) AS root FROM dispatches m JOIN orders o ON o.id = m.order_id
                      WHERE m.id = {row}.dispatch_id AND m.message_type = '{LIFT}' OFFSET 0) f
       CROSS JOIN LATERAL (SELECT x.id FROM orders a JOIN dispatches x ON x.order_id = a.id AND x.kind = 'order'
                            WHERE a.id = f.root OR a.original_id = f.root OFFSET 0) t
        JOIN dispatch_queue c ON c.dispatch_id = t.id AND c.lease_id IS NOT NULL
                             AND c.endpoint_id <> {row}.endpoint_id)))"""  # noqa: S608


# No COALESCE and no array in what bounds a scan: below row security the planner takes neither for an index condition.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def _is_due(row: str) -> str:
    return f"{row}.run_at >= f.floor AND {row}.run_at <= hub_now()"


_URGENT_ORDER = "EXISTS (SELECT 1 FROM dispatches u WHERE u.id = d.dispatch_id AND u.urgent AND u.kind = 'order')"


def _arm(name: str, priority: int, urgent: str, limit: str) -> str:
    return f"""
    CROSS JOIN LATERAL (SELECT array_agg(a.id) AS ids FROM (
          SELECT d.id FROM dispatch_queue d
           WHERE d.endpoint_id = f.endpoint_id AND NOT d.leased AND d.priority = {priority}
             AND {_is_due("d")} AND (NOT f.urgent OR {urgent}) AND {_in_turn("d")}
           ORDER BY d.run_at, d.id
           LIMIT {limit}
           FOR UPDATE OF d SKIP LOCKED) a) AS {name}"""  # noqa: S608 - no value of anybody's


def _taken(*names: str) -> str:
    return "".join(f" - coalesce(cardinality({name}.ids), 0)" for name in names)


_RESERVED = f"""
    CROSS JOIN LATERAL (SELECT f.slots - CASE WHEN f.reserves AND EXISTS (
          SELECT 1 FROM dispatch_queue w
           WHERE w.endpoint_id = f.endpoint_id AND NOT w.leased
             AND w.priority >= {FIRST_RETRY} AND {_is_due("w")} AND {_in_turn("w")}
        ) THEN 1 ELSE 0 END AS firsts OFFSET 0) AS given"""  # noqa: S608
_LATER = f"least(f.retries, f.slots{_taken('orders', 'others')})"
# Arms, one a priority, first attempts and then retries: in one arm each claim would walk the far-off rows of those
# before, and the floor would bound none of it.
_CLAIM = f"""
UPDATE dispatch_queue q
   SET leased = true, attempt = q.attempt + 1, lease_id = :lease, node = :node, lease_until = hub_now() + :within
  FROM dispatches p
 WHERE p.id = q.dispatch_id
   AND q.id = ANY(ARRAY(
   SELECT r.id
     FROM unnest(CAST(:endpoints AS uuid[]), CAST(:slots AS int[]), CAST(:retries AS int[]),
                 CAST(:reserves AS bool[]), CAST(:urgent AS bool[]), CAST(:floors AS timestamptz[]))
          AS f(endpoint_id, slots, retries, reserves, urgent, floor)
    {_RESERVED}
    {_arm("orders", URGENT, "true", "given.firsts")}
    {_arm("others", NORMAL, "false", "given.firsts" + _taken("orders"))}
    {_arm("urgents", FIRST_RETRY, _URGENT_ORDER, _LATER)}
    {_arm("normals", NORMAL_RETRY, _URGENT_ORDER, _LATER + _taken("urgents"))}
    {_arm("replays", REPLAY, _URGENT_ORDER, _LATER + _taken("urgents", "normals"))}
    CROSS JOIN LATERAL unnest(orders.ids || others.ids || urgents.ids || normals.ids || replays.ids) AS r(id)
    LIMIT :cap))
RETURNING {", ".join(f"{'q' if column.table is QUEUE else 'p'}.{column.name}" for column in CLAIMED)}
"""  # noqa: S608 - the names are our own columns'
_CLAIM_TYPED = (
    sa.text(_CLAIM)
    .bindparams(
        sa.bindparam("endpoints", type_=ARRAY(sa.Uuid())),
        sa.bindparam("lease", type_=sa.Uuid()),
        sa.bindparam("within", type_=sa.Interval()),
    )
    .columns(*CLAIMED)
)

_RETRY = sa.text(
    """
UPDATE dispatch_queue q
   SET leased = false, priority = r.priority, lease_id = NULL, node = NULL, lease_until = NULL, run_at = r.run_at
  FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[]), CAST(:instants AS timestamptz[]),
              CAST(:priorities AS smallint[])) AS r(id, attempt, run_at, priority)
 WHERE q.id = r.id AND q.attempt = r.attempt AND q.leased AND q.lease_id = :lease AND q.priority <> :over
RETURNING q.id, q.attempt
"""
).bindparams(sa.bindparam("lease", type_=sa.Uuid()))


class Queue(Common):
    """The queue's statements on PostgreSQL."""

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
        """Lease what is due, in one round trip; the endpoints named first in ``free`` are served first.

        Two nodes that claim rows of one order key at the same instant meet at a unique index: the later one gets an
        ``IntegrityError`` and nothing else; its next claim sees why.
        """
        if not free or cap <= 0:
            return []
        values = {
            "endpoints": list(free),
            "slots": [lane.slots for lane in free.values()],
            "retries": [lane.retries for lane in free.values()],
            "reserves": [lane.reserves for lane in free.values()],
            "urgent": [lane.urgent_only for lane in free.values()],
            "floors": [(floors or {}).get(endpoint, _BEGINNING) for endpoint in free],
            "cap": cap,
            "node": node,
            "lease": lease,
            "within": within,
        }
        rows = (await conn.execute(_CLAIM_TYPED, values)).all()
        return sorted((Claimed(*row) for row in rows), key=lambda claimed: (claimed.priority, claimed.queue_id))

    async def retry(self, conn: AsyncConnection, retries: Collection[Retry], lease: UUID) -> set[Call]:
        """Hand rows back for a later attempt; return the calls whose rows were still ours."""
        if not retries:
            return set()
        values = {
            "ids": [retry.queue_id for retry in retries],
            "attempts": [retry.attempt for retry in retries],
            "instants": [retry.run_at for retry in retries],
            "priorities": [retry.priority for retry in retries],
            "lease": lease,
            "over": OVER,
        }
        return {(row.id, row.attempt) for row in (await conn.execute(_RETRY, values)).all()}
