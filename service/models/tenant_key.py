"""A key of one tenant: it wraps the keys of the tenant's subjects, and a master key wraps it."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from service.models import columns


class TenantKey(SQLModel, table=True):
    """A key of one tenant: it wraps the keys of the tenant's subjects, and a master key wraps it."""

    __tablename__ = "tenant_keys"
    __table_args__ = (
        columns.partial_index("uq_tenant_keys_current", "tenant", where="retired_at IS NULL", unique=True),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    # Which master key wrapped it.
    master: str = Field(max_length=64)
    wrapped: bytes
    created_at: datetime
    # Since when it wraps nothing new; the row goes once nothing is wrapped with it.
    retired_at: datetime | None = None
