"""The account, number, sender name, domain, URL or content that a request is about; personal values are sealed."""

from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import TargetKind


class Target(SQLModel, table=True):
    """The account, number, sender name, domain, URL or content that a request is about; personal values are sealed."""

    __tablename__ = "targets"
    __table_args__ = (sa.Index("ix_targets_search", "tenant", "value_index"),)

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64)
    request_id: UUID = Field(foreign_key="requests.id", index=True)
    position: int
    kind: TargetKind = columns.code(TargetKind)
    value_sealed: bytes
    value_index: bytes
    holder_sealed: bytes | None = None
    institution: str | None = Field(default=None, max_length=64)
    platform: str | None = Field(default=None, max_length=120)
    sha256: str | None = Field(default=None, max_length=64)
    perceptual_hash: str | None = Field(default=None, max_length=128)
    intimate: bool = False
