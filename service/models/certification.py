"""A report of a passed examination that the hub accepted: for a while, it lets an endpoint come into force."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.conformance import Profile


class Certification(SQLModel, table=True):
    """A report of a passed examination that the hub accepted."""

    __tablename__ = "certifications"
    __table_args__ = (sa.UniqueConstraint("tenant", "report_sha256"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    profile: Profile = columns.code(Profile)
    # Where the participant was called; none for an inbox.
    host: str | None = Field(default=None, max_length=255)
    port: int | None = None
    definition_sha256: str | None = Field(default=None, max_length=64)
    report_sha256: str = Field(max_length=64)
    # The hub's key that signed it.
    kid: str = Field(max_length=64)
    ended_at: datetime
    recorded_by: str = Field(max_length=80)
    recorded_at: datetime
