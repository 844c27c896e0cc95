"""An operator's own limit for a stage, for one participant, one legal basis, or both."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Action, LegalBasis, Stage, TargetKind


class TimeLimit(SQLModel, table=True):
    """An operator's own limit for a stage, for one participant, one legal basis, or both."""

    __tablename__ = "time_limits"
    __table_args__ = (sa.CheckConstraint("within_seconds > 0", name="within_is_positive"),)

    id: UUID = Field(primary_key=True)
    stage: Stage = columns.code(Stage)
    within_seconds: int
    action: Action | None = columns.code(Action, nullable=True)
    target_kind: TargetKind | None = columns.code(TargetKind, nullable=True)
    participant_id: str | None = Field(default=None, foreign_key="participants.id", max_length=64)
    legal_basis: LegalBasis | None = columns.code(LegalBasis, nullable=True)
    created_by: str = Field(max_length=80)
    created_at: datetime
