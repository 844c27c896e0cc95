"""One try to deliver a dispatch, with what came back."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from service.models import columns


class Attempt(SQLModel, table=True):
    """One try to deliver a dispatch, with what came back."""

    __tablename__ = "attempts"

    id: int | None = columns.identity()
    tenant: str = Field(max_length=64)
    dispatch_id: UUID = Field(foreign_key="dispatches.id", index=True)
    attempt: int
    node: str = Field(max_length=80)
    lease_id: UUID
    started_at: datetime
    latency_ms: int
    status: int | None = None
    error: str | None = Field(default=None, max_length=64)
    # The lease was lost while the attempt ran: its result was not used.
    superseded: bool = False
    answer_head_sealed: bytes | None = None
    answer_head_sha256: str | None = Field(default=None, max_length=64)
