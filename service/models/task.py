"""What a person must do, with a deadline of its own."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import JSON, Field, SQLModel

from service.models import columns
from workflows.terms import TaskKind


class Task(SQLModel, table=True):
    """What a person must do, with a deadline of its own."""

    __tablename__ = "tasks"
    __table_args__ = (
        columns.partial_index("ix_tasks_open", "due_at", "id", where="resolved_at IS NULL"),
        columns.partial_index("ix_tasks_resolved", "resolved_at", "id", where="resolved_at IS NOT NULL"),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    participant_id: str | None = Field(default=None, foreign_key="participants.id", max_length=64)
    kind: TaskKind = columns.code(TaskKind)
    request_id: UUID | None = Field(default=None, foreign_key="requests.id", index=True)
    order_id: UUID | None = Field(default=None, foreign_key="orders.id", index=True)
    data: dict[str, Any] = Field(sa_type=JSON)
    opened_at: datetime
    due_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str | None = Field(default=None, max_length=80)
    note_sealed: bytes | None = None
