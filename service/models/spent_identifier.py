"""A single-use identifier (a token's jti) that has been used; shared by all nodes."""

from datetime import datetime

from sqlmodel import Field, SQLModel


class SpentIdentifier(SQLModel, table=True):
    """A single-use identifier (a token's jti) that has been used; shared by all nodes."""

    __tablename__ = "spent_identifiers"

    issuer: str = Field(primary_key=True, max_length=64)
    # SHA-256 in hex, so that its length is ours and not the client's
    identifier: str = Field(primary_key=True, max_length=128)
    expires_at: datetime = Field(index=True)
