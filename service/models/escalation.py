"""A rung that fired, or that fired and reached nobody."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import JSON, Field, SQLModel

from service.models import columns
from workflows.terms import Stage


class Escalation(SQLModel, table=True):
    """A rung that fired, or that fired and reached nobody."""

    __tablename__ = "escalations"
    __table_args__ = (sa.Index("ix_escalations_list", "raised_at", "id"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    # The database itself refuses a second firing of one rung.
    deadline_id: int = Field(foreign_key="deadlines.id", unique=True, sa_type=sa.BigInteger)
    request_id: UUID | None = Field(default=None, foreign_key="requests.id", index=True)
    order_id: UUID | None = Field(default=None, foreign_key="orders.id", index=True)
    participant_id: str | None = Field(default=None, max_length=64)
    stage: Stage = columns.code(Stage)
    rung: int
    due_at: datetime
    raised_at: datetime
    # Whom the rung called: [{"reach", "participant_id", "contacts"}], contacts = how many were reached.
    reached: list[dict[str, Any]] = Field(sa_type=JSON)
    reached_somebody: bool
    policy_name: str = Field(max_length=64)
    policy_version: int
