"""A registered public key: of a client (assertions), an officer or participant (signatures) or the hub (orders)."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import JSON, Field, SQLModel


class PublicKey(SQLModel, table=True):
    """A registered public key: of a client (assertions), an officer or participant (signatures) or the hub (orders)."""

    __tablename__ = "public_keys"

    kid: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    # client, officer, participant or hub
    owner_kind: str = Field(max_length=16)
    owner_id: str = Field(max_length=64, index=True)
    # assertion, signature or passkey
    purpose: str = Field(max_length=16)
    jwk: dict[str, str] = Field(sa_type=JSON)
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    # How the browser names a passkey (WebAuthn); none for a key that signs by itself.
    credential_id: str | None = Field(default=None, sa_type=sa.Text)
