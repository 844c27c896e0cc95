"""A term of the retention table that one administrator proposed and another one approved: the newest counts."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.record_terms import RecordKind


class RetentionRule(SQLModel, table=True):
    """A term of the retention table that one administrator proposed and another one approved: the newest counts."""

    __tablename__ = "retention_rules"
    __table_args__ = (
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="approved_by_another"),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="approved_whole"),
    )

    id: UUID = Field(primary_key=True)
    kind: RecordKind = columns.code(RecordKind)
    # As ISO 8601 writes it: P24M, P90D.
    keep: str = Field(max_length=16)
    source: str = Field(max_length=200)
    proposed_by: str = Field(max_length=80)
    proposed_at: datetime
    approved_by: str | None = Field(default=None, max_length=80)
    approved_at: datetime | None = None
