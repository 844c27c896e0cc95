"""A signature of an officer beside the filing: an approval, a review, or one of the two that end a silence."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class Approval(SQLModel, table=True):
    """A second officer's yes to exactly the request that the first one filed, his review, or an end of a silence."""

    __tablename__ = "approvals"
    __table_args__ = (sa.UniqueConstraint("request_id", "officer_id", "kind"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id")
    officer_id: str = Field(foreign_key="officers.id", max_length=64)
    client_id: str = Field(max_length=64)
    # approval, review, or silence (each of the two officers who end one)
    kind: str = Field(max_length=16)
    body_sha256: str = Field(max_length=64)
    # The officer's detached JWS over the request that the first one signed; of a silence, over its own content.
    signature: str | None = Field(default=None, sa_type=sa.Text)
    approved_at: datetime
