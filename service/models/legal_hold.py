"""A request that is kept beyond its time, with what lifts or extends it: a court or an inspection needs it."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.record_terms import HoldReason


class LegalHold(SQLModel, table=True):
    """A request that is kept beyond its time, with what lifts or extends it: a court or an inspection needs it."""

    __tablename__ = "legal_holds"

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    # The request that opened the matter.
    request_id: UUID = Field(foreign_key="requests.id", index=True)
    reason: HoldReason = columns.code(HoldReason)
    placed_by: str = Field(max_length=80)
    placed_at: datetime
    released_by: str | None = Field(default=None, max_length=80)
    released_at: datetime | None = None
