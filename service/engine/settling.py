"""How deadlines end without firing: met by the event they waited for, or cancelled because their subject is final."""

import functools
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.audit import Log
from service.models import Deadline, table_of
from workflows import states
from workflows.terms import Actor, DeadlineState, Fact, Stage

_DEADLINES = table_of(Deadline)

_RETURNED = ("chain", "tenant", "request_id", "subject_id", "participant_id", "stage", "due_at", "state")

PARTICIPANT_STAGES = tuple(states.OWED)


async def meet(
    conn: AsyncConnection,
    log: Log,
    actor: Actor,
    subjects: Collection[UUID],
    stages: Collection[Stage],
    cancelled: Collection[Stage] = (),
) -> None:
    """Mark the pending deadlines of these stages met, cancel the rungs behind them, and record each deadline met.

    What waits in the stages ``cancelled`` is over with it. A deadline that fired first stays missed: whoever held the
    chain's lock first was first.
    """
    order = [*stages]
    settled = await _settle(conn, log.at, subjects, met=order, stages=[*order, *cancelled])
    met = [row for row in settled if row.state is DeadlineState.MET]
    for row in sorted(met, key=lambda row: order.index(row.stage)):
        log.record(
            row.chain,
            Fact.DEADLINE_MET,
            actor,
            row.tenant,
            request_id=row.request_id,
            subject=str(row.subject_id),
            stage=str(row.stage),
            participant_id=row.participant_id,
            due_at=row.due_at,
        )


async def cancel(
    conn: AsyncConnection, at: datetime, subjects: Collection[UUID], stages: Collection[Stage] = tuple(Stage)
) -> None:
    """Cancel what is pending, deadlines and rungs, of the given stages."""
    await _settle(conn, at, subjects, met=(), stages=stages)


async def waiting(conn: AsyncConnection, orders: Collection[UUID]) -> set[UUID]:
    """Return those of the orders that their participant still has a clock running for, be it on a rung already."""
    pending = sa.select(_DEADLINES.c.subject_id).where(
        _DEADLINES.c.subject_id.in_(orders),
        _DEADLINES.c.stage.in_(PARTICIPANT_STAGES),
        _DEADLINES.c.state == DeadlineState.PENDING,
    )
    return set((await conn.execute(pending)).scalars())


async def is_pending(conn: AsyncConnection, subject: UUID, stage: Stage) -> bool:
    """Tell whether a stage's clock is running for a subject."""
    pending = sa.select(_DEADLINES.c.id).where(
        _DEADLINES.c.subject_id == subject,
        _DEADLINES.c.stage == stage,
        _DEADLINES.c.state == DeadlineState.PENDING,
    )
    return (await conn.execute(pending.limit(1))).first() is not None


async def _settle(
    conn: AsyncConnection,
    at: datetime,
    subjects: Collection[UUID],
    *,
    met: Collection[Stage],
    stages: Collection[Stage],
) -> Sequence[sa.Row[Any]]:
    if not subjects:
        return []
    values = {"subjects": [*subjects], "met": [*met], "stages": [*stages], "at": at}
    return (await conn.execute(_settling(conn.dialect.name), values)).all()


# Each answer and each batch of calls settles something: it is put into words once.
@functools.cache
def _settling(dialect: str) -> sa.Executable:
    met = sa.and_(_DEADLINES.c.rung == 0, among.named(dialect, _DEADLINES.c.stage, "met"))
    kind = _DEADLINES.c.state.type
    becomes = sa.case((met, sa.literal(DeadlineState.MET, kind)), else_=sa.literal(DeadlineState.CANCELLED, kind))
    return (
        sa.update(_DEADLINES)
        .where(
            among.named(dialect, _DEADLINES.c.subject_id, "subjects"),
            among.named(dialect, _DEADLINES.c.stage, "stages"),
            _DEADLINES.c.state == DeadlineState.PENDING,
        )
        .values(state=becomes, settled_at=sa.bindparam("at"))
        .returning(*(_DEADLINES.c[name] for name in _RETURNED))
    )
