"""How deadlines are written: one row a stage, each waiting for its instant on the database's clock."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.inserting import Rows
from service.models import Deadline, table_of
from workflows.terms import DeadlineState, Stage, SubjectKind

_DEADLINES = table_of(Deadline)


@dataclass(frozen=True, slots=True)
class Timer:
    """A deadline to set: whose, for which stage and rung, counted from when, due when."""

    tenant: str
    subject_kind: SubjectKind
    subject_id: UUID
    chain: str
    stage: Stage
    started_at: datetime
    due_at: datetime
    request_id: UUID | None = None
    participant_id: str | None = None
    rung: int = 0
    generation: int = 0


async def start(conn: AsyncConnection, timers: Iterable[Timer]) -> None:
    """Write the timers by one statement."""
    await db.insert_all(conn, rows(timers))


def rows(timers: Iterable[Timer]) -> Rows:
    """Return what is written of timers."""
    written: list[dict[str, Any]] = [
        {
            "tenant": timer.tenant,
            "subject_kind": timer.subject_kind,
            "subject_id": timer.subject_id,
            "request_id": timer.request_id,
            "participant_id": timer.participant_id,
            "chain": timer.chain,
            "stage": timer.stage,
            "rung": timer.rung,
            "generation": timer.generation,
            "started_at": timer.started_at,
            "due_at": timer.due_at,
            "state": DeadlineState.PENDING,
        }
        for timer in timers
    ]
    return Rows(_DEADLINES, written)


async def next_generations(
    conn: AsyncConnection, subjects: Collection[UUID], stages: Collection[Stage]
) -> Mapping[tuple[UUID, Stage], int]:
    """Return the generations for setting clocks anew (a moved end, an acknowledgement that expired): 0 for a first."""
    query = (
        sa.select(_DEADLINES.c.subject_id, _DEADLINES.c.stage, sa.func.max(_DEADLINES.c.generation))
        .where(_DEADLINES.c.subject_id.in_(subjects), _DEADLINES.c.stage.in_(stages))
        .group_by(_DEADLINES.c.subject_id, _DEADLINES.c.stage)
    )
    rows = (await conn.execute(query)).all() if subjects else []
    return defaultdict(int, {(subject, stage): last + 1 for subject, stage, last in rows})
