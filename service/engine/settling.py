"""How deadlines end without firing: met by the event they waited for, or cancelled because their subject is final."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.audit import Log
from service.models import Deadline, table_of
from workflows import states
from workflows.terms import Actor, DeadlineState, Fact, Stage

_DEADLINES = table_of(Deadline)

PARTICIPANT_STAGES = tuple(states.OWED)


async def meet(conn: AsyncConnection, log: Log, actor: Actor, subjects: Collection[UUID], stage: Stage) -> None:
    """Mark the pending deadlines of one stage met, cancel the rungs behind them, and record each deadline met.

    A deadline that fired first stays missed: whoever held the chain's lock first was first.
    """
    met = await _settle(conn, log.at, subjects, (stage,), rungs=False, state=DeadlineState.MET)
    await _settle(conn, log.at, subjects, (stage,), rungs=True, state=DeadlineState.CANCELLED)
    for row in met:
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
    for rungs in (False, True):
        await _settle(conn, at, subjects, stages, rungs=rungs, state=DeadlineState.CANCELLED)


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
    stages: Collection[Stage],
    *,
    rungs: bool,
    state: DeadlineState,
) -> list[sa.Row[tuple[object, ...]]]:
    if not subjects:
        return []
    statement = (
        sa.update(_DEADLINES)
        .where(
            among.of(conn, _DEADLINES.c.subject_id, subjects),
            _DEADLINES.c.stage.in_(stages),
            _DEADLINES.c.state == DeadlineState.PENDING,
            _DEADLINES.c.rung > 0 if rungs else _DEADLINES.c.rung == 0,
        )
        .values(state=state, settled_at=at)
        .returning(_DEADLINES)
    )
    return list((await conn.execute(statement)).all())
