"""A registered public key: of a client (assertions), an officer (signatures) or a participant (answers)."""

from datetime import datetime

from sqlmodel import JSON, Field, SQLModel


class PublicKey(SQLModel, table=True):
    """A registered public key: of a client (assertions), an officer (signatures) or a participant (answers)."""

    __tablename__ = "public_keys"

    kid: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    # client, officer or participant
    owner_kind: str = Field(max_length=16)
    owner_id: str = Field(max_length=64, index=True)
    # assertion or signature
    purpose: str = Field(max_length=16)
    jwk: dict[str, str] = Field(sa_type=JSON)
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
