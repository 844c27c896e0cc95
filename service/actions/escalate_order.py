"""A coordinator does not wait for the next rung of a silent participant's ladder: it fires now."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import standing
from service.engine import writer
from service.engine.hub import Hub
from service.models import Deadline, Order, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import DeadlineState, Fact, SubjectKind

_DEADLINES = table_of(Deadline)
_ORDERS = table_of(Order)


async def escalate(hub: Hub, principal: Principal, order_id: UUID, deadline_id: int) -> datetime:
    """Let one waiting rung of an order fire at once and return that instant; the rungs behind it keep theirs.

    ``deadline_id`` is the rung's, as whoever asks has seen it: pressed twice, or by two, no rung behind it is hastened.

    A rung waits once a deadline was missed: before that nobody is called over a participant's head (CLOCKS). Raises
    ``NotFound``, ``Conflict`` (``escalation.no_rung``) and ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.TASKS_RESOLVE)

    async def unit(conn: AsyncConnection) -> datetime:
        order = await _visible(conn, principal, order_id)
        log = await writer.lock(conn, {audit.request_chain(order["request_id"])})
        await standing.check(conn, principal)
        rung = (await conn.execute(_waiting(order_id, deadline_id, log.at))).first()
        if rung is None:
            raise errors.Conflict("escalation.no_rung")
        await conn.execute(sa.update(_DEADLINES).where(_DEADLINES.c.id == rung.id).values(due_at=log.at))
        log.record(
            audit.request_chain(order["request_id"]),
            Fact.ESCALATION_HASTENED,
            principal.actor(),
            order["tenant"],
            request_id=order["request_id"],
            order_id=str(order_id),
            participant_id=order["participant_id"],
            stage=str(rung.stage),
            rung=rung.rung,
            due_at=rung.due_at,
        )
        await log.flush()
        return log.at

    return await standing.run(hub, principal, unit)


def _waiting(order_id: UUID, deadline_id: int, now: datetime) -> sa.Select[tuple[int, str, int, datetime]]:
    """Return this rung of the order, unless it has fired, was cancelled, or its instant has come already."""
    return sa.select(_DEADLINES.c.id, _DEADLINES.c.stage, _DEADLINES.c.rung, _DEADLINES.c.due_at).where(
        _DEADLINES.c.id == deadline_id,
        _DEADLINES.c.subject_kind == SubjectKind.ORDER,
        _DEADLINES.c.subject_id == order_id,
        _DEADLINES.c.state == DeadlineState.PENDING,
        _DEADLINES.c.rung > 0,
        _DEADLINES.c.due_at > now,
    )


async def _visible(conn: AsyncConnection, principal: Principal, order_id: UUID) -> sa.RowMapping:
    query = sa.select(_ORDERS.c.request_id, _ORDERS.c.tenant, _ORDERS.c.participant_id).where(
        _ORDERS.c.id == order_id, visibility.orders(principal)
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return row._mapping
