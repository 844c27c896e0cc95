"""One erasure that was asked for and, once a second person confirmed it, carried out; it names no one concerned."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Erasure(SQLModel, table=True):
    """One erasure that was asked for and, once a second person confirmed it, carried out; it names no one concerned."""

    __tablename__ = "erasures"

    # The request, or of several requests about one hold the first: one decision, one erasure.
    request_id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    # The number of the decision to erase, or the rule of the retention table: never a person's name.
    decision: str = Field(max_length=64)
    asked_by: str = Field(max_length=80)
    asked_at: datetime
    confirmed_by: str | None = Field(default=None, max_length=80)
    erased_at: datetime | None = None
