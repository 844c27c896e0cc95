"""The shapes of tasks: what a person must do, by when, and what came of it."""

from typing import Any
from uuid import UUID

from pydantic import Field

from service.schemas.callbacks import Call, Note
from service.schemas.common import Answer, Instant, Shape
from workflows.terms import TaskKind


class TaskResolution(Shape):
    """What the person did; it is sealed, for it may name people."""

    note: Note | None = None


class TaskAnswer(Answer):
    """One task."""

    id: UUID
    tenant: str = Field(description="whose request or endpoint it is about")
    participant_id: str | None
    kind: TaskKind
    request_id: UUID | None
    order_id: UUID | None
    data: dict[str, Any]
    opened_at: Instant
    due_at: Instant
    resolved_at: Instant | None
    resolved_by: str | None
    note: str | None
    call: Call | None = Field(description="the duty desk of the participant that it is about, if it is")


class TaskPage(Answer):
    """A page of tasks, the earliest due first; ``next`` goes into ``after``."""

    items: list[TaskAnswer]
    next: str | None
