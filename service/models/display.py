"""A screen on a wall: it opens the wall's board and nothing else, for long, until a coordinator ends it."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Display(SQLModel, table=True):
    """A screen on a wall: it opens the wall's board and nothing else, for long, until a coordinator ends it."""

    __tablename__ = "displays"

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    # Where it hangs, in the words of whoever prepared it.
    name: str = Field(max_length=60)
    created_by: str = Field(max_length=64)
    created_at: datetime
    # SHA-256 of the code that is typed at the screen, once; then of the secret in its cookie.
    code_digest: bytes | None = Field(default=None, unique=True)
    code_ends_at: datetime
    digest: bytes | None = Field(default=None, unique=True)
    browser: str | None = Field(default=None, max_length=32)
    paired_at: datetime | None = None
    seen_at: datetime | None = None
    ends_at: datetime
    revoked_at: datetime | None = None
