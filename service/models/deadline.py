"""One stage's due instant, and each rung of its ladder, for one order, request or task: the hub's timers."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import DeadlineState, Stage, SubjectKind


class Deadline(SQLModel, table=True):
    """One stage's due instant, and each rung of its ladder, for one order, request or task: the hub's timers."""

    __tablename__ = "deadlines"
    __table_args__ = (
        # Ids are of one subject alone, whatever it is: the kind first would hide the rest from who asks for an id.
        sa.UniqueConstraint("subject_id", "stage", "rung", "generation"),
        columns.partial_index("ix_deadlines_due", "due_at", "id", where="state = 'pending'"),
    )

    id: int | None = columns.identity()
    tenant: str = Field(max_length=64)
    subject_kind: SubjectKind = columns.code(SubjectKind)
    subject_id: UUID
    request_id: UUID | None = Field(default=None, foreign_key="requests.id", index=True)
    participant_id: str | None = Field(default=None, max_length=64)
    # The audit chain that its firing writes to, which is also the lock that its firing takes.
    chain: str = Field(max_length=80)
    stage: Stage = columns.code(Stage)
    # 0 is the deadline itself, 1 and more the rungs of the ladder behind it.
    rung: int = Field(default=0, sa_type=sa.SmallInteger)
    generation: int = 0
    started_at: datetime
    due_at: datetime
    state: DeadlineState = columns.code(DeadlineState)
    settled_at: datetime | None = None
    settled_by: str | None = Field(default=None, max_length=80)
