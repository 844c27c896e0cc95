"""The key of one subject: a request, a draft, an officer, a contact or a house; destroyed, nothing of it opens."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns


class KeyOwner(StrEnum):
    """Whose fields one key of the vault seals: what is erased together has one key."""

    REQUEST = "request"
    OFFICER = "officer"
    CONTACT = "contact"
    # A member's secrets that are nobody's personal data, such as those of its webhooks.
    HOUSE = "house"
    # A request that nobody has filed yet.
    DRAFT = "draft"


class SubjectKey(SQLModel, table=True):
    """The key of one subject: a request, a draft, an officer, a contact or a house; destroyed, nothing of it opens."""

    __tablename__ = "subject_keys"
    __table_args__ = (
        sa.UniqueConstraint("tenant", "kind", "subject"),
        sa.CheckConstraint(
            "(wrapped IS NULL) = (destroyed_at IS NOT NULL) AND (wrapped IS NULL) = (tenant_key_id IS NULL)",
            name="whole_or_destroyed",
        ),
    )

    # That of a request has the request's own id.
    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    kind: KeyOwner = columns.code(KeyOwner)
    subject: str = Field(max_length=64)
    tenant_key_id: UUID | None = Field(default=None, foreign_key="tenant_keys.id", index=True)
    wrapped: bytes | None = None
    created_at: datetime
    destroyed_at: datetime | None = None
