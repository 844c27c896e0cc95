"""What a person has answered so far of a request that is not filed: one a person, seen by nobody else."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class Draft(SQLModel, table=True):
    """What a person has answered so far of a request that is not filed: one a person, seen by nobody else."""

    __tablename__ = "drafts"
    __table_args__ = (sa.UniqueConstraint("tenant", "person"),)

    # Its key in the vault has the same id, and is destroyed with it.
    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    answers_sealed: bytes
    # The file of the legal paper, which the hub looks at and does not keep.
    paper_sealed: bytes | None = None
    created_at: datetime
    touched_at: datetime = Field(index=True)
