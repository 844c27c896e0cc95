"""The shapes of escalations."""

from typing import Any
from uuid import UUID

from service.schemas.common import Answer, Instant
from workflows.terms import Stage


class EscalationAnswer(Answer):
    """A rung that fired: for which stage of what, whom it called, and whether it reached anybody."""

    id: UUID
    request_id: UUID | None
    order_id: UUID | None
    participant_id: str | None
    stage: Stage
    rung: int
    due_at: Instant
    raised_at: Instant
    reached: list[dict[str, Any]]
    reached_somebody: bool
    policy_name: str
    policy_version: int


class EscalationPage(Answer):
    """A page of escalations, newest first; ``next`` goes into ``after``."""

    items: list[EscalationAnswer]
    next: str | None
