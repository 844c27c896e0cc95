"""One immutable fact: code, actor, instant, data and the hash of the one before it in its chain."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Fact

_BY_OTHERS = sa.text("actor_kind <> 'hub'")


class AuditEntry(SQLModel, table=True):
    """One immutable fact: code, actor, instant, data and the hash of the one before it in its chain."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.UniqueConstraint("chain", "sequence"),
        # For whoever searches the audit, newest first; what the hub does by itself is found by its kind, not its actor.
        sa.Index("ix_audit_entries_at", "at", "id"),
        sa.Index("ix_audit_entries_code", "code", "at", "id"),
        sa.Index("ix_audit_entries_tenant", "tenant", "at", "id"),
        sa.Index(
            "ix_audit_entries_actor", "actor_id", "at", "id", sqlite_where=_BY_OTHERS, postgresql_where=_BY_OTHERS
        ),
    )

    id: int | None = columns.identity()
    tenant: str = Field(max_length=64)
    chain: str = Field(max_length=80)
    sequence: int
    request_id: UUID | None = Field(default=None, index=True)
    code: Fact = Field(sa_type=sa.String(64))
    actor_kind: str = Field(max_length=16)
    actor_id: str = Field(max_length=80)
    actor_tenant: str = Field(max_length=64)
    at: datetime
    # Canonical JSON (RFC 8785), the very text that is hashed.
    data: str = Field(sa_type=sa.Text)
    deadline_id: int | None = Field(default=None, unique=True, sa_type=sa.BigInteger)
    previous: bytes
    hash: bytes
