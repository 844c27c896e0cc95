"""The breaker of one endpoint, seen by every node."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class EndpointState(SQLModel, table=True):
    """The breaker of one endpoint, seen by every node."""

    __tablename__ = "endpoint_states"

    endpoint_id: UUID = Field(primary_key=True, foreign_key="endpoints.id")
    tenant: str = Field(max_length=64)
    failures: int = 0
    open_seconds: int = 0
    open_until: datetime | None = None
    probed_by: str | None = Field(default=None, max_length=80)
    changed_at: datetime
