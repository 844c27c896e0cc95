"""How delivery fares, endpoint by endpoint: what waits, since when, the next try, the breaker, what was given up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Dispatch, Endpoint, EndpointState, Participant, QueueItem, Task, table_of
from service.queries import maintenance, visibility
from service.security.principals import Principal
from workflows.terms import Channel, DispatchState, Purpose, TaskKind

_DISPATCHES = table_of(Dispatch)
_ENDPOINTS = table_of(Endpoint)
_PARTICIPANTS = table_of(Participant)
_QUEUE = table_of(QueueItem)
_STATES = table_of(EndpointState)
_TASKS = table_of(Task)
# Written out, for the partial index of what is pending.
_PENDING = sa.literal(DispatchState.PENDING, _DISPATCHES.c.state.type, literal_execute=True)


@dataclass(frozen=True, slots=True)
class Lane:
    """One endpoint: ``waiting`` since ``oldest`` at the earliest, ``sending`` now; ``next_at`` is its next attempt.

    ``open_until`` is the instant until which its breaker keeps it in peace, ``rests_until`` the end of its announced
    maintenance; ``inbox`` counts what lies unfetched.
    """

    endpoint_id: UUID
    participant_id: str
    name: str
    channel: Channel
    purpose: Purpose
    active: bool
    waiting: int
    sending: int
    retries: int
    inbox: int
    oldest: datetime | None
    next_at: datetime | None
    failures: int
    open_until: datetime | None
    rests_until: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """All lanes, those that need somebody first, and per participant what was given up and is nobody's care yet."""

    lanes: tuple[Lane, ...]
    given_up: dict[str, int]

    @property
    def waiting(self) -> int:
        """How much waits in all queues and inboxes."""
        return sum(lane.waiting + lane.inbox for lane in self.lanes)

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest waits."""
        return min((lane.oldest for lane in self.lanes if lane.oldest), default=None)


async def load(
    conn: AsyncConnection, principal: Principal, now: datetime, of: str | None = None, *, tripped: bool = False
) -> Health:
    """Return how delivery fares now to the members that the caller may see, or to one of them.

    ``tripped``: of the endpoints only those whose breaker is open.
    """
    only = [] if of is None else [of]
    is_open = sa.select(_STATES.c.endpoint_id).where(_STATES.c.open_until.is_not(None))

    def chosen(endpoint: sa.ColumnElement[UUID]) -> tuple[sa.ColumnElement[bool], ...]:
        return (endpoint.in_(is_open),) if tripped else ()

    queue = (
        sa.select(
            _QUEUE.c.endpoint_id,
            sa.func.count().filter(sa.not_(_QUEUE.c.leased)).label("waiting"),
            sa.func.count().filter(_QUEUE.c.leased).label("sending"),
            sa.func.count().filter(_QUEUE.c.attempt > 0).label("retries"),
            sa.func.min(_QUEUE.c.run_at).filter(sa.not_(_QUEUE.c.leased)).label("next_at"),
        )
        .where(*chosen(_QUEUE.c.endpoint_id))
        .group_by(_QUEUE.c.endpoint_id)
        .subquery()
    )
    pending = (
        sa.select(
            _DISPATCHES.c.endpoint_id,
            sa.func.min(_DISPATCHES.c.created_at).label("oldest"),
            sa.func.count().filter(_DISPATCHES.c.position.is_not(None)).label("inbox"),
        )
        .where(
            _DISPATCHES.c.state == _PENDING,
            *(_DISPATCHES.c.participant_id == each for each in only),
            *chosen(_DISPATCHES.c.endpoint_id),
        )
        .group_by(_DISPATCHES.c.endpoint_id)
        .subquery()
    )
    query = (
        sa.select(
            _ENDPOINTS.c.id,
            _ENDPOINTS.c.tenant,
            _ENDPOINTS.c.channel,
            _ENDPOINTS.c.purpose,
            sa.and_(_ENDPOINTS.c.active, _PARTICIPANTS.c.status != "suspended").label("active"),
            _PARTICIPANTS.c.short_name,
            *(queue.c[name] for name in ("waiting", "sending", "retries", "next_at")),
            pending.c.oldest,
            pending.c.inbox,
            _STATES.c.failures,
            _STATES.c.open_until,
        )
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ENDPOINTS.c.tenant)
        .outerjoin(queue, queue.c.endpoint_id == _ENDPOINTS.c.id)
        .outerjoin(pending, pending.c.endpoint_id == _ENDPOINTS.c.id)
        .outerjoin(_STATES, _STATES.c.endpoint_id == _ENDPOINTS.c.id)
        .where(
            visibility.participants(principal),
            *(_ENDPOINTS.c.tenant == each for each in only),
            *chosen(_ENDPOINTS.c.id),
            sa.or_(_ENDPOINTS.c.active, pending.c.oldest.is_not(None)),
        )
        .order_by(_PARTICIPANTS.c.id, _ENDPOINTS.c.position, _ENDPOINTS.c.id)
    )
    resting = await maintenance.windows(conn, now)
    lanes = [_lane(row._mapping, resting) for row in (await conn.execute(query)).all()]
    tasks = (
        sa.select(_TASKS.c.participant_id, sa.func.count().label("tasks"))
        .where(_TASKS.c.kind == TaskKind.DEAD_DISPATCH, _TASKS.c.resolved_at.is_(None), visibility.tasks(principal))
        .group_by(_TASKS.c.participant_id)
    )
    given_up = {row.participant_id: row.tasks for row in (await conn.execute(tasks)).all()}
    lanes.sort(key=lambda lane: (lane.open_until is None, lane.participant_id not in given_up, lane.oldest or now))
    return Health(tuple(lanes), given_up)


def _lane(row: Mapping[Any, Any], resting: list[sa.Row[Any]]) -> Lane:
    counted = {name: row[name] or 0 for name in ("waiting", "sending", "retries", "inbox", "failures")}
    return Lane(
        endpoint_id=row["id"],
        participant_id=row["tenant"],
        name=row["short_name"],
        channel=row["channel"],
        purpose=row["purpose"],
        active=row["active"],
        oldest=row["oldest"],
        next_at=row["next_at"],
        open_until=row["open_until"],
        rests_until=maintenance.of_endpoint(resting, row["tenant"], row["id"]),
        **counted,
    )
