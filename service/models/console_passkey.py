"""A passkey by which a person signs in to the console; it signs nothing else, and no order."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import JSON, Field, SQLModel

from service.models import columns
from workflows.terms import Role


class ConsolePasskey(SQLModel, table=True):
    """A passkey by which a person signs in to the console; it signs nothing else, and no order."""

    __tablename__ = "console_passkeys"

    id: UUID = Field(primary_key=True)
    # How the browser names it (WebAuthn), in unpadded base64url.
    credential_id: str = Field(sa_type=sa.String(1364), unique=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    person: str = Field(max_length=64)
    role: Role = columns.code(Role)
    jwk: dict[str, str] = Field(sa_type=JSON)
    # What it counted at its last use; 0 for one that does not count.
    counter: int = Field(sa_type=sa.BigInteger)
    browser: str = Field(max_length=32)
    created_at: datetime
    used_at: datetime | None = None
