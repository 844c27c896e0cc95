"""The auditor: every ten seconds it recomputes what should have fired and what should be queued; a hole is an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, log, metrics
from service.engine import store
from service.engine.hub import Hub
from service.engine.store import rows
from service.models import Deadline, Dispatch, EndpointState, QueueItem, table_of
from workflows.terms import Channel, DeadlineState, DispatchState, Fact

_DEADLINES = table_of(Deadline)
_DISPATCHES = table_of(Dispatch)
_QUEUE = table_of(QueueItem)
_STATES = table_of(EndpointState)
_log = log.get(__name__)

LATE = timedelta(seconds=2)
# A lane that is busy may have a backlog; one where nobody sends anything although there is work may not.
STALLED = timedelta(seconds=10)
_OPEN_BREAKERS = sa.select(sa.func.count()).select_from(_STATES).where(_STATES.c.open_until.is_not(None))


@dataclass(frozen=True, slots=True)
class Holes:
    """What should have happened and has not: how many of each, and the seconds of the latest deadline."""

    late_deadlines: int
    latest_seconds: float
    stalled_rows: int
    lost_dispatches: int

    @property
    def codes(self) -> list[str]:
        """The codes of what is wrong with the hub, whichever node looks (ADR 0068); none when all is well."""
        counts = {
            "deadlines.late": self.late_deadlines,
            "queue.stalled": self.stalled_rows,
            "dispatches.lost": self.lost_dispatches,
        }
        return [code for code, count in counts.items() if count]


class Auditor:
    """Looks, and remembers what it saw last."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queue = store.of(hub.database.dialect)
        self.holes = Holes(0, 0.0, 0, 0)
        # Per lane that nobody sent anything on at the last look: what was first in it.
        self._heads: dict[UUID, int] = {}

    async def look(self) -> Holes:
        """Recompute everything, publish the numbers and return them."""
        async with self._hub.database.read(db.HUB) as conn:
            stats = await self._queue.stats(conn)
            idle = await _idle_lanes(conn)
            # A busy lane has moments without a lease. One that stands still has the same row in front at the next look.
            stalled = sum(lane.rows for lane in idle if self._heads.get(lane.endpoint_id) == lane.head)
            self._heads = {lane.endpoint_id: lane.head for lane in idle}
            holes = await _holes(conn, stalled)
            open_breakers = (await conn.execute(_OPEN_BREAKERS)).scalar_one()
        for state in ("due", "leased", "later", "resting", "suspended"):
            metrics.QUEUE.labels(state).set(getattr(stats, state))
        metrics.OPEN_BREAKERS.set(open_breakers)
        metrics.DEADLINES_LATE.set(holes.latest_seconds)
        metrics.QUEUE_OLDEST.set(stats.oldest_seconds)
        metrics.HOLES.labels("deadlines").set(holes.late_deadlines)
        metrics.HOLES.labels("queue").set(holes.stalled_rows)
        metrics.HOLES.labels("dispatches").set(holes.lost_dispatches)
        if holes.codes and holes.codes != self.holes.codes:
            _log.error(
                "audit.holes",
                codes=holes.codes,
                late_deadlines=holes.late_deadlines,
                latest_seconds=holes.latest_seconds,
                stalled_rows=holes.stalled_rows,
                lost_dispatches=holes.lost_dispatches,
            )
            await self._record(holes)
        self.holes = holes
        return holes

    async def _record(self, holes: Holes) -> None:
        chain = audit.node_chain(self._hub.settings.node)

        async def unit(conn: AsyncConnection) -> None:
            facts = await audit.Log.open(conn, None, [chain])
            facts.record(
                chain,
                Fact.HOLE_FOUND,
                self._hub.actor,
                self._hub.actor.tenant,
                codes=holes.codes,
                late_deadlines=holes.late_deadlines,
                stalled_rows=holes.stalled_rows,
                lost_dispatches=holes.lost_dispatches,
            )
            await facts.flush()

        await self._hub.writer.run(unit, reach=db.HUB)


async def _idle_lanes(conn: AsyncConnection) -> Sequence[Any]:
    """Return the endpoints in use where something waits and nobody sends, with what is claimed first there."""
    now = await db.now(conn)
    busy = _QUEUE.alias("busy")
    turn = sa.func.row_number().over(
        partition_by=_QUEUE.c.endpoint_id, order_by=(_QUEUE.c.priority, _QUEUE.c.run_at, _QUEUE.c.id)
    )
    waiting = (
        sa.select(
            _QUEUE.c.endpoint_id,
            _QUEUE.c.id.label("head"),
            sa.func.count().over(partition_by=_QUEUE.c.endpoint_id).label("rows"),
            turn.label("turn"),
        )
        .where(
            ~_QUEUE.c.leased,
            _QUEUE.c.run_at < now - STALLED,
            ~sa.or_(rows.IS_SUSPENDED, rows.IS_RESTING, rows.IS_BEHIND),
            ~sa.exists().where(busy.c.endpoint_id == _QUEUE.c.endpoint_id, busy.c.leased),
        )
        .subquery()
    )
    return (await conn.execute(sa.select(waiting).where(waiting.c.turn == 1))).all()


async def _holes(conn: AsyncConnection, stalled: int) -> Holes:
    now = await db.now(conn)
    late = sa.select(sa.func.count(), sa.func.min(_DEADLINES.c.due_at)).where(
        _DEADLINES.c.state == DeadlineState.PENDING, _DEADLINES.c.due_at < now - LATE
    )
    late_deadlines, earliest = (await conn.execute(late)).one()
    # What waits to be sent has a work item from the very transaction that wrote it, so there is nothing to wait for.
    lost = (
        sa.select(sa.func.count())
        .select_from(_DISPATCHES)
        .where(
            _DISPATCHES.c.state == DispatchState.PENDING,
            _DISPATCHES.c.channel != Channel.PULL,
            ~sa.exists().where(_QUEUE.c.dispatch_id == _DISPATCHES.c.id),
        )
    )
    return Holes(
        late_deadlines=late_deadlines,
        latest_seconds=(now - earliest).total_seconds() if earliest else 0.0,
        stalled_rows=stalled,
        lost_dispatches=(await conn.execute(lost)).scalar_one(),
    )
