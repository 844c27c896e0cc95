"""What one person heard when he called an agency back about a held request; a release takes two of them."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import CallbackOutcome


class Callback(SQLModel, table=True):
    """What one person heard when he called an agency back about a held request; a release takes two of them."""

    __tablename__ = "callbacks"
    __table_args__ = (sa.UniqueConstraint("request_id", "person"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id")
    person: str = Field(max_length=80)
    outcome: CallbackOutcome = columns.code(CallbackOutcome)
    # The registry's number at that instant; none where the registry knows none.
    called_number: str | None = Field(default=None, max_length=16)
    note_sealed: bytes | None = None
    answered_at: datetime
