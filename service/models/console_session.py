"""A person's session at the console; only the digest of its cookie is kept."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.entry_terms import Way
from workflows.terms import Role


class ConsoleSession(SQLModel, table=True):
    """A person's session at the console; only the digest of its cookie is kept."""

    __tablename__ = "console_sessions"

    digest: bytes = Field(primary_key=True)
    # What the person's own page calls it by: the digest is for the cookie alone.
    id: UUID = Field(unique=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    role: Role = columns.code(Role)
    way: Way = columns.code(Way)
    # The kind of browser and of machine that it was given to: "chrome-windows".
    browser: str = Field(max_length=32)
    # By what the provider calls the session and the person when it ends them (digests); none for the other ways.
    provider_session: bytes | None = Field(default=None, index=True)
    provider_subject: bytes | None = Field(default=None, index=True)
    started_at: datetime
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
