"""What goes into the queue's statements and comes out, and the statements that both databases understand alike."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among, db
from service.engine import definitions, messages
from service.models import Dispatch, Endpoint, EndpointState, Node, Order, QueueItem, table_of
from workflows.terms import Action, Channel, DispatchKind

QUEUE = table_of(QueueItem)
DISPATCHES = table_of(Dispatch)
NODES = table_of(Node)
_ENDPOINTS = table_of(Endpoint)
_STATES = table_of(EndpointState)
_ORDERS = table_of(Order)
_EARLIER = QUEUE.alias("earlier")

# What no worker takes, however long it waits: its endpoint is out of use, or its breaker open, or it is not its turn.
IS_SUSPENDED = ~sa.exists().where(_ENDPOINTS.c.id == QUEUE.c.endpoint_id, definitions.is_switched_on())
IS_RESTING = sa.exists().where(_STATES.c.endpoint_id == QUEUE.c.endpoint_id, _STATES.c.open_until.is_not(None))
_IS_BEHIND_IN_LANE = sa.exists().where(_EARLIER.c.order_key == QUEUE.c.order_key, _EARLIER.c.id < QUEUE.c.id)
LIFT = messages.order_type(Action.LIFT)


def _would_overtake() -> sa.ColumnElement[bool]:
    """Return the condition that a row is a lift, and a call about what it lifts is under way at another endpoint."""
    mine, its, about = (table.alias() for table in (DISPATCHES, _ORDERS, _ORDERS))
    other, call = DISPATCHES.alias(), QUEUE.alias()
    root = sa.func.coalesce(its.c.original_id, its.c.id)
    return sa.exists().where(
        mine.c.id == QUEUE.c.dispatch_id,
        mine.c.message_type == LIFT,
        its.c.id == mine.c.order_id,
        # What it lifts, and what prolonged that.
        sa.or_(about.c.id == root, about.c.original_id == root),
        other.c.order_id == about.c.id,
        other.c.kind == DispatchKind.ORDER,
        call.c.dispatch_id == other.c.id,
        call.c.leased,
        call.c.id != QUEUE.c.id,
        call.c.endpoint_id != QUEUE.c.endpoint_id,
    )


# Within an endpoint the lane keeps the order; over two of one participant, a lift waits for the calls before it.
IS_BEHIND = sa.or_(_IS_BEHIND_IN_LANE, _would_overtake())

URGENT = 0
NORMAL = 1
# First attempts lie below this priority, retries and replays from it on: those of urgent messages before all others.
FIRST_RETRY = 2
NORMAL_RETRY = 3
REPLAY = 4
# Cancelled while its call is under way: the row holds its lane until the call has ended, and is never sent again.
OVER = 5


# A row of the queue and which attempt at it is meant.
Call = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Free:
    """What one endpoint may be given: ``slots`` in all, of them at most ``retries`` for retries and replays.

    ``reserves`` keeps one slot from first attempts while a retry is due and in turn, so that no backlog starves it.
    ``urgent_only`` is for the probe of an open breaker: nothing but an urgent order may be that.
    """

    slots: int
    retries: int
    reserves: bool = False
    urgent_only: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """One leased row with all that is needed to send it; ``attempt`` counts from 1."""

    queue_id: int
    dispatch_id: UUID
    endpoint_id: UUID
    attempt: int
    priority: int
    tenant: str
    participant_id: str
    kind: DispatchKind
    channel: Channel
    request_id: UUID | None
    order_id: UUID | None
    message_type: str
    message_sealed: bytes
    urgent: bool
    created_at: datetime
    deadline_at: datetime | None
    first_id: UUID | None
    replayed_at: datetime | None

    @property
    def since(self) -> datetime:
        """When it began to wait: when it was made, or when somebody had it sent once more."""
        return self.replayed_at or self.created_at

    @property
    def message_id(self) -> UUID:
        """The first dispatch of the message, by which it is known whichever endpoint takes it."""
        return self.first_id or self.dispatch_id

    @property
    def call(self) -> Call:
        """The row and the attempt: a node whose lease was taken away may have claimed the row once more meanwhile."""
        return self.queue_id, self.attempt

    @property
    def is_retry(self) -> bool:
        """Tell whether it takes one of the slots for retries."""
        return self.priority >= FIRST_RETRY


@dataclass(frozen=True, slots=True)
class Retry:
    """A row that goes back to the queue until ``run_at``; what was replayed is a retry from then on, as all others."""

    queue_id: int
    attempt: int
    run_at: datetime
    urgent: bool

    @property
    def priority(self) -> int:
        """Where it stands among what is due."""
        return FIRST_RETRY if self.urgent else NORMAL_RETRY


@dataclass(frozen=True, slots=True)
class Stats:
    """How many rows may go now, are leased, and wait for a later instant or their turn.

    ``resting`` are those whose endpoint's breaker is open, ``suspended`` those whose endpoint is out of use.
    ``oldest_seconds`` is how long the oldest of those that may go waits.
    """

    due: int
    leased: int
    later: int
    resting: int
    suspended: int
    oldest_seconds: float


# The columns of ``Claimed``, in its order.
CLAIMED = (
    QUEUE.c.id,
    QUEUE.c.dispatch_id,
    QUEUE.c.endpoint_id,
    QUEUE.c.attempt,
    QUEUE.c.priority,
    DISPATCHES.c.tenant,
    DISPATCHES.c.participant_id,
    DISPATCHES.c.kind,
    DISPATCHES.c.channel,
    DISPATCHES.c.request_id,
    DISPATCHES.c.order_id,
    DISPATCHES.c.message_type,
    DISPATCHES.c.message_sealed,
    DISPATCHES.c.urgent,
    DISPATCHES.c.created_at,
    DISPATCHES.c.deadline_at,
    DISPATCHES.c.first_id,
    DISPATCHES.c.replayed_at,
)
UNLEASED = {"leased": False, "lease_id": None, "node": None, "lease_until": None}


async def cancel(conn: AsyncConnection, dispatch_ids: Collection[UUID]) -> set[UUID]:
    """Take dispatches off the queue; return those of which an attempt has begun, and may have arrived.

    Of what is under way the row stays until its call has ended or its lease is lost: what comes after it in its lane
    waits for that, or a lift would overtake its freeze on the wire.
    """
    if not dispatch_ids:
        return set()
    # First all of them, so that none changes hands between the two statements.
    ours = QUEUE.c.dispatch_id.in_(dispatch_ids)
    over = sa.update(QUEUE).where(ours).values(priority=OVER)
    rows = (await conn.execute(over.returning(QUEUE.c.dispatch_id, QUEUE.c.leased, QUEUE.c.attempt))).all()
    await conn.execute(sa.delete(QUEUE).where(ours, ~QUEUE.c.leased))
    return {row.dispatch_id for row in rows if row.leased or row.attempt}


async def _hand_back(conn: AsyncConnection, *held: sa.ColumnElement[bool], **changed: Any) -> int:
    """Let go of leased rows, and delete those that are over; return how many they were."""
    ended = await conn.execute(sa.delete(QUEUE).where(*held, QUEUE.c.priority == OVER))
    freed = await conn.execute(sa.update(QUEUE).where(*held, QUEUE.c.priority != OVER).values(**UNLEASED, **changed))
    return ended.rowcount + freed.rowcount


class Common:
    """The statements that need no dialect."""

    async def complete(self, conn: AsyncConnection, calls: Collection[Call], lease: UUID) -> set[Call]:
        """Delete the rows of calls that are done, dead or over; return those that were still ours and not over."""
        by_attempt: dict[int, list[int]] = defaultdict(list)
        for queue_id, attempt in calls:
            by_attempt[attempt].append(queue_id)
        ours: set[Call] = set()
        for attempt, ids in by_attempt.items():
            mine = (among.of(conn, QUEUE.c.id, ids), QUEUE.c.attempt == attempt)
            held = sa.delete(QUEUE).where(*mine, QUEUE.c.leased, QUEUE.c.lease_id == lease)
            gone = (await conn.execute(held.returning(QUEUE.c.id, QUEUE.c.priority))).all()
            ours |= {(row.id, attempt) for row in gone if row.priority != OVER}
        return ours

    async def release(
        self, conn: AsyncConnection, lease: UUID, *, keep: Collection[int] = (), begun: Collection[int] = ()
    ) -> int:
        """Hand back what ``lease`` holds except ``keep``; return how much it was.

        As if it had not been claimed, except what was ``begun``: that may have arrived, so the attempt counts.
        """
        held = (QUEUE.c.leased, QUEUE.c.lease_id == lease, QUEUE.c.id.not_in(keep))
        never_made = sa.case((QUEUE.c.id.in_(begun), 0), else_=1)
        return await _hand_back(conn, *held, attempt=QUEUE.c.attempt - never_made)

    async def put_back(self, conn: AsyncConnection, queue_ids: Collection[int], lease: UUID) -> None:
        """Hand back some of what was just claimed, as if it had not been."""
        if queue_ids:
            held = (QUEUE.c.id.in_(queue_ids), QUEUE.c.leased, QUEUE.c.lease_id == lease)
            await _hand_back(conn, *held, attempt=QUEUE.c.attempt - 1)

    async def reap(self, conn: AsyncConnection, ttl: timedelta, own: UUID) -> int:
        """Free the rows of nodes not seen for ``ttl`` (never of ``own``) and of leases that ended; return how many."""
        now = await db.now(conn)
        alive = sa.exists().where(NODES.c.id == QUEUE.c.lease_id, NODES.c.seen_at >= now - ttl)
        orphaned = (
            sa.select(QUEUE.c.id)
            .where(QUEUE.c.leased, sa.or_(QUEUE.c.lease_until < now, sa.and_(QUEUE.c.lease_id != own, ~alive)))
            .with_for_update(skip_locked=True, of=QUEUE)
        )
        return await _hand_back(conn, QUEUE.c.id.in_(orphaned))

    async def least(self, conn: AsyncConnection, endpoints: Collection[UUID]) -> dict[UUID, datetime]:
        """Return the earliest instant from which anything may go to each endpoint for which something waits.

        A look a priority: each ends at the first row that is there.
        """
        waiting = (QUEUE.c.endpoint_id == _ENDPOINTS.c.id, ~QUEUE.c.leased)
        first = sa.select(sa.func.min(QUEUE.c.run_at)).correlate(_ENDPOINTS)
        each = [first.where(*waiting, QUEUE.c.priority == priority).scalar_subquery() for priority in range(OVER)]
        looks = sa.select(_ENDPOINTS.c.id, *each).where(among.of(conn, _ENDPOINTS.c.id, endpoints))
        rows = [(row[0], [at for at in row[1:] if at is not None]) for row in (await conn.execute(looks)).all()]
        return {endpoint: min(found) for endpoint, found in rows if found}

    async def stats(self, conn: AsyncConnection) -> Stats:
        """Count what is ready, leased and overdue."""
        now = await db.now(conn)
        state = sa.case(
            (QUEUE.c.leased, "leased"),
            (IS_SUSPENDED, "suspended"),
            (IS_RESTING, "resting"),
            (sa.or_(QUEUE.c.run_at > now, IS_BEHIND), "later"),
            else_="due",
        )
        each = sa.select(state.label("state"), QUEUE.c.run_at).subquery()
        counted = sa.select(each.c.state, sa.func.count(), sa.func.min(each.c.run_at)).group_by(each.c.state)
        found = {row[0]: (row[1], row[2]) for row in (await conn.execute(counted)).all()}
        counts = {name: found.get(name, (0, now))[0] for name in ("due", "leased", "later", "resting", "suspended")}
        return Stats(**counts, oldest_seconds=(now - found.get("due", (0, now))[1]).total_seconds())
