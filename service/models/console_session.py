"""A person's session at the console; only the digest of its cookie is kept."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import Role


class ConsoleSession(SQLModel, table=True):
    """A person's session at the console; only the digest of its cookie is kept."""

    __tablename__ = "console_sessions"

    digest: bytes = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    role: Role = columns.code(Role)
    started_at: datetime
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
