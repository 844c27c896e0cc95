"""Somebody contests a hold: who and why (sealed), the agency's answer and decision, with clocks of their own."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import AppealGround, AppealState


class Appeal(SQLModel, table=True):
    """Somebody contests a hold: who and why (sealed), the agency's answer and decision, with clocks of their own."""

    __tablename__ = "appeals"
    __table_args__ = (sa.Index("ix_appeals_list", "tenant", "filed_at", "id"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id", index=True)
    # By which the participant knows the request, whose own row is not for it to reach.
    request_reference: str = Field(max_length=24)
    order_id: UUID | None = Field(default=None, foreign_key="orders.id", index=True)
    # The participant that filed it; none where the duty desk filed it for a person.
    participant_id: str | None = Field(default=None, foreign_key="participants.id", max_length=64)
    # What the appellant is given, and may show to anybody: it opens the state and nothing else.
    reference: str = Field(max_length=24, unique=True)
    state: AppealState = columns.code(AppealState)
    ground: AppealGround = columns.code(AppealGround)
    statement_sealed: bytes
    appellant_sealed: bytes | None = None
    filed_by: str = Field(max_length=80)
    filed_at: datetime
    answer_due_at: datetime
    decision_due_at: datetime
    answered_at: datetime | None = None
    answered_by: str | None = Field(default=None, max_length=64)
    # The bytes that the answering officer signed, as they were received, and his detached JWS over them.
    answer_sealed: bytes | None = None
    answer_signature: str | None = Field(default=None, sa_type=sa.Text)
    decided_at: datetime | None = None
    decided_by: str | None = Field(default=None, max_length=64)
    decision_code: str | None = Field(default=None, max_length=32)
    # The bytes that the deciding officer signed, as they were received, and his detached JWS over them.
    decision_sealed: bytes | None = None
    signature: str | None = Field(default=None, sa_type=sa.Text)
